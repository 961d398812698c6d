"""The panel of what a good score costs: score against multiply-adds, or what else is to be small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from metanas.goals import LATENCY, PARAMETERS, SCORE
from metanas.report.inputs import Array, Summary
from metanas.report.legend import keys
from metanas.report.lettering import amount
from metanas.report.progress import empty, name_scores
from metanas.report.scales import label, log_ticks
from metanas.report.style import QUIET
from metanas.report.trials import Trials, ring, values_of
from search_spaces import Record

_USUAL = (("multiply_adds", "multiply-adds to learn one task and answer"), ("parameters", "parameters"))
_OBJECTIVES = {
    LATENCY: (("adapt_ms", "milliseconds to learn one task and answer"),),
    PARAMETERS: (("parameters", "parameters"),),
}
_LEAST = 1e-3  # of a cost on a logarithmic axis


def costs(panel: Axes, trials: Trials, summary: Summary, objective: str = "") -> int:
    """Draws score against multiply-adds, or against parameters where those are not known.

    Where there are several objectives it is one of them, the first unless it is named, and what is on their
    common front is marked.

    Returns:
        The lowest row above the panel that has no key.
    """
    objective = objective or next(iter(others(summary)), "")
    counts, what = _counts(trials.scored, objective)
    known = [record for record in trials.scored if record.number in counts]
    trials.scale.set(panel)
    name_scores(panel, summary)
    panel.set_xlabel(what)
    if not known:
        panel.set_xticks([])
        if not trials.scored:
            empty(panel)
        return 0
    x = np.array([counts[record.number] for record in known])
    high = _cost_axis(panel, x)
    shown = _front(panel, trials, summary, known, x, high)
    trials.dots(panel, known, x)
    shown += _on_front(panel, trials, summary, known, x)
    if trials.winner and trials.winner.number in counts:
        shown.insert(0, ring([], [], 10))
    return keys(panel, shown)


def others(summary: Summary) -> list[str]:
    """The objectives beside the score."""
    return [name for name in summary.goals.objectives if name != SCORE]


def front(x: Array, values: Array, higher_is_better: bool) -> Array:
    """Indices of those that none of the same cost or a lower one beats, by cost.

    Args:
        x: Costs ``(N,)``.
        values: Scores ``(N,)``.
        higher_is_better: Of the scores.

    Example:
        >>> front(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.9, 0.1]), higher_is_better=False).tolist()
        [0, 2]
    """
    losses = -values if higher_is_better else values
    kept: list[int] = []
    for i in np.lexsort((losses, x)):
        if np.isfinite(losses[i]) and (not kept or losses[i] < losses[kept[-1]]):
            kept.append(int(i))
    return np.array(kept, int)


def _counts(records: Sequence[Record], objective: str) -> tuple[dict[int, float], str]:
    """The cost of each trial by its number, and what it is."""
    kinds, least = _OBJECTIVES.get(objective, _USUAL), _LEAST if objective == LATENCY else 1.0
    for name, words in kinds:
        found = {record.number: getattr(record.costs, name) for record in records}
        known = {number: max(least, float(count)) for number, count in found.items() if count is not None}
        if known:
            return known, words
    return {}, f"{objective or 'multiply-adds'} (not measured)"


def _on_front(
    panel: Axes, trials: Trials, summary: Summary, known: Sequence[Record], x: Array
) -> list[Artist]:
    """Marks what no other trial beats in all of several objectives; the legend of that."""
    if not summary.goals.several:
        return []
    numbers = {record.number for record in summary.goals.front(trials.scored)}
    here = [i for i, record in enumerate(known) if record.number in numbers]
    y = trials.scale.clip(values_of([known[i] for i in here]))
    mark: dict[str, Any] = {"ls": "", "marker": "o", "mec": QUIET, "mew": 1.2, "markerfacecolor": "none"}
    panel.plot(x[here], y, ms=10, clip_on=False, zorder=6, label="front", **mark)
    return [Line2D([], [], ms=8, label="on the front", **mark)]


def _cost_axis(panel: Axes, x: Array) -> float:
    """Spans the costs; its upper end."""
    factor = max((x.max() / x.min()) ** 0.05, 1.25)
    low, high = float(x.min() / factor), float(x.max() * factor)
    panel.set(xscale="log", xlim=(low, high))
    label(panel.xaxis, log_ticks(low, high), amount)
    return high


def _front(
    panel: Axes, trials: Trials, summary: Summary, records: Sequence[Record], x: Array, end: float
) -> list[Artist]:
    """Draws the steps of the front as far as they are on the scale; their legend."""
    scale, values = trials.scale, np.array(values_of(records))
    best = front(x, values, summary.signature.higher_is_better)
    best = best[[not scale.off([value]) for value in values[best]]]
    if not len(best):
        return []
    y = scale.clip(values[best])
    words = "best at its cost or below"
    panel.step([*x[best], end], [*y, y[-1]], where="post", color=QUIET, lw=1.3, zorder=2, label=words)
    return [Line2D([], [], color=QUIET, lw=1.3, label=words)]
