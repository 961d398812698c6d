"""The charts of the page: each a picture of its own, as narrow as a telephone can show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from io import StringIO
from typing import Any

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.transforms import Bbox

from metanas.report.costs import costs, others
from metanas.report.episode import episode
from metanas.report.inputs import Example, Summary
from metanas.report.legend import ROW
from metanas.report.lettering import plural
from metanas.report.lines import Line, lines
from metanas.report.progress import progress
from metanas.report.style import DPI, QUIET, SMALL, axes, styled
from metanas.report.tasks import curve, probabilities, scatter, task_score
from metanas.report.trials import Trials, values_of
from search_spaces import Record, Signature

_WIDE, _LEFT, _RIGHT = 520.0, 92.0, 16.0  # pixels: a chart, and beside its panel
_TOP, _HIGH, _BELOW = 96.0, 230.0, 52.0  # for legends, a panel, below it
_TASK = (420.0, 240.0)  # pixels of a task that is not images
_EPISODE = (760.0, 640.0)
_COUNTS = ("No", "One", "Two", "Three")
_MOST = 3
_CRISP = 2 * DPI  # of what is drawn in pixels


def search_charts(records: Sequence[Record], summary: Summary) -> list[str]:
    """How the search went, and what a good score costs, as SVG; a chart of each other objective."""

    def drawn(draw: Callable[..., object]) -> str:
        def panel(figure: Figure) -> float:
            here = axes(figure, "search", _LEFT, _TOP, _WIDE - _LEFT - _RIGHT, _HIGH)
            trials = Trials.of(records, summary, 2 * here.bbox.width)  # the legend may have two rows
            draw(here, trials, summary)
            return _TOP - 14 - ROW * sum(isinstance(child, Legend) for child in here.get_children())

        return _svg(_WIDE, _TOP + _HIGH + _BELOW, panel)

    return [drawn(progress), *(drawn(partial(costs, objective=name)) for name in others(summary) or [""])]


def off_scale(records: Sequence[Record], summary: Summary) -> int:
    """How many scores :func:`search_charts` draws at the edge of their scale."""
    trials = Trials.of(records, summary, _WIDE)
    return trials.scale.off(values_of(trials.scored))


def line_chart(signature: Signature, shown: Sequence[Line], across: str) -> str:
    """Scores over something that is counted, as SVG.

    Args:
        signature: Of the tasks.
        shown: The lines, the one that matters last.
        across: What is counted, in words.
    """

    def panel(figure: Figure) -> None:
        lines(axes(figure, "lines", _LEFT, 16, _WIDE - _LEFT - _RIGHT, _HIGH), signature, shown, across)

    return _svg(_WIDE, 16 + _HIGH + _BELOW, panel)


def task_charts(signature: Signature, examples: Sequence[Example]) -> list[str]:
    """New tasks as the winner sees them, at most three, of images one, as SVG."""
    usable = [example for example in examples if len(example.support_x) and len(example.query_x)]
    if signature.kind == "classification" and len(signature.input_shape) == 3:
        return [_svg(*_EPISODE, partial(_images, example)) for example in usable[:1]]
    return [_svg(*_TASK, partial(_task, signature, example)) for example in usable[:_MOST]]


def task_caption(signature: Signature, tasks: int) -> str:
    """What :func:`task_charts` shows, in words."""
    if signature.kind == "classification":
        learned = f"learned from {plural(signature.shots, 'example')} of each class"
        if len(signature.input_shape) == 3:
            return f"A new task, {learned}. Framed green: right. Framed red: wrong, with the class taken."
        marks = "Blue: probability of a class. Framed: the true class. Cross: taken for another."
        return f"{_COUNTS[tasks]} new, {learned}. {marks}"
    learned = f"learned from {plural(signature.shots, 'example')} each"
    if (signature.input_shape, signature.outputs) == ((1,), 1):
        return f"{_COUNTS[tasks]} new, {learned}: the dots. Violet: the prediction. Grey: the truth."
    return f"{_COUNTS[tasks]} new, {learned}. Each dot a query: on the line the prediction is exact."


def _images(example: Example, figure: Figure) -> None:
    episode(axes(figure, "task", 8, 4, _EPISODE[0] - 16, _EPISODE[1] - 8), example)


def _task(signature: Signature, example: Example, figure: Figure) -> None:
    classes = signature.kind == "classification"
    curves = not classes and (signature.input_shape, signature.outputs) == ((1,), 1)
    panel = axes(figure, "task", 66, 30, _TASK[0] - 82, _TASK[1] - 82)
    (probabilities if classes else curve if curves else scatter)(panel, example)
    panel.set_title(task_score(example, signature), loc="right", size=SMALL, color=QUIET, pad=5)
    panel.set_xlabel("queries, by their true class" if classes else "input" if curves else "true")


def _svg(wide: float, high: float, draw: Callable[[Figure], float | None]) -> str:
    """A figure as the text of an SVG file; the same figure gives the same text.

    Args:
        wide: Pixels.
        high: Pixels.
        draw: Draws it; may return how many pixels it left free at the top, which are cut off.
    """
    text = StringIO()
    with styled():
        figure = Figure(figsize=(wide / DPI, high / DPI), dpi=DPI, facecolor="white")
        free = draw(figure) or 0.0
        cut = Bbox.from_bounds(0, 0, wide / DPI, (high - free) / DPI)
        canvas = FigureCanvasSVG(figure)
        told: dict[str, Any] = {"metadata": {"Date": None, "Creator": None}}
        canvas.print_figure(text, format="svg", dpi=_CRISP, bbox_inches=cut, **told)
    return text.getvalue()
