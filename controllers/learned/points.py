"""Candidates as points of a process, which are worked out once where every proposal asks for them."""

from __future__ import annotations

import numpy as np

from controllers.learned.earlier import Earlier
from controllers.learned.features import Features
from controllers.learned.kernel import Data


class Points:
    """Makes points, trained in full, of rows of codes ``(N, J)``.

    Args:
        features: Of candidates.
        earlier: Studies, whose predictions are a part of each point.
    """

    def __init__(self, features: Features, earlier: Earlier) -> None:
        self._features, self._earlier = features, earlier
        self._kept: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}  # by row, its features and predictions

    def keep(self, rows: np.ndarray) -> None:
        """Remembers points of rows from now on: those of a study's results, and of few others."""
        new = {row.tobytes(): row for row in rows if row.tobytes() not in self._kept}
        if new:
            x, z = self._worked(np.array(list(new.values())))
            self._kept |= zip(new, zip(x, z, strict=True), strict=True)

    def __call__(self, rows: np.ndarray) -> Data:
        kept = [self._kept.get(row.tobytes()) for row in rows]
        if all(one is None for one in kept):
            x, z = self._worked(rows)
        else:
            fresh = zip(*self._worked(rows[[one is None for one in kept]]), strict=True)
            x, z = (np.array(part) for part in zip(*(one or next(fresh) for one in kept), strict=True))
        return Data.whole(x, z)

    def _worked(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = self._features.of(rows)
        return x, self._earlier.predictions(x)
