"""Scores candidates: by how much, and per second of what they cost, they are expected to improve."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr

from controllers.learned.earlier import Earlier
from controllers.learned.factor import Halved
from controllers.learned.features import Features
from controllers.learned.kernel import Data
from controllers.learned.observed import Observed
from controllers.learned.process import Process
from controllers.learned.snapshot import Snapshot

_PARENTS = 10  # best candidates, whose neighbours are looked at
_MOST = 300  # results that the process is fitted to: the best half, and the latest
_REFIT = 0.1  # part of new results, from which on the parameters are found anew
_STEPS = 15  # of finding them
_CHEAPEST = 0.25  # cost, of the median one, below which being cheaper gains nothing


class Scorer:
    """See the module.

    Args:
        features: Of candidates.
        earlier: Studies.
        snapshot: Of what was learned from recorded studies; None: nothing is known.

    Attributes:
        parents: Numbers of the results that are expected to be best.
    """

    def __init__(self, features: Features, earlier: Earlier, snapshot: Snapshot | None = None) -> None:
        self._earlier = earlier
        priors = snapshot.priors(features) if snapshot else None
        self._process = Process(features, earlier.far, priors, earlier.agreement)
        self._dear = snapshot.opinion(features, of_cost=True) if snapshot else None
        self._cost = Process(features)
        self._costs = False
        self._fitted = 0
        self._best = 0.0
        self.parents = np.zeros(0, dtype=int)

    def fit(self, seen: Observed, data: Data, costs: np.ndarray) -> None:
        """Takes in what a study has seen.

        Args:
            seen: Its results.
            data: Their points, as if they were trained in full.
            costs: ``(N,)`` logarithms; NaN where they are not known.
        """
        used = np.arange(len(seen.targets))
        if len(used) > _MOST:
            best = np.argsort(-seen.targets, kind="stable")[: _MOST // 2]
            used = np.union1d(best, used[-_MOST // 2 :])
        new = abs(len(seen.targets) - self._fitted) > _REFIT * self._fitted
        self._fitted = len(seen.targets) if new else self._fitted
        partly = data._replace(missing=seen.missing, noise=seen.noise).at(used)
        self._process.fit(partly, seen.targets[used], _STEPS if new else 0)
        means = self._means(data, used)
        self._best = float(means.max())
        self.parents = np.argsort(-means, kind="stable")[:_PARENTS]
        known = used[np.isfinite(costs[used])]
        self._costs = len(known) > len(used) / 2
        if self._costs:
            at = data.at(known).alone()
            self._cost.fit(at, costs[known] - self._usual(at), _STEPS * new)

    def _means(self, data: Data, used: np.ndarray) -> np.ndarray:
        """``(N,)``: expected of all results, had they been trained in full."""
        rest = np.delete(np.arange(len(data.x)), used)
        found = np.empty(len(data.x))
        found[used] = self._process.in_full()
        if len(rest):
            found[rest] = self._process.mean(data.at(rest))
        return found

    def believe(self, data: Data) -> None:
        """Takes what is running to come out as expected."""
        self._process.believe(data)

    def improvement(self, data: Data, before: Halved | None = None) -> tuple[np.ndarray, Halved]:
        """``(N,)``: expected, over the best expected result; for its cost where that is known.

        Args:
            data: Candidates.
            before: What this gave beside the scores of the same candidates, when less was known.
        """
        halved = self._process.halved(data, before)
        found = self._expected(*self._process.predict(data, halved))
        return np.asarray(found / self._costing(data) if self._costs else found), halved

    def explained(self, data: Data) -> dict[str, Any]:
        """Of one candidate: what is expected of it, and on whose word; in plain values."""
        mean, deviation = (float(v[0]) for v in self._process.predict(data))
        improvement, exploited = float(self._expected(mean, deviation)), max(mean - self._best, 0.0)
        better = {"mean": mean, "low": mean - 1.96 * deviation, "high": mean + 1.96 * deviation}
        parts = self._process.parts(data)[0]
        order = np.argsort(-np.abs(parts))
        return {
            "better_than": {k: float(ndtr(v)) for k, v in (better | {"best": self._best}).items()},
            "exploration": 1 - exploited / improvement if improvement > 0 else 1.0,
            "cost": float(self._cost_of(data)[0]) if self._costs else None,
            "earlier": [{"study": self._earlier.names[i], "part": float(parts[i])} for i in order],
        }

    def _expected(self, mean: Any, deviation: Any) -> Any:
        """Improvement, of posterior means and deviations."""
        gain = (mean - self._best) / deviation
        return deviation * (gain * ndtr(gain) + np.exp(-0.5 * gain**2) / np.sqrt(2 * np.pi))

    def _costing(self, data: Data) -> np.ndarray:
        """``(N,)`` expected costs, in those of the median trial; what is cheaper than that gains no more."""
        return np.asarray(np.maximum(self._cost_of(data), _CHEAPEST))

    def _cost_of(self, data: Data) -> np.ndarray:
        found: np.ndarray = np.exp(self._usual(data) + self._cost.mean(data.alone()))
        return found

    def _usual(self, data: Data) -> np.ndarray:
        """``(N,)``: what was learned of costs before this search, logarithms."""
        return np.zeros(len(data.x)) if self._dear is None else self._dear.mean(data)
