"""Many candidates at once, as rows of numbers: to draw and move thousands of them in a millisecond."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce

import numpy as np

from search_spaces import Candidate, Categorical, Choice, Integer, Real, Space, Value

Among = Callable[[np.ndarray], np.ndarray]
_STEP = 1 / 6  # of its range, by which a number moves: as search_spaces.choices does
SAME = 0.2  # of its range, by which real numbers differ too little to make another candidate


@dataclass
class Column:
    """One choice of a space.

    A code is the index of a category, and else the number itself.

    Attributes:
        choice: Whose codes.
        openers: ``(column, indices of its categories)`` that make it active; none: it always is.
    """

    choice: Choice
    openers: list[tuple[int, list[int]]] = field(default_factory=list)

    @cached_property
    def is_named(self) -> bool:
        """Whether its values have no order."""
        return isinstance(self.choice, Categorical) and not self.choice.ordered

    @cached_property
    def steps(self) -> int:
        """Between its lowest and its highest value; 0 for real numbers, which have no steps."""
        if isinstance(self.choice, Categorical):
            return len(self.choice.values) - 1
        return self.choice.high - self.choice.low if isinstance(self.choice, Integer) else 0

    @cached_property
    def ends(self) -> tuple[float, float]:
        """Its lowest and its highest code, on the scale of the choice."""
        choice = self.choice
        if isinstance(choice, Categorical):
            return 0.0, float(self.steps)
        return (math.log(choice.low), math.log(choice.high)) if choice.log else (choice.low, choice.high)

    @property
    def lowest(self) -> float:
        """Its lowest code."""
        return 0.0 if isinstance(self.choice, Categorical) else float(self.choice.low)

    @property
    def can_move(self) -> bool:
        """Whether it has more than one value."""
        choice = self.choice
        return len(choice.values) > 1 if isinstance(choice, Categorical) else choice.high > choice.low

    def code(self, value: Value) -> float:
        """Of a value; NaN of one that the choice does not have."""
        choice = self.choice
        if isinstance(choice, Categorical):
            return float(choice.values.index(value)) if value in choice.values else math.nan
        if isinstance(value, str) or not choice.low <= value <= choice.high:
            return math.nan
        return float(value)

    def value(self, code: float) -> Value:
        """Of a code."""
        if isinstance(self.choice, Categorical):
            return self.choice.values[int(code)]
        return int(code) if isinstance(self.choice, Integer) else float(code)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """``(count,)`` codes, uniformly on the scale of the choice."""
        choice = self.choice
        if isinstance(choice, Categorical):
            return rng.integers(len(choice.values), size=count)
        if isinstance(choice, Integer) and not choice.log:
            return rng.integers(choice.low, choice.high + 1, size=count)
        return self.at(rng.random(count))

    def move(self, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Other codes, near by where the choice has an order."""
        choice = self.choice
        if self.is_named:
            return (codes + rng.integers(1, self.steps + 1, size=len(codes))) % (self.steps + 1)
        aside = np.where(rng.random(len(codes)) < 0.5, -1.0, 1.0)
        if isinstance(choice, Categorical):
            return _inside(codes, aside, 0, self.steps)
        nudged = np.abs(self.place(codes) + rng.normal(scale=_STEP, size=len(codes)))
        moved = self.at((1 - np.abs(1 - nudged)).clip(0, 1))
        if not isinstance(choice, Integer):
            return moved
        return np.where(moved == codes, _inside(codes, aside, choice.low, choice.high), moved)

    def place(self, codes: np.ndarray) -> np.ndarray:
        """``(N,)`` in [0, 1], on the scale of the choice; NaN where there is no code."""
        choice = self.choice
        if isinstance(choice, Categorical):
            return codes / max(1, self.steps)
        low, high = self.ends
        if high == low:
            return codes * 0 + 0.5
        return np.asarray(((np.log(codes) if choice.log else codes) - low) / (high - low))

    def at(self, places: np.ndarray) -> np.ndarray:
        """``(N,)`` codes of a number at places in [0, 1] on its scale."""
        (low, high), choice = self.ends, self.choice
        assert not isinstance(choice, Categorical)
        at = low + places * (high - low)
        codes = np.exp(at) if choice.log else at
        # without the sign of -0.0: rows are the same by their bytes
        codes = codes.round() + 0.0 if isinstance(choice, Integer) else codes
        return np.asarray(np.minimum(np.maximum(codes, choice.low), choice.high))


