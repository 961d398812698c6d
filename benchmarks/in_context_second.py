"""What an in-context model and the process of the controller learned expect together."""

from __future__ import annotations

import numpy as np
import torch
from in_context_model import InContext, View

from controllers.learned.features import Features
from controllers.learned.kernel import Data
from controllers.learned.process import Process

_VIEWS = 2  # whose mean counts
_FOLDS = 5  # of results, to find how much it counts
_SHARE, _BELIEVED = 0.3, 10  # of it, before there are results, and as of how many of them


def stacked(first: np.ndarray, second: np.ndarray, targets: np.ndarray) -> float:
    """The share of the second of two predictions in their mean that is nearest to results, all ``(N,)``."""
    apart = second - first
    square = float(apart @ apart)
    believed = _BELIEVED * square / len(targets)
    found = (float(apart @ (targets - first)) + believed * _SHARE) / max(square + believed, 1e-12)
    return min(max(found, 0.0), 1.0)


def pooled(
    mean: np.ndarray, variance: np.ndarray, other: np.ndarray, its: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations ``(M,)`` of two opinions in one, of which the surer one counts more.

    A logarithmic pool (Genest, Zidek, *Combining probability distributions*, 1986,
    https://doi.org/10.1214/ss/1177013825): two that agree are not surer than one, for they were told the
    same. Next to what it was told the process is all but sure, and the other has no say: it cannot tell
    apart what differs by little.
    """
    first, second = (1 - share) / variance, share / its
    return (first * mean + second * other) / (first + second), (first + second) ** -0.5


class Second:
    """The opinion of an in-context model on candidates.

    Args:
        features: Of candidates.
        model: That is asked.

    Attributes:
        share: By which it counts beside a process.
    """

    def __init__(self, features: Features, model: InContext) -> None:
        self._model = model
        self._views = [View(features, np.random.default_rng(i)) for i in range(_VIEWS)]
        self._x, self._targets = np.zeros((0, features.width)), np.zeros(0)
        self.share = _SHARE

    def tell(self, x: np.ndarray, targets: np.ndarray) -> None:
        """All results: features ``(N, F)`` and targets ``(N,)``."""
        self._x, self._targets = x, targets

    def weigh(self, process: Process, data: Data, targets: np.ndarray) -> None:
        """Finds how much it counts beside a process, from results ``(N,)`` that both are told in part.

        Stacking (Wolpert, *Stacked generalization*, 1992, https://doi.org/10.1016/S0893-6080(05)80023-1): the
        share in the mean of both with which it predicts best each fifth of them, from the others; ten
        results more say what was believed before. The process keeps its parameters, which were found with
        all of them, so that its own share is rather too large.
        """
        first, second = np.empty((2, len(targets)))
        fold = np.arange(len(targets)) % _FOLDS
        for left in (fold == i for i in range(_FOLDS)):
            process.hold(data.at(~left), targets[~left])
            self.tell(data.x[~left], targets[~left])
            first[left] = process.predict(data.at(left))[0]
            second[left] = self.alone(data.x[left])[0]
        process.hold(data, targets)
        self.tell(data.x, targets)
        self.share = stacked(first, second, targets)

    def pooled(self, x: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and deviations ``(M,)`` of a process and its own in one: see :func:`pooled`."""
        return pooled(mean, deviation**2, *self.alone(x), self.share)

    @torch.no_grad()
    def alone(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances ``(M,)`` of what candidates with features ``(M, F)`` come to, without noise."""
        every = [torch.from_numpy(np.stack([view.of(one) for view in self._views])) for one in (self._x, x)]
        results = torch.from_numpy(self._targets.astype(np.float32)).expand(len(self._views), -1)
        found = self._model(every[0], results, every[1])
        means, variances = (one.double().numpy() for one in found)
        return means.mean(0), variances.mean(0) + means.var(0)
