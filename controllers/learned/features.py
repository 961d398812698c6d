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
        # what there are few values of is looked up, since it is asked of hundreds of candidates a proposal
        self._lowest = np.array([_lowest(column) for column in codes.columns])
        self._tables = [_table(column) for _, column in self._columns]
        nothing = np.full((1, len(codes.columns)), math.nan)
        self._middle = self.of(nothing)[0]
        drawn = self.of(codes.uniform(np.random.default_rng(0), 256)) - self._middle
        self._unit = 1 / math.sqrt(max(float((drawn**2).sum(1).mean()), 1e-9))

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
        for (j, column), block, table in zip(self._columns, self.blocks, self._tables, strict=True):
            found[:, block] = _switches(column, rows[:, j]) if table is None else table[places[:, j]]
        return found

    def centred(self, x: np.ndarray) -> np.ndarray:
        """``(N, F)``, seen from a candidate of which nothing is known; mean squared length about 1."""
        return np.asarray((x - self._middle) * self._unit)

    def bags(self, x: np.ndarray) -> np.ndarray:
        """``(N, A)``: how often values are taken, by :attr:`alike`."""
        found: np.ndarray = (x - self._middle) @ self.alike
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


def _lowest(column: Column) -> float:
    return 0.0 if isinstance(column.choice, Categorical) else float(column.choice.low)


def _table(column: Column) -> np.ndarray | None:
    """Of each value of a choice its switches, and at the end those of none; None where there are many."""
    if not 0 < column.steps <= _LISTED:
        return None
    return _switches(column, np.append(_lowest(column) + np.arange(column.steps + 1.0), math.nan))


def _switches(column: Column, codes: np.ndarray) -> np.ndarray:
    width, unknown = _width(column), np.isnan(codes)
    if column.is_named:
        found = (codes[:, None] == np.arange(width)) / math.sqrt(2)
        found[unknown] = 1 / width / math.sqrt(2)
        return np.asarray(found)
    place = np.where(unknown, 0.5, column.place(codes))
    found = (place[:, None] * width - np.arange(width)).clip(0, 1)
    found[unknown] = 0.5
    return found / math.sqrt(width)
