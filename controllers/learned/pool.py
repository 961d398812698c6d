"""The candidates that are compared: the best of them stay from proposal to proposal."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

import numpy as np

from controllers.learned.codes import Codes
from controllers.learned.compared import Compared, Score
from controllers.learned.kernel import Data

_NEIGHBOURS = 6  # of each parent, with one choice moved; as many with two
_CROSSED, _UNIFORM, _PROPOSED = 30, 60, 40
_CLIMBS, _CLIMBERS, _STEPS = 2, 5, 10  # rounds of climbing from the best, neighbours of each
_KEPT = 250  # best ones that stay
_RANKED = _KEPT  # that are at hand where the first choice is refused, or much like what is running
_FEWEST = 4  # that are compared of those that are given


class Policy(Protocol):
    """What proposes rows, and how probable it finds each."""

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray: ...
    def log_probabilities(self, rows: np.ndarray) -> np.ndarray: ...


class Pool:
    """See the module.

    Args:
        codes: Of the space.
        data: Makes points of a process of rows ``(N, J)``.
        admits: ``(N,)``: which rows are compared; None: all that are legal.
    """

    def __init__(
        self,
        codes: Codes,
        data: Callable[[np.ndarray], Data],
        admits: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self._codes, self._data = codes, data
        self._admits = admits or _every
        self._rows: dict[bytes, np.ndarray] = {}
        self._all = Compared()  # in the order of the rows
        self._proposed: set[bytes] = set()
        self.compared = 0

    def is_proposed(self, row: np.ndarray) -> bool:
        """Whether a row of the last best ones was drawn by a policy, or climbed to from one that was."""
        return row.tobytes() in self._proposed

    def settled(self, row: np.ndarray, tried: Collection[bytes]) -> np.ndarray:
        """A row to begin with, as it is proposed."""
        return row

    def best(
        self,
        score: Score,
        parents: np.ndarray,
        more: Iterable[np.ndarray],
        tried: Collection[bytes],
        rng: np.random.Generator,
        policy: Policy | None = None,
    ) -> list[np.ndarray]:
        """Rows with the highest scores, the highest first; none if all near by was tried.

        Args:
            score: More is better.
            parents: Rows whose neighbours are looked at.
            more: Further rows to look at.
            tried: Rows that are not proposed again.
            rng: Of what is drawn.
            policy: Proposes rows, too.
        """
        self._all.again(score)
        self._all.leave([i for i, key in enumerate(self._rows) if key in tried])
        # a generator of its own: what the others draw stays the same
        drawn = [] if policy is None else [policy.sample(rng.spawn(1)[0], _PROPOSED)]
        fresh = self._add([*self._around(parents, rng), *more, *drawn], tried, score)
        self._proposed |= {row.tobytes() for rows in drawn for row in rows}.intersection(fresh)
        for _ in range(_CLIMBS):
            self._climb(tried, rng, score)
        self.compared = len(self._all.highest(len(self._rows)))
        self._keep(self._all.highest(_KEPT))
        return list(self._rows.values())[:_RANKED]

    def _climb(self, tried: Collection[bytes], rng: np.random.Generator, score: Score) -> None:
        """Takes in neighbours of the best; those of what a policy drew are its, too."""
        keys = list(self._rows)
        top = [keys[i] for i in self._all.highest(_CLIMBERS)]
        if not top:
            return
        rows = np.array([self._rows[key] for key in top])
        near = self._codes.neighbours(np.repeat(rows, _STEPS, 0), rng, 1)
        fresh = self._add([near], tried, score)
        its = {row.tobytes() for i, row in enumerate(near) if top[i // _STEPS] in self._proposed}
        self._proposed |= its.intersection(fresh)

    def _around(self, parents: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        codes = self._codes
        each = np.repeat(parents, _NEIGHBOURS, 0)
        one, other = (parents[rng.integers(len(parents), size=_CROSSED)] for _ in range(2))
        moved = [codes.neighbours(each, rng, changes) for changes in (1, 2)]
        return [*moved, codes.crossed(one, other, rng), codes.uniform(rng, _UNIFORM)]

    def _add(self, rows: Iterable[np.ndarray], tried: Collection[bytes], score: Score) -> list[bytes]:
        """Takes in what is legal, new and untried; its keys."""
        every = np.concatenate(list(rows))
        every = every[self._codes.legal(every)]
        legal = {row.tobytes(): row for row in every[self._admits(every)]}
        fresh = {key: row for key, row in legal.items() if key not in self._rows and key not in tried}
        if fresh:
            self._all.add(self._data(np.array(list(fresh.values()))), score)
            self._rows |= fresh
        return list(fresh)

    def _keep(self, index: np.ndarray) -> None:
        rows = list(self._rows.items())
        self._rows = dict(rows[i] for i in index)
        self._proposed &= self._rows.keys()
        self._all.keep(index)


def _every(rows: np.ndarray) -> np.ndarray:
    return np.ones(len(rows), dtype=bool)


class Among(Pool):
    """Candidates that are given, and no others: to replay a search whose results are recorded.

    Args:
        rows: ``(N, J)``, each once.
        part: Of those that are left, which is compared, as a live search compares but a part of all there
            are: drawn by the policy, or uniformly where there is none.
    """

    def __init__(
        self, codes: Codes, data: Callable[[np.ndarray], Data], rows: np.ndarray, part: float = 1.0
    ) -> None:
        super().__init__(codes, data)
        self._given, self._part = rows, part

    def settled(self, row: np.ndarray, tried: Collection[bytes]) -> np.ndarray:
        """The nearest one that was not tried."""
        left = self._left(tried)
        x = self._data(np.concatenate([row[None], left])).x
        return np.asarray(left[int(((x[1:] - x[0]) ** 2).sum(1).argmin())])

    def best(
        self,
        score: Score,
        parents: np.ndarray,
        more: Iterable[np.ndarray],
        tried: Collection[bytes],
        rng: np.random.Generator,
        policy: Policy | None = None,
    ) -> list[np.ndarray]:
        left = self._left(tried)
        if self._part < 1:
            left = self._some(left, rng, policy)
        self.compared = len(left)
        if not len(left):
            return []
        return list(left[np.argsort(-score(self._data(left), None)[0], kind="stable")[:_RANKED]])

    def _some(self, left: np.ndarray, rng: np.random.Generator, policy: Policy | None) -> np.ndarray:
        """Drawn without repetition."""
        count = max(_FEWEST, math.ceil(self._part * len(left)))
        keys = rng.gumbel(size=len(left)) + (0 if policy is None else policy.log_probabilities(left))
        return left[np.argsort(-keys, kind="stable")[:count]]

    def _left(self, tried: Collection[bytes]) -> np.ndarray:
        return self._given[[row.tobytes() not in tried for row in self._given]]
