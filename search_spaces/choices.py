"""The kinds of choice a space is made of: data, each one able to draw, check, move and encode."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from search_spaces.candidate import Value
from search_spaces.errors import SpaceError


class Suggests(Protocol):
    """The part of ``optuna.Trial`` that a choice needs."""

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...
    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...
    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...


@dataclass(frozen=True)
class Categorical:
    """One of a few values; a value may open further choices.

    Args:
        name: Dotted name, unique in its space.
        values: In their order if ``ordered``.
        branches: For some of the values, the choices that it opens.
        ordered: Whether neighbours are alike (widths), so that mutation moves one step.
    """

    name: str
    values: tuple[Value, ...]
    branches: Mapping[Value, tuple[Choice, ...]] = field(default_factory=dict)
    ordered: bool = False

    def __post_init__(self) -> None:
        if odd := [value for value in self.values if not isinstance(value, str | int | float)]:
            raise SpaceError(f"{self.name}: a value is text, a number, true or false, not {odd[0]!r}")
        # 1, 1.0 and True are equal, to Optuna too: only one of them can be a value
        if not self.values or len(set(self.values)) < len(self.values):
            raise SpaceError(f"{self.name}: values should be distinct and at least one, got {self.values}")
        if strangers := [key for key in self.branches if key not in self.values]:
            raise SpaceError(f"{self.name}: branches for {strangers}, which are not among {self.values}")

    @property
    def width(self) -> int:
        return len(self.values)

    def draw(self, rng: np.random.Generator) -> Value:
        return self.values[int(rng.integers(len(self.values)))]

    def move(self, value: Value, rng: np.random.Generator) -> Value:
        """Another value: a neighbour if ordered, else any other; the same if there is only one."""
        at = self.values.index(value)
        near = (at - 1, at + 1) if self.ordered else range(len(self.values))
        others = [i for i in near if i != at and 0 <= i < len(self.values)]
        return self.values[others[int(rng.integers(len(others)))]] if others else value

    def check(self, value: Value) -> None:
        if _typed(value) not in {_typed(known) for known in self.values}:
            raise SpaceError(f"{self.name} should be one of {list(self.values)}, got {value!r}")

    def suggest(self, trial: Suggests) -> Value:
        value: Value = trial.suggest_categorical(self.name, list(self.values))
        return self.values[self.values.index(value)]  # equal to it: NumPy's text is not ours

    def encode(self, value: Value) -> list[float]:
        """One-hot over ``values``."""
        return [float(value == known) for known in self.values]


@dataclass(frozen=True)
class Integer:
    """A whole number from ``low`` to ``high``, both included."""

    name: str
    low: int
    high: int
    log: bool = False
    width = 1

    def __post_init__(self) -> None:
        _check_range(self)
        if not (isinstance(self.low, int) and isinstance(self.high, int)):
            raise SpaceError(f"{self.name}: the ends should be whole numbers, got {self}")

    def draw(self, rng: np.random.Generator) -> int:
        if not self.log:
            return int(rng.integers(self.low, self.high + 1))
        return min(max(round(decode(self, rng.random())), self.low), self.high)

    def move(self, value: Value, rng: np.random.Generator) -> int:
        """A number near by, never the same unless there is only one."""
        moved = round(decode(self, _nudge(self, value, rng)))
        if moved != value or self.low == self.high:
            return moved
        down = value == self.high or (value != self.low and rng.random() < 0.5)
        return int(value) + (-1 if down else 1)

    def check(self, value: Value) -> None:
        _check_number(self, value, int)

    def suggest(self, trial: Suggests) -> int:
        return trial.suggest_int(self.name, self.low, self.high, log=self.log)

    def encode(self, value: Value) -> list[float]:
        """In [0, 1], on the scale of the choice."""
        return [_encode(self, value)]


@dataclass(frozen=True)
class Real:
    """A real number from ``low`` to ``high``; never changes the shape of a computation."""

    name: str
    low: float
    high: float
    log: bool = False
    width = 1

    def __post_init__(self) -> None:
        _check_range(self)
        # a value that touches a whole end would else become a whole number, and so another candidate
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))

    def draw(self, rng: np.random.Generator) -> float:
        return decode(self, rng.random())

    def move(self, value: Value, rng: np.random.Generator) -> float:
        """A number near by: a Gaussian step of a sixth of the range, reflected at its ends."""
        return decode(self, _nudge(self, value, rng))

    def check(self, value: Value) -> None:
        _check_number(self, value, float)

    def suggest(self, trial: Suggests) -> float:
        return float(trial.suggest_float(self.name, self.low, self.high, log=self.log))

    def encode(self, value: Value) -> list[float]:
        """In [0, 1], on the scale of the choice."""
        return [_encode(self, value)]


Choice = Categorical | Integer | Real


def prefixed(prefix: str, choices: tuple[Choice, ...]) -> tuple[Choice, ...]:
    """The same choices under dotted names, branches included: ``depth`` → ``prefix.depth``."""
    return tuple(_renamed(prefix, choice) for choice in choices)


def _renamed(prefix: str, choice: Choice) -> Choice:
    name = f"{prefix}.{choice.name}"
    if isinstance(choice, Categorical):
        branches = {value: prefixed(prefix, below) for value, below in choice.branches.items()}
        return Categorical(name, choice.values, branches, choice.ordered)
    if isinstance(choice, Integer):
        return Integer(name, choice.low, choice.high, choice.log)
    return Real(name, choice.low, choice.high, choice.log)


def _typed(value: Value) -> tuple[str, Value]:
    return type(value).__name__, value  # a candidate that says True or 1.0 for 1 is another one


def _check_range(choice: Integer | Real) -> None:
    finite = _finite(choice.low) and _finite(choice.high)
    if not finite or choice.low > choice.high or (choice.log and choice.low <= 0):
        rule = "low <= high, and low > 0 if logarithmic"
        got = f"low {choice.low}, high {choice.high}{', logarithmic' if choice.log else ''}"
        raise SpaceError(f"{choice.name}: should have {rule}, got {got}")


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can be
        return False


def _check_number(choice: Integer | Real, value: Value, kind: type[int] | type[float]) -> None:
    allowed = (int,) if kind is int else (int, float)
    right = isinstance(value, allowed) and not isinstance(value, bool)
    if not right or not choice.low <= value <= choice.high:  # type: ignore[operator]
        word = "a whole number" if kind is int else "a number"
        raise SpaceError(f"{choice.name} should be {word} from {choice.low} to {choice.high}, got {value!r}")


def _encode(choice: Integer | Real, value: Value) -> float:
    low, high, at = (math.log(v) if choice.log else v for v in (choice.low, choice.high, float(value)))
    return (at - low) / (high - low) if high > low else 0.5


def decode(choice: Integer | Real, unit: float) -> float:
    """What lies at a part, from 0 to 1, of a range, on the scale of the choice."""
    low, high = (math.log(v) if choice.log else v for v in (choice.low, choice.high))
    at = low + unit * (high - low)
    return min(max(math.exp(at) if choice.log else at, choice.low), choice.high)


def _nudge(choice: Integer | Real, value: Value, rng: np.random.Generator) -> float:
    at = _encode(choice, value) + float(rng.normal(scale=1 / 6))
    at = abs(at)
    return min(max(1 - abs(1 - at), 0.0), 1.0)
