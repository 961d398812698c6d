"""The candidates that are compared: the best of them stay from proposal to proposal."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

import numpy as np

from controllers.learned.codes import Codes
from controllers.learned.kernel import Data

_NEIGHBOURS = 6  # of each parent, with one choice moved; as many with two
_CROSSED, _UNIFORM, _PROPOSED = 30, 60, 40
_CLIMBS, _CLIMBERS, _STEPS = 2, 5, 10  # rounds of climbing from the best, neighbours of each
_KEPT = 250  # best ones that stay
_RANKED = 20  # that are at hand where the first choice is refused
_FEWEST = 4  # that are compared of those that are given

Score = Callable[[Data], np.ndarray]


class Policy(Protocol):
    """What proposes rows, and how probable it finds each."""

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray: ...
    def log_probabilities(self, rows: np.ndarray) -> np.ndarray: ...


class Pool:
    """See the module.

    Args:
        codes: Of the space.
        data: Makes points of a process of rows ``(N, J)``.
    """

    def __init__(self, codes: Codes, data: Callable[[np.ndarray], Data]) -> None:
        self._codes, self._data = codes, data
        self._rows: dict[bytes, np.ndarray] = {}
        self._points: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
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
        self._keep([key for key in self._rows if key not in tried])
        # a generator of its own: what the others draw stays the same
        drawn = [] if policy is None else [policy.sample(rng.spawn(1)[0], _PROPOSED)]
        fresh = self._add([*self._around(parents, rng), *more, *drawn], tried)
        self._proposed |= {row.tobytes() for rows in drawn for row in rows}.intersection(fresh)
        scores = self._scored(list(self._rows), score)
        for _ in range(_CLIMBS):
            top = _highest(scores, _CLIMBERS)
            if top:
                scores |= self._scored(self._climbed(top, tried, rng), score)
        self.compared = len(scores)
        self._keep(_highest(scores, _KEPT))
        return [self._rows[key] for key in _highest(scores, _RANKED)]

    def _climbed(self, top: list[bytes], tried: Collection[bytes], rng: np.random.Generator) -> list[bytes]:
        """Neighbours of some rows; those of what a policy drew are its, too."""
        rows = np.array([self._rows[key] for key in top])
        near = self._codes.neighbours(np.repeat(rows, _STEPS, 0), rng, 1)
        fresh = self._add([near], tried)
        its = {row.tobytes() for i, row in enumerate(near) if top[i // _STEPS] in self._proposed}
        self._proposed |= its.intersection(fresh)
        return fresh

    def _around(self, parents: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        codes = self._codes
        each = np.repeat(parents, _NEIGHBOURS, 0)
        one, other = (parents[rng.integers(len(parents), size=_CROSSED)] for _ in range(2))
        moved = [codes.neighbours(each, rng, changes) for changes in (1, 2)]
        return [*moved, codes.crossed(one, other, rng), codes.uniform(rng, _UNIFORM)]

    def _add(self, rows: Iterable[np.ndarray], tried: Collection[bytes]) -> list[bytes]:
        """Takes in what is legal, new and untried; its keys."""
        every = np.concatenate(list(rows))
        legal = {row.tobytes(): row for row in every[self._codes.legal(every)]}
        fresh = {key: row for key, row in legal.items() if key not in self._rows and key not in tried}
        if fresh:
            data = self._data(np.array(list(fresh.values())))
            self._points |= dict(zip(fresh, zip(data.x, data.z, strict=True), strict=True))
            self._rows |= fresh
        return list(fresh)

    def _scored(self, keys: list[bytes], score: Score) -> dict[bytes, float]:
        if not keys:
            return {}
        x, z = (np.array(part) for part in zip(*(self._points[key] for key in keys), strict=True))
        return dict(zip(keys, score(Data(x, z, np.zeros(len(x)))).tolist(), strict=True))

    def _keep(self, keys: list[bytes]) -> None:
        self._rows = {key: self._rows[key] for key in keys}
        self._points = {key: self._points[key] for key in keys}
        self._proposed &= self._rows.keys()


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
        return list(left[np.argsort(-score(self._data(left)), kind="stable")[:_RANKED]])

    def _some(self, left: np.ndarray, rng: np.random.Generator, policy: Policy | None) -> np.ndarray:
        """Drawn without repetition."""
        count = max(_FEWEST, math.ceil(self._part * len(left)))
        keys = rng.gumbel(size=len(left)) + (0 if policy is None else policy.log_probabilities(left))
        return left[np.argsort(-keys, kind="stable")[:count]]

    def _left(self, tried: Collection[bytes]) -> np.ndarray:
        return self._given[[row.tobytes() not in tried for row in self._given]]


def _highest(scores: dict[bytes, float], count: int) -> list[bytes]:
    return sorted(scores, key=lambda key: -scores[key])[:count]
