"""Candidates that stay from proposal to proposal, with their scores: only what is new is worked out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from controllers.learned.factor import Halved, all_of
from controllers.learned.kernel import Data, all_data

# More is better. Beside scores it gives what it worked out, and is given that again with the same candidates.
Score = Callable[[Data, Halved | None], tuple[np.ndarray, Halved | None]]


class Compared:
    """See the module.

    Attributes:
        scores: ``(N,)``.
    """

    def __init__(self) -> None:
        self.scores = np.zeros(0)
        self._parts: list[tuple[Data, Halved | None]] = []

    def again(self, score: Score) -> None:
        """Scores all of them, after more is known."""
        scored = [(data, *score(data, worked)) for data, worked in self._parts]
        self._parts = [(data, worked) for data, _, worked in scored]
        self.scores = np.concatenate([self.scores[:0], *(scores for _, scores, _ in scored)])

    def add(self, data: Data, score: Score) -> None:
        """Takes in others, behind those that are there."""
        scores, worked = score(data, None)
        self._parts.append((data, worked))
        self.scores = np.concatenate([self.scores, scores])

    def leave(self, index: list[int]) -> None:
        """Some are no more among the highest."""
        self.scores[index] = -np.inf

    def highest(self, count: int) -> np.ndarray:
        """Numbers of those with the highest scores, the highest first."""
        order = np.argsort(-self.scores, kind="stable")
        return np.asarray(order[self.scores[order] > -np.inf][:count])

    def keep(self, index: np.ndarray) -> None:
        """Leaves out all but some."""
        if len(index):
            every, worked = zip(*self._parts, strict=True)
            known = _all(worked)
            self._parts = [(all_data(every).at(index), None if known is None else known.at(index))]
        else:
            self._parts = []
        self.scores = self.scores[index]


def _all(worked: Sequence[Halved | None]) -> Halved | None:
    known = [one for one in worked if one is not None]
    return all_of(known) if len(known) == len(worked) else None
