"""The panels of what the winner makes of new tasks that are not images."""

from __future__ import annotations

import string

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from metanas.report.inputs import Array, Example
from metanas.report.lettering import number
from metanas.report.scales import finite
from metanas.report.style import INK, PALE, WINNER, WRONG
from search_spaces import Signature

_FEW = 30  # queries, up to which each is marked


def curve(panel: Axes, example: Example) -> None:
    """Draws a task of one feature and one target: truth, prediction, and what was learned from."""
    order = np.argsort(example.query_x[:, 0], kind="stable")
    x, truth, predicted = (a[order, 0] for a in (example.query_x, example.query_y, example.prediction))
    low, high = _ends(np.concatenate([truth, example.support_y[:, 0]]), 0.25)
    predicted = _inside(predicted, low - 9 * (high - low), high + 9 * (high - low))
    marker = "." if len(x) <= _FEW else ""
    panel.plot(x, truth, color=PALE, lw=5, solid_capstyle="round", label="truth", zorder=2)
    panel.plot(x, predicted, color=WINNER, lw=1.8, marker=marker, label="prediction", zorder=3)
    panel.add_line(_support(example.support_x[:, 0], example.support_y[:, 0]))
    panel.set_ylim(low, high)
    panel.set_ylabel("target")
    _few_ticks(panel)


def curve_keys() -> list[Line2D]:
    """The legend of :func:`curve`."""
    return [
        _support(np.array([]), np.array([])),
        Line2D([], [], color=WINNER, lw=1.8, label="prediction"),
        Line2D([], [], color=PALE, lw=5, label="truth"),
    ]


def scatter(panel: Axes, example: Example) -> None:
    """Draws a regression task of several features or targets: predicted against true."""
    truth, predicted = example.query_y.ravel(), example.prediction.ravel()
    ends = _ends(truth, 0.15)
    panel.plot(ends, ends, color=PALE, lw=1.5, label="exact", zorder=2)
    y = _inside(predicted, *ends)
    panel.scatter(truth, y, s=30, color=WINNER, alpha=0.8, edgecolors="white", linewidths=0.6, zorder=3)
    panel.set(xlim=ends, ylim=ends, ylabel="predicted")
    _few_ticks(panel)


def probabilities(panel: Axes, example: Example) -> None:
    """Draws a classification task: every query's probability of every class, the true one framed."""
    order = np.argsort(example.true, kind="stable")
    true, shown = example.true[order], softmax(example.prediction)[order]
    taken, classes = example.taken[order], shown.shape[1]
    panel.imshow(shown.T, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto", interpolation="nearest")
    panel.grid(False)
    for row in np.unique(true):
        at = np.flatnonzero(true == row)
        corner = (at[0] - 0.5, row - 0.5)
        panel.add_patch(Rectangle(corner, len(at), 1, fill=False, ec=INK, lw=1.4, clip_on=False))
    wrong = np.flatnonzero(taken != true)
    panel.plot(wrong, taken[wrong], "x", color=WRONG, ms=7, mew=2, label="wrong")
    panel.set_xticks([])
    named = range(0, classes, max(1, classes // 10))
    panel.set_yticks(named, [class_name(row) for row in named])
    panel.set_ylabel("class")


def softmax(logits: Array) -> Array:
    """Probabilities ``(Q, O)`` of logits ``(Q, O)``, those that are no numbers taken as very small."""
    bounded = np.nan_to_num(logits.astype(float), nan=-1e9, posinf=1e9, neginf=-1e9)
    powers = np.exp(np.maximum(bounded - bounded.max(1, keepdims=True), -700.0))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def class_name(index: int) -> str:
    """A, B, C and so on; numbers after Z."""
    return string.ascii_uppercase[index] if index < 26 else str(index + 1)


def task_score(example: Example, signature: Signature) -> str:
    """How well the example went, in words."""
    if signature.kind == "classification":
        return f"{int((example.taken == example.true).sum())} of {len(example.true)} right"
    with np.errstate(all="ignore"):
        return f"mean squared error {number(float(np.mean((example.prediction - example.query_y) ** 2)))}"


def _support(x: Array, y: Array) -> Line2D:
    line = Line2D(x, y, ls="", marker="o", color=INK, ms=7.5, mec="white", mew=0.9, zorder=4)
    line.set(label="learned from", clip_on=False)
    return line


def _ends(values: Array, margin: float) -> tuple[float, float]:
    """The ends of an axis that shows the values, and so much of their span beside them."""
    seen = finite(values).clip(-1e30, 1e30)
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    room = max(margin * (high - low), 1e-3 * max(abs(low), abs(high)), 1e-9)
    return low - room, high + room


def _inside(values: Array, low: float, high: float) -> Array:
    """The values as far as they can be drawn; a gap where there is no number."""
    return np.where(np.isnan(values), np.nan, np.clip(values, low, high))


def _few_ticks(panel: Axes) -> None:
    panel.xaxis.set_major_locator(MaxNLocator(6))
    panel.yaxis.set_major_locator(MaxNLocator(4))
