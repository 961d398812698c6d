"""One trial as a small picture: its network, its rule, and how it learned beside the others."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from metanas.report.layers import Box, boxes
from metanas.report.lettering import fitted, score_in_words, wrapped
from metanas.report.lines import Line, lines
from metanas.report.progress import empty
from metanas.report.style import DPI, INK, LARGE, QUIET, SMALL, WINNER, axes, styled, write
from metanas.words import in_words
from search_spaces import Record, Signature

SIZE = (720, 490)  # pixels
_EDGE, _BOXES, _HIGH = 20, 92, 104  # pixels: left free, where boxes begin, how high they are
_MOST, _ROWS, _TINY = 7, 6, 7.5  # boxes, their rows, points of their letters


def trial_png(record: Record, records: Sequence[Record], signature: Signature | None) -> bytes:
    """The picture as the bytes of a PNG file.

    Args:
        record: The trial.
        records: All of its study.
        signature: Of the tasks; None: of several families, over which scores are positions from 0, the
            best on each, to 1.
    """
    data = BytesIO()
    with styled():
        figure = Figure(figsize=(SIZE[0] / DPI, SIZE[1] / DPI), dpi=DPI, facecolor="white")
        _words(figure, record)
        _network(figure, boxes(record.candidate, signature))
        _curves(figure, record, records, signature)
        FigureCanvasAgg(figure).print_png(data, metadata={"Software": None})
    return data.getvalue()


def _words(figure: Figure, record: Record) -> None:
    score = _score(record)
    title = f"Trial {record.number}: {score}"
    words = "; ".join(in_words(record.candidate).values())
    room = SIZE[0] - 2 * _EDGE
    write(figure, _EDGE, 14, fitted(title, room, LARGE, "bold"), size=LARGE, weight="bold")
    below = wrapped(f"{record.state}, {record.reason}. {words}", room, 2, SMALL)
    write(figure, _EDGE, 42, below, size=SMALL, color=QUIET)


def _score(record: Record) -> str:
    if record.score is None:
        return "no score"
    if record.score.metric == "rank":
        return f"mean position {record.score.value:.2f} of 0 to 1"
    return score_in_words(record.score)


def _network(figure: Figure, found: list[Box]) -> None:
    panel = axes(figure, "network", 0, _BOXES, SIZE[0], _HIGH)
    panel.set(xlim=(0, SIZE[0]), ylim=(_HIGH, 0))
    panel.axis("off")
    shown = found if len(found) <= _MOST else [*found[:3], Box("…"), *found[-3:]]
    pitch = (SIZE[0] - 2 * _EDGE) / len(shown)
    wide = pitch - 18
    for i, box in enumerate(shown):
        left, colour = _EDGE + i * pitch, WINNER if box.adapts else INK
        shape = "round,pad=0,rounding_size=4"
        panel.add_patch(FancyBboxPatch((left, 1), wide, _HIGH - 2, shape, fc="white", ec=colour))
        for row, words in enumerate((box.name, *box.details[: _ROWS - 1])):
            weight = "normal" if row else "bold"
            text = fitted(words, wide - 10, _TINY, weight)
            panel.text(left + 6, 6 + 16 * row, text, size=_TINY, va="top", weight=weight, color=colour)
        if i + 1 < len(shown):
            panel.text(left + wide + 9, _HIGH / 2, "→", ha="center", va="center", color=INK)


def _curves(figure: Figure, record: Record, records: Sequence[Record], signature: Signature | None) -> None:
    panel = axes(figure, "curve", 96, _BOXES + _HIGH + 28, SIZE[0] - 96 - _EDGE, 212)
    if not record.valid_curve:
        panel.set_axis_off()
        empty(panel, "it has no score")
        return
    if signature is None:
        panel.plot(*_columns(record), color=WINNER, lw=1.8, marker="o", ms=5)
        panel.set(xlabel="meta-steps", ylabel="mean position, 0 is best", ylim=(-0.03, 1.03))
        return
    others = [other for other in records if other.number != record.number and other.valid_curve]
    pale = [Line(*_columns(other), pale=True) for other in others]
    lines(panel, signature, [*pale, Line(*_columns(record))], "meta-steps (grey: the other trials)")
    panel.set_ylabel(f"{panel.get_ylabel()}\non validation tasks", linespacing=1.3)


def _columns(record: Record) -> tuple[list[float], list[float]]:
    return [float(step) for step, _ in record.valid_curve], [value for _, value in record.valid_curve]
