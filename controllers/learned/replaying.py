"""Whether a snapshot helps: searches are replayed on recorded candidates, with it and without it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState
from scipy import stats

from controllers.learned.codes import Codes
from controllers.learned.controller import Learned
from controllers.learned.fitting import Told
from controllers.learned.recorded import by_rung, of_records
from controllers.learned.snapshot import Snapshot
from search_spaces import Candidate, Record, Space
from search_spaces.errors import DataError, SpaceError
from search_spaces.fingerprint import Fingerprint

FEWEST_STUDIES = 5  # that can be replayed, below which nothing is said
FEWEST_TRIALS = 16  # of a study, for it to be replayed
_EVALUATIONS = 24  # of a replayed search; half of what is recorded at most
SEEDS = 2  # searches of each study

Make = Callable[[Space, Sequence[Told]], Snapshot]


@dataclass(frozen=True)
class Recorded:
    """The candidates of a study, each once.

    Attributes:
        study: Its name.
        records: Of candidates of the space that were scored, and go on from no other.
        ranks: ``(N,)`` in (0, 1): where each stands among them, 1 is best.
        up: Whether a higher score is better.
        fingerprint: What its family of tasks is like; None: that is not known.
    """

    study: str
    records: Sequence[Record]
    ranks: np.ndarray
    up: bool
    fingerprint: Fingerprint | None = None

    @property
    def evaluations(self) -> int:
        """Of a replayed search."""
        return min(_EVALUATIONS, len(self.records) // 2)


@dataclass(frozen=True)
class Gain:
    """What a snapshot changed, over replayed studies.

    A search's figure is the rank of the best candidate so far among all that its study recorded, 0 worst to 1
    best, averaged over evaluations; a study's, the mean over seeds of what the snapshot adds to that.

    Attributes:
        by_study: The gain in each.
        without: Mean figure without the snapshot.
        mean: Gain over studies.
        low: Lower end of its 95 % interval over studies, by Student's t.
        high: Upper end.
    """

    by_study: Mapping[str, float]
    without: float
    mean: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether it is better, and the interval clear of no difference."""
        return self.low > 0


def recorded(
    space: Space, study: str, records: Sequence[Record], fingerprint: Fingerprint | None = None
) -> Recorded | None:
    """What can be replayed of a study; None: too little."""
    once: dict[str, Record] = {}
    for record in records:
        if record.score is not None and record.parent is None and _is_point(space, record.candidate):
            once.setdefault(record.candidate.id, record)
    found = list(once.values())
    if len(found) < FEWEST_TRIALS:
        return None
    ranks = stats.norm.cdf(of_records(found, Codes(space)).targets)
    up = found[0].score.metric == "accuracy"  # type: ignore[union-attr]
    return Recorded(study, found, ranks, up, fingerprint)


def check_enough(tables: int) -> None:
    """Checks that so many studies can judge a snapshot.

    Raises:
        DataError: If not.
    """
    if tables < FEWEST_STUDIES:
        raise DataError(
            f"it takes {FEWEST_STUDIES} studies in one space, each with {FEWEST_TRIALS} scored trials, to "
            f"judge a snapshot by; there is {tables}: search more"
        )


def replayed(
    space: Space, table: Recorded, seed: int, snapshot: Snapshot | None = None, part: float = 1.0
) -> np.ndarray:
    """``(E,)`` ranks of what is evaluated, in a search that chooses among recorded candidates.

    Args:
        space: That it proposes from.
        table: What is recorded.
        seed: Of the search.
        snapshot: That it has; None: none.
        part: Of the candidates that are left, which it compares at a time.
    """
    by_id = {record.candidate.id: index for index, record in enumerate(table.records)}
    among, curves = [record.candidate for record in table.records], by_rung(table.records)
    sampler = Learned(space, seed, (), {}, snapshot, table.fingerprint, among, part)
    study = optuna.create_study(direction="maximize" if table.up else "minimize", sampler=sampler)
    found = []
    for _ in range(table.evaluations):
        trial = study.ask()
        index = by_id[space.suggest(trial).id]
        found.append(float(table.ranks[index]))
        _answer(study, trial, table.records[index], curves[index])
    return np.array(found)


def figure(ranks: np.ndarray) -> float:
    """Mean over evaluations of the best rank so far."""
    return float(np.maximum.accumulate(ranks).mean())


def _answer(study: optuna.Study, trial: optuna.Trial, record: Record, scores: Mapping[int, float]) -> None:
    """Tells what was recorded, rung by rung; not its seconds: it is evaluations that are compared."""
    assert record.score is not None
    for step, value in scores.items():
        trial.report(value, step)
    finite = math.isfinite(record.score.value)
    study.tell(trial, record.score.value if finite else None, None if finite else TrialState.FAIL)


def gain_of(gains: Mapping[str, float], without: float) -> Gain:
    """Over studies, from that in each."""
    values = np.array(list(gains.values()))
    mean, error = float(values.mean()), float(stats.sem(values))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return Gain(gains, without, mean, mean - half, mean + half)


def _is_point(space: Space, candidate: Candidate) -> bool:
    try:
        space.validate(candidate)
    except SpaceError:
        return False
    return True


def as_card(gain: Gain) -> dict[str, Any]:
    """Plain data."""
    interval = {"mean": gain.mean, "low": gain.low, "high": gain.high}
    return {**interval, "without": gain.without, "studies": dict(gain.by_study)}
