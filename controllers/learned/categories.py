"""Codes as a few categories a choice, of which a policy gives each a probability."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from controllers.learned.codes import Codes, Column
from search_spaces import Categorical, Real

_MOST = 16  # whole numbers that are categories of their own; of a range with more, parts are
_PARTS = 8  # of such a range, and of one of real numbers


class Categories:
    """The choices of a space that have more than one value, in the order in which they open each other.

    A category is one value, or one of eight parts of a range, equal on the scale of the choice.

    Attributes:
        codes: Of the space.
        places: By choice, its column in rows of codes.
        counts: ``(J,)`` categories of each choice.
        most: K, the largest of these counts.
    """

    def __init__(self, codes: Codes) -> None:
        self.codes = codes
        self.places = [j for j, column in enumerate(codes.columns) if column.can_move]
        self._columns = [codes.columns[j] for j in self.places]
        self.counts = np.array([_count(column) for column in self._columns], dtype=int)
        self.most = int(self.counts.max(initial=1))

    @cached_property
    def exists(self) -> np.ndarray:
        """``(J, K)``: which categories there are."""
        return np.arange(self.most) < self.counts[:, None]

    def of(self, rows: np.ndarray) -> np.ndarray:
        """``(N, J, K)`` ones and zeros of rows of codes; all zeros where a choice is inactive."""
        found = np.zeros((len(rows), len(self.places), self.most))
        for j, (place, column) in enumerate(zip(self.places, self._columns, strict=True)):
            known = np.flatnonzero(~np.isnan(rows[:, place]))
            found[known, j, _category(column, rows[known, place])] = 1.0
        return found

    def drawn(self, j: int, categories: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """``(N,)`` codes of a choice by its categories ``(N,)``, uniformly within them."""
        column = self._columns[j]
        if _is_whole(column):
            return categories + column.lowest
        return column.at((categories + rng.random(len(categories))) / _PARTS)

    def known(self, home: Categories) -> tuple[np.ndarray, np.ndarray]:
        """Where another space has these categories.

        Returns:
            ``(J,)``: by choice, its number there, -1 of a name that is not there; ``(J, K)``: by category,
            the one there that has its value, or that of its middle; -1 where none has.
        """
        numbers = {column.choice.name: number for number, column in enumerate(home._columns)}
        at = np.array([numbers.get(column.choice.name, -1) for column in self._columns], dtype=int)
        to = np.full((len(at), self.most), -1)
        for j, there in enumerate(at):
            if there >= 0:
                to[j, : self.counts[j]] = _matched(self._columns[j], home._columns[int(there)])
        return at, to


def _is_whole(column: Column) -> bool:
    return isinstance(column.choice, Categorical) or 0 < column.steps < _MOST


def _count(column: Column) -> int:
    return column.steps + 1 if _is_whole(column) else _PARTS


def _category(column: Column, codes: np.ndarray) -> np.ndarray:
    if _is_whole(column):
        return (codes - column.lowest).astype(int)
    return (column.place(codes) * _PARTS).astype(int).clip(0, _PARTS - 1)


def _matched(ours: Column, theirs: Column) -> np.ndarray:
    every = np.arange(_count(ours))
    middles = every + ours.lowest if _is_whole(ours) else ours.at((every + 0.5) / _PARTS)
    values = [ours.value(code) for code in middles]
    if isinstance(ours.choice, Real) != isinstance(theirs.choice, Real):
        return np.full(len(every), -1)  # what is drawn from a range is none of a few numbers
    codes = np.array([theirs.code(value) for value in values])
    return np.array(
        [-1 if math.isnan(code) else int(_category(theirs, np.array([code]))[0]) for code in codes]
    )
