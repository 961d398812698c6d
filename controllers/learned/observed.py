"""What searches have seen of their candidates, as numbers that can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtri

from controllers.interface import candidate_of
from controllers.learned.codes import Codes
from search_spaces import Candidate, Record

_TINY = 1e-9
_ASIDE = {"illegal", "parent"}  # trials that were refused, or go on from another: they tell nothing new


class Observed(NamedTuple):
    """Candidates with results.

    Attributes:
        rows: ``(N, J)`` codes of them.
        targets: ``(N,)``: ranks on the scale of a standard normal, more is better.
        missing: ``(N,)`` in [0, 1]: the part of its training that each has not had, on a logarithmic scale.
        numbers: Of their trials.
    """

    rows: np.ndarray
    targets: np.ndarray
    missing: np.ndarray
    numbers: list[int]


def results(scores: Sequence[Mapping[int, float]], up: bool) -> tuple[np.ndarray, np.ndarray]:
    """Targets and missing parts ``(N,)`` of candidates by their scores, by meta-step.

    A candidate counts with what it scored at the last rung that it reached, less what candidates gain on
    the average from rung to rung; one without a score, as the worst.

    Args:
        scores: By candidate; those that failed have none.
        up: Whether more is better.
    """
    finite = [{step: v for step, v in values.items() if math.isfinite(v)} for values in scores]
    levels = _levelled(finite, up)
    return _normal(levels), _missing(finite)


def _levelled(scores: Sequence[Mapping[int, float]], up: bool) -> list[float]:
    every = [v for values in scores for v in values.values()]
    shares = up and all(0 <= v <= 1 for v in every)  # accuracies
    errors = not up and all(v >= 0 for v in every)

    def worth(value: float) -> float:
        if shares or errors:
            return -math.log((1 - value if shares else value) + _TINY)
        return value if up else -value

    worths = [{step: worth(v) for step, v in values.items()} for values in scores]
    gains = _gains(worths)
    return [values[max(values)] - gains[max(values)] if values else -math.inf for values in worths]


def _gains(worths: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """By meta-step, what candidates gained to there since their first rung."""
    steps = sorted({step for values in worths for step in values})
    found = dict.fromkeys(steps, 0.0)
    for before, step in pairwise(steps):
        both = [values[step] - values[before] for values in worths if step in values and before in values]
        found[step] = found[before] + (float(np.mean(both)) if both else 0.0)
    return found


def _missing(scores: Sequence[Mapping[int, float]]) -> np.ndarray:
    last = [max(values) if values else None for values in scores]
    steps = {step for values in scores for step in values if step > 0}
    if len(steps) < 2:
        return np.zeros(len(scores))
    first, top = math.log(min(steps)), math.log(max(steps))
    return np.array([0.0 if not step else (top - math.log(step)) / (top - first) for step in last])


def _normal(levels: Sequence[float]) -> np.ndarray:
    if not levels:
        return np.zeros(0)
    # ranks from 1, equals share theirs; scipy.stats has them, for 20 MB of memory
    _, which, counts = np.unique(levels, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[which]
    found: np.ndarray = ndtri((ranks - 0.5) / len(levels))
    return found


class Reader:
    """Reads a study, each of its trials once."""

    def __init__(self, codes: Codes) -> None:
        self._codes = codes
        self._known: dict[int, np.ndarray | None] = {}  # rows of trials that ended
        self.running: list[np.ndarray] = []
        self.costs = np.zeros(0)
        self.tried: set[bytes] = set()

    def read(self, study: optuna.Study, proposed: Mapping[int, Candidate]) -> Observed:
        """What has ended.

        Sets ``running`` (rows without a result yet), ``tried`` (all there are; what was refused is tried and
        has no result) and ``costs`` of what has ended.

        Args:
            study: That is searched.
            proposed: By number, candidates of trials that may not have told their parameters yet.
        """
        trials = study.get_trials(deepcopy=False)
        read = [(trial, self._row(trial)) for trial in trials]
        known = [(trial, row) for trial, row in read if row is not None]
        ended = [(t, row) for t, row in known if t.state.is_finished() and not _ASIDE & t.user_attrs.keys()]
        silent = proposed.keys() - {trial.number for trial, _ in known}
        self.running = [row for trial, row in known if not trial.state.is_finished()]
        self.running += list(self._codes.rows([proposed[number] for number in sorted(silent)]))
        self.tried = {row.tobytes() for row in (*self.running, *(row for _, row in known))}
        up = study.direction == StudyDirection.MAXIMIZE
        targets, missing = results([_by_rung(trial) for trial, _ in ended], up)
        empty = np.zeros((0, len(self._codes.columns)))
        self.costs = _costs([trial for trial, _ in ended])
        rows = np.array([row for _, row in ended]) if ended else empty
        return Observed(rows, targets, missing, [trial.number for trial, _ in ended])

    def _row(self, trial: FrozenTrial) -> np.ndarray | None:
        if trial.number in self._known:
            return self._known[trial.number]
        candidate = candidate_of(trial, self._codes.space)
        row = None if candidate is None else self._codes.rows([candidate])[0]
        if trial.state.is_finished():
            self._known[trial.number] = row
        return row


def _by_rung(trial: FrozenTrial) -> dict[int, float]:
    """Values by meta-step; in a study without rungs the one at its end."""
    if trial.state == TrialState.FAIL:
        return {}
    if trial.intermediate_values:
        return dict(trial.intermediate_values)
    return {} if trial.value is None else {0: trial.value}


def _costs(trials: Sequence[FrozenTrial]) -> np.ndarray:
    """``(N,)`` logarithms of seconds, less the mean of those that came as far; NaN where none are told."""
    seconds = [float(trial.user_attrs.get("seconds", math.nan)) for trial in trials]
    return _relative(seconds, [max(trial.intermediate_values, default=0) for trial in trials])


def _relative(seconds: Sequence[float], steps: Sequence[int]) -> np.ndarray:
    logs = np.array([math.log(s) if s > 0 else math.nan for s in seconds])
    reached = np.array(steps)
    for step in set(steps):
        here = (reached == step) & np.isfinite(logs)
        if here.any():
            logs[here] -= logs[here].mean()
    logs[reached == 0] = math.nan  # what failed says nothing
    return logs


def costs_of_records(records: Sequence[Record]) -> np.ndarray:
    """The same of those records of a study that :func:`of_records` takes."""
    scored = [r for r in records if r.score is not None and r.parent is None]
    steps = [max((step for step, _ in r.valid_curve), default=r.rung) for r in scored]
    return _relative([r.costs.seconds for r in scored], steps)


def of_records(records: Sequence[Record], codes: Codes) -> Observed:
    """The same of another study's records, as far as they say anything about this space."""
    scored = [r for r in records if r.score is not None and r.parent is None]
    up = bool(scored) and scored[0].score is not None and scored[0].score.metric == "accuracy"
    told = [dict(r.valid_curve) or {r.rung: r.score.value} for r in scored if r.score is not None]
    targets, missing = results(told, up)
    candidates: list[Candidate] = [r.candidate for r in scored]
    return Observed(codes.rows(candidates), targets, missing, [r.number for r in scored])
