"""A second opinion on the candidates that the process ranks highest: that of an in-context model.

It has no parameter that has to be found in a search, and what it was taught with are searches, of which most
results are good: where it is wrong the process is not, and the other way round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from controllers.learned.features import Features, squared
from controllers.learned.kernel import Data
from controllers.learned.process import Process
from controllers.learned.tokens import FEWEST, MOST, View, is_readable

if TYPE_CHECKING:
    from controllers.learned.in_context import InContext

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
    """See the module. There is none on a space that the model cannot read.

    Args:
        features: Of candidates.
        model: That is asked; None: the one that is shipped.

    Attributes:
        share: By which it counts beside a process.
    """

    def __init__(self, features: Features, model: InContext | None = None) -> None:
        self._features, self._model = features, model
        views = range(_VIEWS if is_readable(features) else 0)
        self._views = [View(features, np.random.default_rng(i)) for i in views]
        self._known, self._targets = np.zeros((0, features.width)), np.zeros(0)
        self.share, self._results = _SHARE, 0

    @property
    def is_there(self) -> bool:
        """Whether it has something to say; what is only believed to come out so is no result to go by."""
        return bool(self._views) and self._results >= FEWEST

    def tell(self, x: np.ndarray, targets: np.ndarray, believed: int = 0) -> None:
        """All results, in their order, and after them what is believed.

        Args:
            x: ``(N, F)`` features.
            targets: ``(N,)``.
            believed: How many of these.
        """
        self._results = len(targets) - believed
        used = np.arange(len(targets))
        if len(used) > MOST:
            best = np.argsort(-targets, kind="stable")[: MOST // 2]
            used = np.union1d(best, used[-MOST // 2 :])
        self._known, self._targets = self._features.centred(x[used]), targets[used]

    def weigh(self, process: Process, data: Data, targets: np.ndarray) -> None:
        """Finds how much it counts beside a process, from results ``(N,)`` that both are told in part.

        Stacking (Wolpert, *Stacked generalization*, 1992, https://doi.org/10.1016/S0893-6080(05)80023-1): the
        share in the mean of both with which it predicts best each fifth of them, from the others; ten
        results more say what was believed before. The process keeps its parameters, which were found with
        all of them, so that its own share is rather too large.
        """
        if not self._views or len(targets) < _FOLDS:
            return
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

    def alone(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances ``(M,)`` of what candidates with features ``(M, F)`` come to, without noise."""
        import torch  # only where it is needed

        from controllers.learned.in_context import shipped

        model = self._model or shipped()
        asked = self._features.centred(x)
        # the first layer, of features in place of the tokens that they would be put into
        columns, factors = (
            np.stack([getattr(view, of) for view in self._views]) for of in ("columns", "factors")
        )
        first = model.candidate.weight.detach().numpy().T[columns] * factors[..., None]
        pairs = [(one @ first, squared(one, self._known)) for one in (self._known, asked)]
        parts = (*pairs[0], *pairs[1], self._targets)
        # whatever a program has set as its usual device and kind of numbers
        told, among, query, between, results = (torch.from_numpy(part.astype(np.float32)) for part in parts)
        with torch.no_grad():
            found = model.predicted(told, query, results[None], among[None], between[None])
        means, variances = (one.double().numpy() for one in found)
        return means.mean(0), variances.mean(0) + means.var(0)
