"""Scales that odd values do not spoil: what lies off them is drawn at their edge."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from metanas.report.inputs import Array
from search_spaces import Signature

_TINY, _HUGE = 1e-30, 1e30
_OUTLIER = 30.0  # times the third quartile: beyond it a value would squeeze the rest
_MARGIN = 0.09  # of the span
_NEAR_ONE, _NEAREST = 0.9, 0.9995
_FRACTIONS = (0.999, 0.99, 0.9, 0.5, 0.98, 0.95, 0.8, 0.0, 0.995, 0.2, 0.7, 0.6)  # ticks, the dearest first
_APART = 0.08  # of the height, between ticks


@dataclass(frozen=True)
class Scale:
    """A range of scores: logarithmic for errors, and for what lacks to 100 % where that is little.

    Attributes:
        low: Its lower end.
        high: Its upper end.
        worst: Whichever of the two is the worse score.
        kind: ``"error"``, ``"fraction"``, or ``"near one"`` for fractions of which the best are.
    """

    low: float
    high: float
    worst: float
    kind: Literal["error", "fraction", "near one"]

    @classmethod
    def of(cls, signature: Signature, values: Iterable[float], marks: Iterable[float] = ()) -> Scale:
        """The scale for scores; ``marks`` are always inside, and values unless they are outliers."""
        if signature.higher_is_better:
            return cls._fractions(finite([*values, *marks]))
        return cls._errors(finite(values), finite(marks))

    @classmethod
    def _fractions(cls, found: Array) -> Scale:
        found = np.clip(found, 0.0, 1.0) if len(found) else np.array([0.0, 1.0])
        low, high = float(found.min()), float(found.max())
        if high < _NEAR_ONE:
            margin = max(_MARGIN * (high - low), 0.01)
            return cls(low - margin, high + margin, low - margin, "fraction")
        ends = _nearness(np.array([min(low, 0.98), min(high, _NEAREST)]))
        margin = _MARGIN * float(np.ptp(ends))
        low, high = (float(end) for end in _fraction(ends + np.array([-margin, margin])))
        return cls(low, high, low, "near one")

    @classmethod
    def _errors(cls, values: Array, marks: Array) -> Scale:
        values, marks = (array[array > 0].clip(_TINY, _HUGE) for array in (values, marks))
        found = np.concatenate([values, marks])
        if not len(found):
            return cls(0.1, 10.0, 10.0, "error")
        most = _OUTLIER * np.quantile(values, 0.75) if len(values) else 0.0
        high = min(found.max(), max(most, marks.max(initial=0.0)))
        factor = max((high / found.min()) ** _MARGIN, 1.25)
        return cls(float(found.min() / factor), float(high * factor), float(high * factor), "error")

    def clip(self, values: Iterable[float]) -> Array:
        """The values, those off the scale at its edge, those that are no numbers at its worst one."""
        array = np.array(list(values), float)
        return np.where(np.isnan(array), self.worst, array).clip(self.low, self.high)

    def off(self, values: Iterable[float]) -> int:
        """How many of the values are worse than the scale, or no numbers."""
        array = np.array(list(values), float)
        beyond = array > self.high if self.worst == self.high else array < self.low
        return int((np.isnan(array) | beyond).sum())

    def set(self, panel: Axes) -> None:
        """Makes it the panel's vertical axis."""
        if self.kind == "error":
            panel.set(yscale="log", ylim=(self.low, self.high))
            label(panel.yaxis, log_ticks(self.low, self.high), lambda value: f"{value:.4g}")
        elif self.kind == "near one":
            panel.set_yscale("function", functions=(_nearness, _fraction))
            panel.set_ylim(self.low, self.high)
            label(panel.yaxis, self._fraction_ticks(), lambda value: f"{100 * value:.5g} %")
        else:
            panel.set_ylim(self.low, self.high)
            ticks = [tick / 100 for tick in _round_numbers(100 * self.low, 100 * self.high)]
            label(panel.yaxis, [tick for tick in ticks if tick >= 0], lambda value: f"{100 * value:.4g} %")

    def _fraction_ticks(self) -> list[float]:
        """Those that stand far enough from the dearer ones."""
        start, end = _nearness(np.array([self.low, self.high]))
        kept: dict[float, float] = {}
        for tick in _FRACTIONS:
            at = float((_nearness(np.array(tick)) - start) / (end - start))
            if 0 <= at <= 1 and all(abs(at - other) >= _APART for other in kept.values()):
                kept[tick] = at
        return sorted(kept)


def label(axis: Axis, ticks: Iterable[float], words: Callable[[float], str]) -> None:
    """Puts those of the ticks that are in view on an axis, and no others."""
    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: words(value)))
    axis.set_minor_locator(NullLocator())


def log_ticks(low: float, high: float) -> list[float]:
    """Some three to eight round numbers between two positive ones.

    Example:
        >>> log_ticks(0.9, 11.0)
        [1.0, 2.0, 5.0, 10.0]
    """
    decades = math.log10(high / low)
    if decades < 0.8:
        ticks = _round_numbers(low, high)
    else:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        step, digits = max(1, round(decades / 5)), (1, 2, 5) if decades < 2.2 else (1,)
        ticks = [float(f"{digit}e{power}") for power in range(first, last + 1, step) for digit in digits]
    return [tick for tick in ticks if low <= tick <= high]


def finite(values: Iterable[float]) -> Array:
    """Those of the values that are numbers."""
    array = np.array(list(values), float)
    return np.asarray(array[np.isfinite(array)])


def _round_numbers(low: float, high: float) -> list[float]:
    return [float(tick) for tick in np.asarray(MaxNLocator(5).tick_values(low, high))]


def _nearness(fractions: Array) -> Array:
    """Minus the logarithm of what lacks to one."""
    return np.asarray(-np.log(np.maximum(1 - np.asarray(fractions, float), 1e-6)))


def _fraction(nearness: Array) -> Array:
    """The inverse of :func:`_nearness`."""
    return np.asarray(1 - np.exp(-np.asarray(nearness, float)))
