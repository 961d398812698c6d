"""The panel of scores over something that is counted: labelled examples, steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from metanas.report.inputs import Array
from metanas.report.lettering import METRICS, amount
from metanas.report.scales import Scale
from metanas.report.style import PALE, WINNER
from metanas.report.trials import CROWD, ring
from search_spaces import Signature

_FEW = 8  # points, up to which each has its tick


@dataclass(frozen=True)
class Line:
    """Scores over counts.

    Attributes:
        at: Counts, rising ``(N,)``.
        values: Scores ``(N,)``.
        ci95: Half widths of their intervals ``(N,)``; empty: not known.
        marked: The count that is ringed.
        pale: Whether it is there for comparison only.
    """

    at: Sequence[float]
    values: Sequence[float]
    ci95: Sequence[float] = ()
    marked: float | None = None
    pale: bool = False


def lines(panel: Axes, signature: Signature, shown: Sequence[Line], across: str) -> None:
    """Draws the lines; those that matter with their points, intervals and all."""
    dear = [line for line in shown if not line.pale]
    scale = Scale.of(signature, [v for line in shown for v in line.values], _ends(dear))
    scale.set(panel)
    _pale(panel, scale, [line for line in shown if line.pale])
    for line in dear:
        _line(panel, scale, line)
    counts = sorted({float(count) for line in dear for count in line.at})
    if len(counts) <= _FEW and not any(line.pale for line in shown):
        panel.xaxis.set_major_locator(FixedLocator(counts))
    else:
        panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: amount(value)))
    panel.set(xlabel=across, ylabel=METRICS[signature.metric])


def _pale(panel: Axes, scale: Scale, shown: Sequence[Line]) -> None:
    """Draws lines for comparison as one thing: there may be thousands."""
    if not shown:
        return
    found = [np.column_stack([np.array(line.at, float), scale.clip(line.values)]) for line in shown]
    style: dict[str, Any] = {"color": PALE, "alpha": 0.7, "zorder": 1, "rasterized": len(shown) > CROWD}
    panel.add_collection(LineCollection(found, linewidths=1.0, **style))
    points = np.concatenate(found)
    panel.plot(points[:, 0], points[:, 1], ".", ms=4, **style)


def _line(panel: Axes, scale: Scale, line: Line) -> None:
    at, values = np.array(line.at, float), scale.clip(line.values)
    panel.plot(at, values, color=WINNER, lw=1.8, marker="o", ms=5, zorder=3)
    if len(line.ci95):
        low, high = (scale.clip(np.array(line.values) + sign * np.array(line.ci95)) for sign in (-1, 1))
        panel.vlines(at, low, high, color=WINNER, lw=1.4, zorder=2)
    if line.marked is not None:
        here = at == line.marked
        panel.add_line(ring(list(at[here]), list(values[here]), 12))


def _ends(dear: Sequence[Line]) -> list[float]:
    """Ends of the intervals that can be drawn: of errors not those that reach below 0."""
    found: list[Array] = []
    for line in dear:
        values, ci95 = np.array(line.values, float), np.array(line.ci95 or [0.0] * len(line.values), float)
        found += [values + ci95, np.where(ci95 < values, values - ci95, values)]
    return [float(value) for array in found for value in array]
