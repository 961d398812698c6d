"""One picture of a search: how it went, what it cost, and what the winner makes of new tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from metanas.atomic import replacing
from metanas.goals import in_words
from metanas.report.costs import costs, others
from metanas.report.episode import episode
from metanas.report.heading import EDGE, HIGH, heading
from metanas.report.inputs import Example, Summary
from metanas.report.legend import keys
from metanas.report.lettering import fitted, plural, width
from metanas.report.progress import progress
from metanas.report.style import DPI, LARGE, QUIET, SIZE, SMALL, axes, styled, title, write
from metanas.report.tasks import curve, curve_keys, probabilities, scatter, task_score
from metanas.report.trials import Trials, values_of
from search_spaces import Record, Signature

_LEFT, _LEFT_WIDE = 128, 620  # pixels: the panels of the search
_TASKS, _RIGHT, _RIGHT_WIDE = 806, 880, 584  # pixels: the words on tasks, and their panels
_TITLE, _NOTE, _PANEL = HIGH + 14, HIGH + 44, HIGH + 92  # pixels from the top
_THREE = 3
_FRONT = (760, 420)  # pixels of the picture of a front, for each objective beside the score
_COUNTS = ("", "A new task", "Two new tasks", "Three new tasks")


def draw(path: Path, records: Sequence[Record], summary: Summary, examples: Sequence[Example] = ()) -> None:
    """Draws a study and writes it as one PNG of ``SIZE`` pixels; the file is there whole or not at all.

    Args:
        path: Where; what is there is replaced.
        records: Every trial of the study, in any order.
        summary: What the study came to.
        examples: Tasks that the winner adapted to; the first three are drawn, of images the first.

    Raises:
        OSError: If the file cannot be written.
    """
    with replacing(path) as file:
        file.write(png(records, summary, examples))


def png(records: Sequence[Record], summary: Summary, examples: Sequence[Example] = ()) -> bytes:
    """The picture of :func:`draw` as the bytes of its file."""
    with styled():
        return _bytes(_figure(records, summary, examples))


def draw_front(path: Path, records: Sequence[Record], summary: Summary) -> None:
    """Draws score against each other objective, with the front and the winner, as one PNG.

    Args:
        path: Where; what is there is replaced.
        records: Every trial of the study, in any order.
        summary: Of a study of several objectives.

    Raises:
        OSError: If the file cannot be written.
    """
    with styled():
        data = _bytes(front_figure(records, summary))
    with replacing(path) as file:
        file.write(data)


def front_figure(records: Sequence[Record], summary: Summary) -> Figure:
    """The picture of :func:`draw_front` as matplotlib's own object; its axes are labelled by objective."""
    names, (wide, high) = others(summary), _FRONT
    summary = replace(summary, test=None, baselines={})  # whose marks would stretch the scale of scores
    drawn = Figure(figsize=(len(names) * wide / DPI, high / DPI), dpi=DPI, facecolor="white")
    for place, name in enumerate(names):
        left = place * wide
        panel = axes(drawn, name, left + _LEFT, 96, wide - _LEFT - EDGE, high - 152)
        trials, what = Trials.of(records, summary, wide - _LEFT), f": {in_words(('score', name))}"
        room = wide - 2 * EDGE - width(what, LARGE, "bold")
        title(drawn, left + EDGE, 20, fitted(summary.study, room, LARGE, "bold") + what)
        keys(panel, trials.keys(), row=costs(panel, trials, summary, name))
    return drawn


def _bytes(drawn: Figure) -> bytes:
    data = BytesIO()
    FigureCanvasAgg(drawn).print_png(data, metadata={"Software": None})
    return data.getvalue()


def figure(records: Sequence[Record], summary: Summary, examples: Sequence[Example] = ()) -> Figure:
    """The picture of :func:`draw` as matplotlib's own object.

    Its axes are labelled ``progress``, ``costs``, and ``task 0`` to ``task 2``.
    """
    with styled():
        return _figure(records, summary, examples)


