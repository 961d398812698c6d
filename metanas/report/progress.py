"""The panel of how the search went: the best score over the time spent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from metanas.report.inputs import Array, Summary
from metanas.report.legend import keys
from metanas.report.lettering import METRICS, fitted, score_in_words
from metanas.report.scales import Scale
from metanas.report.style import INK, QUIET, WINNER, WRONG
from metanas.report.trials import Trials, values_of
from search_spaces import Record, Score

_UNITS = (("seconds", 1.0, 180.0), ("minutes", 60.0, 180.0 * 60), ("hours", 3600.0, math.inf))
_BASELINE = 250  # pixels that its name may take


def progress(panel: Axes, trials: Trials, summary: Summary) -> None:
    """Draws the best validation score over time, every trial, and how the winner did on test tasks."""
    ends, unit = _spent(trials.records)
    end = {record.number: at for record, at in zip(trials.records, ends, strict=True)}
    at = np.array([end[record.number] for record in trials.scored])
    last = float(ends[-1]) if len(ends) else 1.0
    _axes(panel, trials.scale, summary, last, unit)
    shown = _final(panel, trials.scale, summary)
    if len(at):
        best = trials.scale.clip(best_so_far(values_of(trials.scored), summary.signature.higher_is_better))
        line: dict[str, Any] = {"color": INK, "lw": 1.8}
        panel.step([*at, last], [*best, best[-1]], where="post", zorder=3, label="best so far", **line)
        shown.insert(0, Line2D([], [], label="best so far", **line))
    else:
        empty(panel)
    trials.dots(panel, trials.scored, at)
    failed = [end[number] for number in sorted(trials.unscored)]
    foot = panel.get_xaxis_transform()
    panel.plot(failed, [0.03] * len(failed), "x", color=INK, ms=5, transform=foot, label="failed", zorder=4)
    keys(panel, trials.keys(), row=keys(panel, shown))


def best_so_far(values: Sequence[float], higher_is_better: bool) -> Array:
    """The best of the values up to each; no number is the worst of all.

    Example:
        >>> best_so_far([float("nan"), 3.0, 5.0, 2.0], higher_is_better=False).tolist()
        [inf, 3.0, 3.0, 2.0]
    """
    worst = -math.inf if higher_is_better else math.inf
    array = np.array(values, float)
    best = np.maximum if higher_is_better else np.minimum
    return np.asarray(best.accumulate(np.where(np.isnan(array), worst, array)))


def empty(panel: Axes, words: str = "no trial has a score yet") -> None:
    """Says on a panel that there is nothing to draw."""
    panel.text(0.5, 0.5, words, transform=panel.transAxes, ha="center", va="center", color=QUIET)


def name_scores(panel: Axes, summary: Summary) -> None:
    """Names the axis of validation scores."""
    panel.set_ylabel(f"{METRICS[summary.signature.metric]}\non validation tasks", linespacing=1.3)


def _axes(panel: Axes, scale: Scale, summary: Summary, last: float, unit: str) -> None:
    panel.set_xlim(0, 1.03 * last)
    panel.xaxis.set_major_locator(MaxNLocator(7, integer=unit == "trials"))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    panel.set_xlabel("trials" if unit == "trials" else f"{unit} spent on trials")
    scale.set(panel)
    name_scores(panel, summary)


def _spent(records: Sequence[Record]) -> tuple[Array, str]:
    """When each trial ended, and in what unit; the number of trials where no time is known."""
    seconds = np.array([record.costs.seconds for record in records], float)
    ends = np.cumsum(np.where(np.isfinite(seconds), seconds, 0.0).clip(0.0, 1e9))
    if not len(ends) or ends[-1] <= 0:
        return np.arange(1.0, len(records) + 1), "trials"
    unit, size = next((unit, size) for unit, size, most in _UNITS if ends[-1] <= most)
    return ends / size, unit


def _final(panel: Axes, scale: Scale, summary: Summary) -> list[Artist]:
    """Draws the test score and the baseline that it is measured against; their legend."""
    shown: list[Artist] = []
    if test := summary.test:
        ends = (test.value - test.ci95, test.value + test.ci95)
        if all(map(math.isfinite, ends)):
            panel.axhspan(*scale.clip(ends), color=WINNER, alpha=0.25, lw=0, zorder=1, label="test interval")
        _across(panel, scale, test, "test", color=WINNER, lw=1.5)
        words = f"test: winner {score_in_words(test, interval=False)}"
        shown.append(Patch(facecolor="#d6cde6", edgecolor=WINNER, label=words))
    if summary.baselines:
        name, score = next(iter(summary.baselines.items()))
        _across(panel, scale, score, "baseline", color=WRONG, lw=1.5, ls="--")
        words = f"test: {fitted(name, _BASELINE)} {score_in_words(score, interval=False)}"
        shown.append(Line2D([], [], color=WRONG, lw=1.5, ls="--", label=words))
    return shown


def _across(panel: Axes, scale: Scale, score: Score, name: str, **line: Any) -> None:
    panel.axhline(float(scale.clip([score.value])[0]), zorder=2, label=name, **line)
