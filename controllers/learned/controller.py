"""The learned controller: proposes what a model of results, told by earlier studies too, expects most of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import dropwhile
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from controllers.interface import ONE_BY_ONE, CandidateSampler
from controllers.learned.codes import SAME, Codes
from controllers.learned.earlier import Earlier
from controllers.learned.elsewhere import Elsewhere
from controllers.learned.features import Features
from controllers.learned.observed import Observed, Reader
from controllers.learned.points import Points
from controllers.learned.pool import Among, Pool
from controllers.learned.scorer import Scorer
from controllers.learned.snapshot import Snapshot
from controllers.start import TRIALS, around, begin
from search_spaces import Candidate, Record, Space, catalogue
from search_spaces.fingerprint import Fingerprint
from search_spaces.threads import one_thread

START = 8  # trials of a start without earlier studies
# of a start where trials are few, with other settings than its best, and as many with other choices of its
# parts: half as many as TPE has, since in simulated searches the model's own proposals were better than more
AROUND = 3
_FEWEST = 4  # results, before which nothing can be fitted
_CLEARLY = 2  # choices in which candidates differ that are asked for at the same time


def build(
    space: Space,
    seed: int,
    records: Sequence[Record] = (),
    distances: Mapping[str, float] | None = None,
    snapshot: Snapshot | None = None,
    dear: bool = False,
    fingerprint: Fingerprint | None = None,
    timed: bool = False,
) -> BaseSampler:
    """A Gaussian process that learns from this search and, where there are some, from earlier ones.

    Expected improvement over the best expected candidate, per second where seconds are known. A search
    begins with candidates that differ as much as they can, or with what earlier studies rank high.

    Args:
        space: What is proposed from.
        seed: Of its generators.
        records: Of other studies, as far as they tell of the space.
        distances: By study, how far its family is from the one at hand, from 0.
        snapshot: Of what was learned from recorded studies, whose records need not be there.
        dear: Whether a search makes but dozens of trials: then a start without earlier studies goes on around
            the best of it, and goes on with the parts of the second and third best, too.
        fingerprint: What the family at hand is like; None: nothing is known of it, or it is several.
        timed: Whether the budget is in seconds: then what is good comes far in little time, in earlier
            studies, too.

    References:
        Snoek, Larochelle, Adams, *Practical Bayesian optimization*, 2012, https://arxiv.org/abs/1206.2944;
        Feurer et al., *Practical transfer learning for Bayesian optimization*, 2018,
        https://arxiv.org/abs/1802.02219. Differs: earlier studies' predictions are terms of the kernel.
    """
    with one_thread("scipy.linalg", "blas"):
        return Learned(space, seed, records, distances or {}, snapshot, fingerprint, dear=dear, timed=timed)


class Learned(CandidateSampler):
    """See :func:`build`.

    Where a search is replayed, ``among`` are the only candidates that are proposed, and ``part`` of those
    that are left is compared.
    """

    def __init__(
        self,
        space: Space,
        seed: int,
        records: Sequence[Record],
        distances: Mapping[str, float],
        snapshot: Snapshot | None = None,
        fingerprint: Fingerprint | None = None,
        among: Sequence[Candidate] = (),
        part: float = 1.0,
        dear: bool = False,
        timed: bool = False,
    ) -> None:
        super().__init__(space, seed)
        self._codes = Codes(space)
        self._features = Features(self._codes)
        self._reader = Reader(self._codes, timed)
        self._snapshot = {} if snapshot is None else {"snapshot": snapshot.sha}
        opinion = {f"snapshot {snapshot.sha[:12]}": snapshot.opinion(self._features)} if snapshot else {}
        self._earlier = Earlier(self._codes, self._features, records, distances, opinion, timed)
        self._scorer = Scorer(self._features, self._earlier, snapshot)
        self._points = Points(self._features, self._earlier)
        self._pool = Pool(self._codes, self._points)
        if among:
            self._pool = Among(self._codes, self._points, self._codes.rows(among), part)
        self._policy = snapshot.proposer(self._codes, fingerprint) if snapshot else None
        self._spread, self._around = (TRIALS, around(space, AROUND)) if dear else (START, 0)
        # for dozens of trials alone: what it does to longer searches was not measured
        self._elsewhere = Elsewhere(self._codes, self._points) if self._around else None
        self._identities: dict[bytes, str] = {}  # by row
        self._ranked: list[np.ndarray] = []
        self._passed = 0  # better ones, by improvement, that were not proposed
        self._aside = False  # whether they are of other parts than the best
        self._of: tuple[Any, ...] = ()
        self._reasons: dict[int, dict[str, Any]] = {}
        self._reason: dict[str, Any] = {}

    def why(self, number: int) -> str:
        """Why a running trial was proposed, in JSON; empty if it was not."""
        reason = self._reasons.get(number)
        return "" if reason is None else json.dumps({"by": "learned", **self._snapshot, **reason})

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        with ONE_BY_ONE, one_thread("scipy.linalg", "blas"):
            super().before_trial(study, trial)
            self._reasons[trial.number] = self._reason

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        super().after_trial(study, trial, state, values)
        self._reasons.pop(trial.number, None)

    def propose(self, study: optuna.Study) -> Candidate:
        seen = self._reader.read(study, self._proposed)
        begun = len(seen.targets) + len(self._reader.running)
        start = self._earlier.start
        if not self._earlier.is_enough:
            start = max(start, self._spread + 2 * self._around)
        if begun < start or len(seen.targets) < _FEWEST:
            row = self._codes.rows([self._begin(study, begun)])[0]
            return self._codes.candidate(self._pool.settled(row, self._reader.tried))
        rows = self._best(seen)
        if rows:
            return self._codes.candidate(rows[0])
        self._reason = {"how": "all tried"}
        return self.space.sample(self.rng)

    def _begin(self, study: optuna.Study, begun: int) -> Candidate:
        tried = self._reader.tried
        if begun >= self._earlier.start:
            rows = [self._codes.candidate(np.frombuffer(key)) for key in sorted(tried)]
            found, how = begin(self.space, study, rows, self.rng, self._spread, self._around, begun)
            self._reason = {"how": how}
            return found
        row, how = self._earlier.first(begun, tried, self.rng)
        self._reason = {"how": how}
        return self._codes.candidate(row)

    def _best(self, seen: Observed) -> list[np.ndarray]:
        """What to propose, the best first."""
        running = self._reader.running
        of = (len(seen.targets), *sorted(row.tobytes() for row in running))
        left = [row for row in self._ranked if row.tobytes() not in self._reader.tried]
        self._passed, self._ranked = self._passed + len(self._ranked) - len(left), left
        if of != self._of or not self._ranked:  # else the first choice was refused, and nothing is new
            self._of, self._passed = of, 0
            more = [self._earlier.best] if self._earlier.names else []
            self._points.keep(np.concatenate([seen.rows, *more]))
            self._scorer.fit(seen, self._points(seen.rows), self._reader.costs)
            parents = seen.rows[self._scorer.parents]
            if running:
                self._scorer.believe(self._points(np.array(running)))
            away = self._away(seen, running)
            self._aside = bool(away)
            self._ranked = away or self._near(seen, parents, more, running)
        if self._ranked:
            self._reason = self._explained(self._ranked[0], seen)
        return self._ranked

    def _away(self, seen: Observed, running: list[np.ndarray]) -> list[np.ndarray]:
        """Rows of other parts than the best, where such are due."""
        parts = None if self._elsewhere is None else self._elsewhere.due(seen, running)
        if self._elsewhere is None or parts is None:
            return []
        found = self._elsewhere.best(self._scorer.improvement, parts, seen, self._reader.tried, self.rng)
        return self._unlike(self._new(found), running)

    def _near(
        self, seen: Observed, parents: np.ndarray, more: list[np.ndarray], running: list[np.ndarray]
    ) -> list[np.ndarray]:
        """Rows around what is best, or wherever else most is expected."""
        policy = None if self._policy is None else self._policy.after(seen.rows, seen.targets)
        found = self._pool.best(self._scorer.improvement, parents, more, self._reader.tried, self.rng, policy)
        return self._unlike(found if policy is None else self._new(found), running)

    def _unlike(self, rows: list[np.ndarray], running: list[np.ndarray]) -> list[np.ndarray]:
        """From the first on that differs clearly from all that is running, or else the one that does most.

        What is asked for at the same time would else be one network in a dozen wordings.
        """
        if not running or not rows:
            return rows
        known, apart = np.array(running), [0]
        for row in rows:
            if apart[-1] < _CLEARLY:
                apart.append(int(self._codes.differing(row, known, SAME).min()))
        self._passed = int(np.argmax(apart[1:]))
        return rows[self._passed :]

    def _new(self, rows: list[np.ndarray]) -> list[np.ndarray]:
        """From the first on that is not a candidate in other words that was tried; all, if there is none."""
        tried = {self._identity(key) for key in self._reader.tried}
        known = (self._identity(row.tobytes()) in tried for row in rows)
        return list(dropwhile(lambda row: next(known), rows)) or rows

    def _identity(self, key: bytes) -> str:
        if key not in self._identities:
            self._identities[key] = catalogue.identity(self._codes.candidate(np.frombuffer(key)))
        return self._identities[key]

    def _explained(self, row: np.ndarray, seen: Observed) -> dict[str, Any]:
        differing = (seen.rows != row) & ~(np.isnan(seen.rows) & np.isnan(row))
        nearest = int(differing.sum(1).argmin())
        names = [c.choice.name for c, d in zip(self._codes.columns, differing[nearest], strict=True) if d]
        drawn = {} if self._policy is None else {"policy": self._pool.is_proposed(row)}
        others = self._elsewhere if self._aside else None
        return {
            "how": "improvement",
            "compared": others.compared if others else self._pool.compared,
            "passed": self._passed,
            "aside": self._aside,
            "results": len(seen.targets),
            "nearest": {"trial": seen.numbers[nearest], "differs": names},
            "agreement": self._earlier.agreement.slope if self._earlier.agreement.is_known else None,
            **drawn,
            **self._scorer.explained(self._points(row[None])),
        }
