"""What numbers of a family are measured in: simple methods are told them standardised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from search_spaces import Signature

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # support_x, support_y, query_x, query_y


@dataclass(frozen=True)
class Units:
    """Where zero is, and what is one; classes, which are one-hot, stay as they are.

    Attributes:
        x_mean: ``(D,)`` of the features.
        x_std: ``(D,)``.
        y_mean: ``(O,)`` of the targets.
        y_std: ``(O,)``.
    """

    x_mean: np.ndarray
    x_std: np.ndarray
    y_mean: np.ndarray
    y_std: np.ndarray

    @classmethod
    def of(cls, signature: Signature, x: np.ndarray, y: np.ndarray) -> Units:
        """Those of rows ``(N, D)`` and their targets ``(N, O)``."""
        if signature.kind == "classification":
            return cls(x.mean(0), _deviation(x), np.zeros(y.shape[1]), np.ones(y.shape[1]))
        return cls(x.mean(0), _deviation(x), y.mean(0), _deviation(y))

    def features(self, x: np.ndarray) -> np.ndarray:
        """Rows ``(N, D)`` in these units."""
        return np.asarray((x - self.x_mean) / self.x_std)

    def targets(self, y: np.ndarray) -> np.ndarray:
        """Targets ``(…, O)`` in these units."""
        return np.asarray((y - self.y_mean) / self.y_std)

    def back(self, y: np.ndarray) -> np.ndarray:
        """Targets ``(…, O)`` that were in these units."""
        return np.asarray(y * self.y_std + self.y_mean)

    def task(self, task: Arrays) -> Arrays:
        """All of a task in these units."""
        support_x, support_y, query_x, query_y = task
        features, targets = self.features, self.targets
        return features(support_x), targets(support_y), features(query_x), targets(query_y)


def _deviation(rows: np.ndarray) -> np.ndarray:
    found = rows.std(0)
    return np.where(found > 0, found, 1.0)