class Codes:
    """The choices of a space as columns, such that what opens a choice stands left of it.

    Rows are ``(J,)`` codes, NaN where a choice is inactive; every row that is returned is a candidate of
    the space, forbidden ones included: see :meth:`legal`.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.columns = _ordered(space)
        self._at = {column.choice.name: i for i, column in enumerate(self.columns)}
        self._openers = [[(p, _among(self.columns[p], by)) for p, by in c.openers] for c in self.columns]
        opened = [repr(column.openers) for column in self.columns]
        # what the same opens is active together: the first place of each such group, and the group by place
        self._firsts = [opened.index(by) for by in dict.fromkeys(opened)]
        self._group = np.array([self._firsts.index(opened.index(by)) for by in opened], dtype=int)
        self._forbidden = [[self._met(*pair) for pair in rule.when.items()] for rule in space.forbidden]
        self._moves = np.array([column.can_move for column in self.columns], dtype=bool)

    def rows(self, candidates: Sequence[Candidate]) -> np.ndarray:
        """``(N, J)``; what a candidate lacks, or has of another space, is NaN or left out."""
        found = np.full((len(candidates), len(self.columns)), math.nan)
        for i, candidate in enumerate(candidates):
            for name, value in candidate.items():
                if name in self._at:
                    found[i, self._at[name]] = self.columns[self._at[name]].code(value)
        return found

    def candidate(self, row: np.ndarray) -> Candidate:
        """The candidate of a row."""
        active = (i for i, code in enumerate(row) if not math.isnan(code))
        return Candidate({self.columns[i].choice.name: self.columns[i].value(row[i]) for i in active})

    def differing(self, row: np.ndarray, others: np.ndarray, same: float = 0.0) -> np.ndarray:
        """``(N,)``: in how many choices others ``(N, J)`` differ from a row.

        Args:
            row: ``(J,)``.
            others: Rows.
            same: Part of its range, up to which a real number does not.
        """
        differs = (row != others) & ~(np.isnan(row) & np.isnan(others))
        for j, column in enumerate(self.columns):
            if same and isinstance(column.choice, Real):
                apart = np.abs(column.place(row[j : j + 1]) - column.place(others[:, j]))
                differs[:, j] &= ~(apart < same)
        return np.asarray(differs.sum(1))

    def uniform(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """``(count, J)``, every active choice drawn uniformly on its own scale."""
        return self._closed(self._drawn(rng, count))

    def neighbours(self, rows: np.ndarray, rng: np.random.Generator, changes: int) -> np.ndarray:
        """``(N, J)``: of each row, with so many of its choices moved and what they newly open drawn."""
        order = rng.random(rows.shape)
        order[np.isnan(rows) | ~self._moves] = 2.0
        chosen = (np.argsort(np.argsort(order, axis=1), axis=1) < changes) & (order < 2.0)
        found = np.where(np.isnan(rows), self._drawn(rng, len(rows)), rows)
        for j in np.flatnonzero(chosen.any(0)):
            here = chosen[:, j]
            found[here, j] = self.columns[j].move(found[here, j], rng)
        return self._closed(found)

    def repaired(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """``(N, J)``: what rows of another space lack is drawn, what is not active is left out."""
        return self._closed(np.where(np.isnan(rows), self._drawn(rng, len(rows)), rows))

    def crossed(self, a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """``(N, J)``: each choice from one of two rows ``(N, J)``, where they have it."""
        taken = np.where(rng.random(a.shape) < 0.5, a, b)
        taken = np.where(np.isnan(taken), np.where(np.isnan(a), b, a), taken)
        return self._closed(np.where(np.isnan(taken), self._drawn(rng, len(a)), taken))

    def legal(self, rows: np.ndarray) -> np.ndarray:
        """``(N,)``: whether a row is not forbidden."""
        found = np.ones(len(rows), dtype=bool)
        for when in self._forbidden:
            found &= ~np.all([among(rows[:, j]) for j, among in when], axis=0)
        return found

    def _met(self, name: str, values: Sequence[Value]) -> tuple[int, Among]:
        """A column, and which of its codes are those of some values."""
        column = self.columns[self._at[name]]
        codes = [column.code(value) for value in values]
        return self._at[name], _among(column, [code for code in codes if not math.isnan(code)])

    def _drawn(self, rng: np.random.Generator, count: int) -> np.ndarray:
        found = np.empty((count, len(self.columns)))
        for j, column in enumerate(self.columns):
            found[:, j] = column.draw(rng, count)
        return found

    def active(self, rows: np.ndarray, place: int) -> np.ndarray:
        """``(N,)``: whether the choice at a place is, by what stands left of it."""
        if not self._openers[place]:
            return np.ones(len(rows), dtype=bool)
        return np.asarray(np.any([among(rows[:, parent]) for parent, among in self._openers[place]], axis=0))

    def _closed(self, codes: np.ndarray) -> np.ndarray:
        """NaN where a choice is not active."""
        active = np.ones((len(codes), len(self._firsts)), dtype=bool)
        for i, place in enumerate(self._firsts):
            if self._openers[place]:  # all of which stand left of it
                by = (among(codes[:, p]) & active[:, self._group[p]] for p, among in self._openers[place])
                active[:, i] = reduce(np.logical_or, by)
        codes[~active[:, self._group]] = math.nan
        return codes


def _among(column: Column, codes: Sequence[float]) -> Among:
    """Which of codes ``(N,)`` are some of them; quick, since it is asked of every row that is drawn."""
    if not isinstance(column.choice, Categorical):
        return lambda found: np.isin(found, codes)
    known = np.zeros(len(column.choice.values) + 1, dtype=bool)  # the last: of those that are inactive
    known[[int(code) for code in codes]] = True
    return lambda found: known[np.where(np.isnan(found), -1, found).astype(int)]


def _ordered(space: Space) -> list[Column]:
    """The choices, those that open others first."""
    places: dict[str, list[tuple[str, list[int]]]] = {name: [] for name in space.flat}
    for name, choice in space.flat.items():
        for index, value in enumerate(choice.values if isinstance(choice, Categorical) else ()):
            for below in choice.branches.get(value, ()):  # type: ignore[union-attr]
                known = places[below.name]
                if known and known[-1][0] == name:
                    known[-1][1].append(index)
                else:
                    known.append((name, [index]))
    names: dict[str, int] = {}
    while len(names) < len(places):
        ready = (n for n, by in places.items() if n not in names and all(parent in names for parent, _ in by))
        names[next(ready)] = len(names)
    return [Column(space.flat[n], [(names[parent], by) for parent, by in places[n]]) for n in names]


def _inside(codes: np.ndarray, aside: np.ndarray, low: int, high: int) -> np.ndarray:
    """One step to the side, to the other one at an end."""
    moved = codes + aside
    inside = (moved >= low) & (moved <= high)
    return np.asarray(np.minimum(np.maximum(np.where(inside, moved, codes - aside), low), high))
