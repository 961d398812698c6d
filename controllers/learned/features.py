"""Candidates as vectors whose squared distances are what kernels need.

A category is one coordinate a value; a number or an ordered category is a row of switches, the first so many
of which are on, so that squared distances grow as the distance on its scale does. What a candidate does not
have stands in the middle, nearer to every value than the values are to each other, which keeps the kernels
positive definite and says that nothing is known there.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from controllers.learned.codes import Codes, Column
from search_spaces import Categorical

_SWITCHES = 16  # of a choice with more steps than that
_LISTED = 100  # steps of a choice whose vectors are kept


class Features:
    """See the module.

    Attributes:
        choices: That have more than one value.
        blocks: By such a choice, its columns of the vectors.
        groups: ``(B,)``: by block, the number of its part (architecture, rule, outer).
        widths: ``(B,)``: by block, how many columns it has.
        width: F, of a vector.
        middle: ``(F,)``: a candidate of which nothing is known.
        unit: By which vectors from there have a mean squared length of 1.
        alike: ``(F, A)``: adds up what stands for the same value of choices that have the same values.
    """

    def __init__(self, codes: Codes) -> None:
        self._columns = [(j, column) for j, column in enumerate(codes.columns) if column.can_move]
        self.choices = [column.choice for _, column in self._columns]
        ends = np.cumsum([0, *(_width(column) for _, column in self._columns)])
        self.blocks = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        self.widths = np.diff(ends)
        self.width = int(ends[-1])
        parts = [column.choice.name.partition(".")[0] for _, column in self._columns]
        self.groups = np.array([list(dict.fromkeys(parts)).index(part) for part in parts], dtype=int)
        self.alike = self._alike()
        self._lowest = np.array([column.lowest for column in codes.columns])
        every = [(j, column, block) for (j, column), block in zip(self._columns, self.blocks, strict=True)]
        # what has few values is looked up: hundreds of candidates a proposal ask for it
        self._listed = [(j, block, _switches(column)) for j, column, block in every if _is_listed(column)]
        self._others = _Numbers([one for one in every if not _is_listed(one[1])])
        nothing = np.full((1, len(codes.columns)), math.nan)
        self.middle = self.of(nothing)[0]
        drawn = self.of(codes.uniform(np.random.default_rng(0), 256)) - self.middle
        self.unit = 1 / math.sqrt(max(float((drawn**2).sum(1).mean()), 1e-9))

    def _alike(self) -> np.ndarray:
        kinds: dict[object, list[int]] = {}
        for index, (_, column) in enumerate(self._columns):
            kinds.setdefault(_kind(column), []).append(index)
        several = [indices for indices in kinds.values() if len(indices) > 1]
        found = [np.zeros((self.width, 0))]
        for indices in several:
            block = self.blocks[indices[0]]
            sums = np.zeros((self.width, block.stop - block.start))
            for index in indices:
                sums[self.blocks[index]] = np.eye(sums.shape[1]) / math.sqrt(len(indices))
            found.append(sums)
        return np.concatenate(found, 1)

    def of(self, rows: np.ndarray) -> np.ndarray:
        """``(N, F)`` of rows of codes; the most that a block adds to a squared distance is 1."""
        found = np.empty((len(rows), self.width))
        places = np.where(np.isnan(rows), -1, rows - self._lowest).astype(int)
        for j, block, switches in self._listed:
            found[:, block] = switches[places[:, j]]
        self._others.switch(rows, found)
        return found

    def centred(self, x: np.ndarray) -> np.ndarray:
        """``(N, F)``, seen from a candidate of which nothing is known; mean squared length about 1."""
        return np.asarray((x - self.middle) * self.unit)

    def bags(self, x: np.ndarray) -> np.ndarray:
        """``(N, A)``: how often values are taken, by :attr:`alike`."""
        found: np.ndarray = (x - self.middle) @ self.alike
        return found

    def columns(self, blocks: np.ndarray) -> np.ndarray:
        """Of the vectors, those of some blocks."""
        return np.concatenate([np.arange(self.width)[self.blocks[int(block)]] for block in blocks])

    def distances(self, a: np.ndarray) -> np.ndarray:
        """``(B, N, N)``: squared distances within vectors, by block."""
        found = [squared(a[:, block], a[:, block]) for block in self.blocks]
        return np.array(found).reshape(-1, len(a), len(a))

    def spread(self, by_block: np.ndarray) -> np.ndarray:
        """``(F,)``: a number a block, for each of its columns."""
        return np.repeat(by_block, self.widths)

    def squares(self, x: np.ndarray) -> np.ndarray:
        """``(N, B)``: squared lengths of vectors, by block."""
        if not self.blocks:
            return np.zeros((len(x), 0))
        return np.asarray(np.add.reduceat(x * x, [block.start for block in self.blocks], axis=1))


def _kind(column: Column) -> object:
    choice = column.choice
    if isinstance(choice, Categorical):
        return tuple((type(value), value) for value in choice.values), choice.ordered
    return type(choice), choice.low, choice.high, choice.log


def squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``(N, M)`` squared distances between vectors."""
    found = a @ b.T
    found *= -2
    found += (a * a).sum(1)[:, None]
    found += (b * b).sum(1)
    return np.asarray(np.maximum(found, 0, out=found))


def _width(column: Column) -> int:
    return column.steps + 1 if column.is_named else min(column.steps or _SWITCHES, _SWITCHES)


def _is_listed(column: Column) -> bool:
    return column.is_named or 0 < column.steps <= _LISTED


def _switches(column: Column) -> np.ndarray:
    """``(V + 1, W)``: of all values of a choice, and of none."""
    width = _width(column)
    if column.is_named:
        found = np.append(np.eye(width), np.full((1, width), 1 / width), 0)
        return np.asarray(found / math.sqrt(2))
    places = column.place(column.lowest + np.arange(column.steps + 1.0))
    return _on(np.append(places, math.nan), width)


def _on(places: np.ndarray, width: int) -> np.ndarray:
    """``(..., W)``: as many switches on as a place in [0, 1] has passed; all half on where there is none."""
    found = np.minimum(np.maximum(places[..., None] * width - np.arange(width), 0), 1)
    found[np.isnan(places)] = 0.5
    return np.asarray(found / math.sqrt(width))


class _Numbers:
    """Choices with more values than can be listed, all at once."""

    def __init__(self, choices: list[tuple[int, Column, slice]]) -> None:
        self._places = [j for j, _, _ in choices]
        self._columns = np.array([np.arange(block.start, block.stop) for _, _, block in choices], dtype=int)
        self._log = np.array([getattr(column.choice, "log", False) for _, column, _ in choices], dtype=bool)
        ends = np.array([column.ends for _, column, _ in choices]).reshape(-1, 2)
        self._low, self._span = ends[:, 0], ends[:, 1] - ends[:, 0]

    def switch(self, rows: np.ndarray, found: np.ndarray) -> None:
        """Sets their columns of vectors ``(N, F)`` by rows of codes."""
        if self._places:
            at = rows[:, self._places]
            at[:, self._log] = np.log(at[:, self._log])
            found[:, self._columns] = _on((at - self._low) / self._span, _SWITCHES)
