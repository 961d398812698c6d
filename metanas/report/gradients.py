"""One picture of a meta-gradient: norms by step and layer, first against second order, what was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from metanas.debugging import Diagnosis
from metanas.report.lettering import fitted, number, wrapped
from metanas.report.style import (
    DPI,
    INK,
    PALE,
    QUIET,
    RIGHT,
    RULES,
    SIZE,
    SMALL,
    TEXT,
    WRONG,
    axes,
    styled,
    title,
    write,
)

_EDGE, _LABELS, _GAP = 36, 150, 46  # pixels
_TOP, _HIGH = 190, 360  # of the upper panels
_WIDE = (SIZE[0] - 2 * _EDGE - 3 * _LABELS - 2 * _GAP) // 3
_LOW, _LOW_HIGH = 660, 170  # of the lower ones
_ROWS, _COLUMNS, _UPRIGHT = 14, 4, 5  # layers and steps beyond which numbers do not fit, or stand upright


def png(name: str, words: str, found: Diagnosis) -> bytes:
    """The picture as the bytes of its file.

    Args:
        name: Of what was looked at.
        words: What it is, in a line or two.
        found: What is drawn.
    """
    data = BytesIO()
    with styled():
        FigureCanvasAgg(_figure(name, words, found)).print_png(data, metadata={"Software": None})
    return data.getvalue()


def figure(name: str, words: str, found: Diagnosis) -> Figure:
    """The same as matplotlib's own object; axes ``gradients``, ``meta_gradients``, ``orders``, ``losses``."""
    with styled():
        return _figure(name, words, found)


def _figure(name: str, words: str, found: Diagnosis) -> Figure:
    drawn = Figure(figsize=(SIZE[0] / DPI, SIZE[1] / DPI), dpi=DPI, facecolor="white")
    room = SIZE[0] - 2 * _EDGE
    write(drawn, _EDGE, 22, fitted(name, room, 20, "bold"), size=20, weight="bold")
    write(drawn, _EDGE, 62, wrapped(words, 0.95 * room, 2), color=QUIET, linespacing=1.25)
    lefts = [_EDGE + _LABELS + i * (_WIDE + _LABELS + _GAP) for i in range(3)]
    steps = len(found.gradients)
    titles = ("Gradient of the support loss", "Meta-gradient, by parameters", "First against second order")
    for left, text in zip(lefts, titles, strict=True):
        title(drawn, left - _LABELS, _TOP - 62, text)
    _norms(drawn, "gradients", lefts[0], found.layers, found.gradients, [str(k + 1) for k in range(steps)])
    _norms(
        drawn,
        "meta_gradients",
        lefts[1],
        found.layers,
        found.meta_gradients,
        [str(k) for k in range(steps + 1)],
    )
    _orders(axes(drawn, "orders", lefts[2], _TOP, _WIDE, _HIGH), found)
    title(drawn, _EDGE, _LOW - 44, "Support loss by inner step")
    _losses(axes(drawn, "losses", lefts[0], _LOW, _WIDE, _LOW_HIGH), found)
    _findings(drawn, lefts[1] - _LABELS, found)
    return drawn


def _norms(
    drawn: Figure,
    name: str,
    left: int,
    layers: Sequence[str],
    rows: Sequence[Sequence[float]],
    steps: Sequence[str],
) -> None:
    panel = axes(drawn, name, left, _TOP, _WIDE, _HIGH)
    panel.grid(visible=False)
    if not rows:
        panel.set_axis_off()
        panel.text(0.5, 0.5, "no inner steps", ha="center", color=QUIET, transform=panel.transAxes)
        return
    values = np.array(rows, float).T  # (layers, steps)
    shown = np.where(np.isfinite(values) & (values > 0), values, np.nan)
    if np.isfinite(shown).any():
        low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
        scale = LogNorm(max(low, high * 1e-8) / 1.5, high * 1.5)
        panel.imshow(shown, aspect="auto", cmap="Blues", norm=scale, interpolation="nearest")
        words = f"{number(low)} (pale) to {number(high)} (dark), logarithmic"
        panel.set_title(words, loc="left", size=SMALL, color=QUIET, pad=5)
    panel.set(xlim=(-0.5, len(steps) - 0.5), ylim=(len(layers) - 0.5, -0.5))
    panel.set_xticks(range(len(steps)), steps)
    panel.set_yticks(range(len(layers)), [fitted(layer, _LABELS - 12) for layer in layers])
    panel.set_xlabel("inner step" if name == "gradients" else "after inner step")
    panel.tick_params(length=0)
    for row, column in np.ndindex(values.shape):
        _cell(panel, column, row, float(values[row, column]), values.shape)


def _cell(panel: Axes, column: int, row: int, value: float, shape: tuple[int, ...]) -> None:
    broken, upright = not math.isfinite(value), shape[1] > _COLUMNS
    if broken or shape[0] <= (_UPRIGHT if upright else _ROWS):
        panel.text(
            column,
            row,
            "NaN" if broken else number(value),
            ha="center",
            va="center",
            rotation=90 if upright else 0,
            size=SMALL - 1.5,
            color=WRONG if broken else INK,
        )


def _orders(panel: Axes, found: Diagnosis) -> None:
    if not found.orders:
        panel.set_axis_off()
        panel.text(0.5, 0.5, "nothing to compare", ha="center", color=QUIET, transform=panel.transAxes)
        return
    names = list(found.orders)[:_ROWS]
    places = np.arange(len(names))
    cosines, lengths = (np.array([found.orders[name][i] for name in names]) for i in (0, 1))
    panel.barh(places - 0.19, np.nan_to_num(cosines), 0.36, color=RULES[0], label="cosine")
    panel.barh(
        places + 0.19, np.nan_to_num(lengths).clip(0, 2), 0.36, color=RULES[4], label="length, first / second"
    )
    panel.axvline(1.0, color=PALE, lw=1)
    panel.set(
        xlim=(min(0.0, float(np.nan_to_num(cosines).min())) - 0.05, 2.02), ylim=(len(names) - 0.5, -0.5)
    )
    panel.set_yticks(places, [fitted(name, _LABELS - 12) for name in names])
    panel.tick_params(axis="y", length=0)
    panel.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, borderpad=0.2)


def _losses(panel: Axes, found: Diagnosis) -> None:
    if not found.losses:
        panel.set_axis_off()
        return
    values = np.array(found.losses, float)
    panel.plot(range(len(values)), values, color=RULES[0], lw=2, marker="o", ms=4)
    if np.isfinite(values).all() and values.min() > 0 and values.max() > 20 * values.min():
        panel.set_yscale("log")
    panel.set_xticks(range(len(values)), [str(k) for k in range(len(values))])
    panel.set_xlabel("after inner step")


def _findings(drawn: Figure, left: int, found: Diagnosis) -> None:
    title(drawn, left, _LOW - 44, "Found")
    room, top = SIZE[0] - _EDGE - left - 24, _LOW
    for fine, what in found.findings():
        write(drawn, left, top, "✓" if fine else "✗", color=RIGHT if fine else WRONG, weight="bold")
        text = wrapped(what, room, 2)
        write(drawn, left + 24, top, text, size=TEXT, linespacing=1.25)
        top += 26 + 20 * text.count("\n")
    write(drawn, left + 24, top + 4, f"outer loss {number(found.outer)}", color=QUIET)