def _figure(records: Sequence[Record], summary: Summary, examples: Sequence[Example]) -> Figure:
    drawn = Figure(figsize=(SIZE[0] / DPI, SIZE[1] / DPI), dpi=DPI, facecolor="white")
    trials = Trials.of(records, summary, _LEFT_WIDE)
    heading(drawn, trials, summary)
    _search(drawn, trials, summary)
    signature, usable = summary.signature, [e for e in examples if len(e.support_x) and len(e.query_x)]
    if not usable:
        title(drawn, _TASKS, _TITLE, "No task to show")
    elif signature.kind == "classification" and len(signature.input_shape) == 3:
        _images(drawn, signature, usable[0])
    else:
        _three(drawn, signature, usable[:_THREE])
    return drawn


def _search(drawn: Figure, trials: Trials, summary: Summary) -> None:
    title(drawn, EDGE, _TITLE, "How the search went")
    progress(axes(drawn, "progress", _LEFT, _PANEL, _LEFT_WIDE, 222), trials, summary)
    title(drawn, EDGE, HIGH + 380, "What a good score costs")
    costs(axes(drawn, "costs", _LEFT, HIGH + 436, _LEFT_WIDE, 230), trials, summary)
    if off := trials.scale.off(values_of(trials.scored)):
        words = f"{off} off the scale, drawn at its edge"
        write(drawn, _LEFT + _LEFT_WIDE, _TITLE + 4, words, color=QUIET, size=SMALL, ha="right")


def _images(drawn: Figure, signature: Signature, example: Example) -> None:
    title(drawn, _TASKS, _TITLE, f"A new task: {task_score(example, signature)}")
    _note(drawn, "Framed green: right. Framed red: wrong, with the class that it was taken for.")
    top, wide = _NOTE + 28, SIZE[0] - EDGE - _TASKS
    episode(axes(drawn, "task 0", _TASKS, top, wide, SIZE[1] - 24 - top), example)


def _three(drawn: Figure, signature: Signature, examples: Sequence[Example]) -> None:
    title(drawn, _TASKS, _TITLE, f"{_COUNTS[len(examples)]}, learned from {_learned(signature, examples)}")
    classes = signature.kind == "classification"
    curves = not classes and (signature.input_shape, signature.outputs) == ((1,), 1)
    show = probabilities if classes else curve if curves else scatter
    for i, example in enumerate(examples):
        panel = axes(drawn, f"task {i}", _RIGHT, _PANEL + 212 * i, _RIGHT_WIDE, 150)
        show(panel, example)
        panel.yaxis.set_label_coords(-0.1, 0.5)
        panel.set_title(task_score(example, signature), loc="right", size=SMALL, color=QUIET, pad=5)
    if classes:
        _note(drawn, "Blue: probability of a class. Framed: the true class. Cross: taken for another.")
        panel.set_xlabel("queries, sorted by their true class")
    elif curves:
        _legend(drawn)
        panel.set_xlabel("input")
    else:
        _note(drawn, "Each dot a query: on the line the prediction is exact.")
        panel.set_xlabel("true")


def _learned(signature: Signature, examples: Sequence[Example]) -> str:
    if signature.kind == "classification":
        return f"{plural(signature.shots, 'example')} of each class"
    seen = sorted({len(example.support_x) for example in examples})
    return f"{plural(seen[0], 'example')} each" if len(seen) == 1 else f"{seen[0]} to {seen[-1]} examples"


def _note(drawn: Figure, words: str) -> None:
    write(drawn, _TASKS, _NOTE, words, color=QUIET, size=SMALL)


def _legend(drawn: Figure) -> None:
    place = (_TASKS / SIZE[0], 1 - _NOTE / SIZE[1])
    spaces = {"borderaxespad": 0.0, "borderpad": 0.0, "columnspacing": 1.6, "handletextpad": 0.5}
    drawn.legend(handles=curve_keys(), ncols=3, loc="upper left", bbox_to_anchor=place, **spaces)
