"""What searches have seen of their candidates, as numbers that can be compared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtri

from controllers.interface import candidate_of
from controllers.learned.codes import Codes
from search_spaces import Candidate
from search_spaces.record import INTERRUPTED, PARENT, REFUSED

_TINY = 1e-9
_STEEPEST = 1.0  # of what is gained by a meta-step more: a score never gets better faster than that for long
_LOUD = 2  # powers of two by which noise is at most more or less than usual; whole ones, so that they stay
# trials that were refused, go on from another, or were interrupted: they tell nothing new
_ASIDE = {REFUSED, PARENT, INTERRUPTED}


class Observed(NamedTuple):
    """Candidates with results.

    Attributes:
        rows: ``(N, J)`` codes of them.
        targets: ``(N,)``: ranks on the scale of a standard normal, more is better.
        missing: ``(N,)`` in [0, 1]: the part of its training that each has not had, on a logarithmic scale.
        noise: ``(N,)``: variances of targets, in that of a usual one.
        numbers: Of their trials.
    """

    rows: np.ndarray
    targets: np.ndarray
    missing: np.ndarray
    noise: np.ndarray
    numbers: list[int]


class Results(NamedTuple):
    """What results come to; see :class:`Observed`."""

    targets: np.ndarray
    missing: np.ndarray
    noise: np.ndarray


def results(
    scores: Sequence[Mapping[int, float]],
    up: bool,
    intervals: Sequence[float] = (),
    costs: Sequence[float] | np.ndarray = (),
) -> Results:
    """What candidates come to by their scores, by meta-step.

    A candidate counts with what it scored at the last rung that it reached, less what candidates gain on
    the average from rung to rung; one without a score, as the worst. How much noise there is in scores is
    left to be found; intervals say where there is more of it. They are not taken for the noise itself:
    candidates are scored on the same tasks, and most of what is wide about an interval all of them share.

    Where costs are told, what counts is what a candidate would come to in the time of a usual one: what it
    scored, less what candidates gain on the average while training goes on that much longer. That is for the
    training to come; what it costs to find out is a matter of the scorer.

    Args:
        scores: By candidate; those that failed have none.
        up: Whether more is better.
        intervals: By candidate, half the width of that of its best score; NaN or 0 where it is not known.
        costs: By candidate, logarithms of its seconds, in those of a usual one; NaN where they are not known.
    """
    table, steps = _tabled(scores)
    known = np.isfinite(table)
    last = np.where(known, np.arange(len(steps)), -1).max(1, initial=-1)
    worths = _worths(table, known, up)
    gains = np.cumsum([0.0, *_gains(worths)])
    levels = np.full(len(scores), -math.inf)
    scored = np.flatnonzero(last >= 0)
    levels[scored] = worths[scored, last[scored]] - gains[last[scored]]
    if len(costs) and _is_logarithm(table[known], up):
        levels -= _by_step(gains, steps) * np.nan_to_num(np.array(costs, dtype=float))
    targets, noise = _normal(levels), np.ones(len(scores))
    if len(intervals) and len(scored):
        wide = np.array(intervals, dtype=float)[scored]
        if _is_logarithm(table[known], up):
            wide = wide * np.exp(worths[scored, last[scored]])
        noise[scored] = _noise(levels[scored], targets[scored], wide)
    return Results(targets, _missing(steps, last), noise)


def _tabled(scores: Sequence[Mapping[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """``(N, R)`` scores, NaN where there is none, and the ``(R,)`` meta-steps that some have scores of."""
    steps = sorted({step for values in scores for step in values})
    table = np.array([[values.get(step, math.nan) for step in steps] for values in scores], dtype=float)
    table = table.reshape(len(scores), len(steps))
    some = np.isfinite(table).any(0)
    return table[:, some], np.array(steps, dtype=int)[some]


def _worths(table: np.ndarray, known: np.ndarray, up: bool) -> np.ndarray:
    """``(N, R)``: more is better; NaN where there is no score that is finite."""
    is_logarithm = _is_logarithm(table[known], up)
    table = np.where(known, table, math.nan)
    if is_logarithm:
        return np.asarray(-np.log((1 - table if up else table) + _TINY))
    return table if up else -table


def _is_logarithm(every: np.ndarray, up: bool) -> bool:
    """Whether scores are accuracies or errors, of which the logarithm is taken."""
    return bool((every >= 0).all() and (not up or (every <= 1).all()))


def _gains(worths: np.ndarray) -> Iterator[float]:
    """By rung after the first, what candidates gained to there since the one before."""
    for gained in np.diff(worths, axis=1).T:
        both = gained[np.isfinite(gained)]
        yield float(both.mean()) if len(both) else 0.0


def _by_step(gains: np.ndarray, steps: np.ndarray) -> float:
    """What candidates gain while their meta-steps grow by the factor e; so do their seconds."""
    some = steps >= 1
    if some.sum() < 2:
        return 0.0
    found = (gains[some][-1] - gains[some][0]) / math.log(steps[-1] / steps[some][0])
    return float(np.clip(found, 0, _STEEPEST))


def _missing(steps: np.ndarray, last: np.ndarray) -> np.ndarray:
    first = int(np.searchsorted(steps, 1))  # that is after the beginning
    logs = np.log(steps[first:])
    if len(logs) < 2:
        return np.zeros(len(last))
    parts = (logs[-1] - logs[np.maximum(last - first, 0)]) / (logs[-1] - logs[0])
    return np.where(last < first, 0.0, parts)


def _normal(levels: np.ndarray) -> np.ndarray:
    if not len(levels):
        return np.zeros(0)
    # ranks from 1, equals share theirs; scipy.stats has them, for 20 MB of memory
    _, which, counts = np.unique(levels, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[which]
    found: np.ndarray = ndtri((ranks - 0.5) / len(levels))
    return found


def _noise(levels: np.ndarray, targets: np.ndarray, wide: np.ndarray) -> np.ndarray:
    """``(N,)``: variances that intervals of levels come to on the scale of targets, by the median one."""
    order, found = np.argsort(levels), np.ones(len(levels))
    ends = [np.interp(levels + side, levels[order], targets[order]) for side in (-wide, wide)]
    variance = np.max([(end - targets) ** 2 for end in ends], 0)  # beyond the best there is nothing to tell
    known = np.isfinite(variance) & (variance > 0)
    if known.any():
        powers = np.round(np.log2(variance[known] / np.median(variance[known])))
        found[known] = 2 ** powers.clip(-_LOUD, _LOUD)
    return found


class _Trial(NamedTuple):
    """What is read of a trial.

    Attributes:
        number: Of it.
        row: ``(J,)`` codes; None if it is no point of the space.
        has_ended: Whether it has.
        tells: Whether its result says something new.
        is_open: Whether it was interrupted before it had a result: its candidate is as good as not tried.
        scores: By meta-step.
        interval: Half the width of that of its best one; NaN where it is not told.
        seconds: NaN where they are not told.
        reached: Its last meta-step.
    """

    number: int
    row: np.ndarray | None
    has_ended: bool
    tells: bool
    is_open: bool
    scores: Mapping[int, float]
    interval: float
    seconds: float
    reached: int


class Reader:
    """Reads a study, each of its trials once: one that has ended stays as it is.

    Args:
        codes: Of the space.
        timed: Whether a result counts for the time that it took.
    """

    def __init__(self, codes: Codes, timed: bool = False) -> None:
        self._codes, self._timed = codes, timed
        self._ended: dict[int, _Trial] = {}
        self.running: list[np.ndarray] = []
        self.costs = np.zeros(0)
        self.tried: set[bytes] = set()

    def read(self, study: optuna.Study, proposed: Mapping[int, Candidate]) -> Observed:
        """What has ended.

        Sets ``running`` (rows without a result yet), ``tried`` (all there are but those interrupted; what was
        refused is tried and has no result) and ``costs`` of what has ended.

        Args:
            study: That is searched.
            proposed: By number, candidates of trials that may not have told their parameters yet.
        """
        trials = [self._trial(trial) for trial in study.get_trials(deepcopy=False)]
        known = [(trial, trial.row) for trial in trials if trial.row is not None]
        ended = [(trial, row) for trial, row in known if trial.tells]
        silent = proposed.keys() - {trial.number for trial, _ in known}
        self.running = [row for trial, row in known if not trial.has_ended]
        self.running += list(self._codes.rows([proposed[number] for number in sorted(silent)]))
        closed = (row for trial, row in known if not trial.is_open)
        self.tried = {row.tobytes() for row in (*self.running, *closed)}
        up = study.direction == StudyDirection.MAXIMIZE
        self.costs = relative([trial.seconds for trial, _ in ended], [trial.reached for trial, _ in ended])
        costs = self.costs if self._timed else ()
        found = results([t.scores for t, _ in ended], up, [t.interval for t, _ in ended], costs)
        empty = np.zeros((0, len(self._codes.columns)))
        rows = np.array([row for _, row in ended]) if ended else empty
        return Observed(rows, *found, [trial.number for trial, _ in ended])

    def _trial(self, trial: FrozenTrial) -> _Trial:
        if trial.number in self._ended:
            return self._ended[trial.number]
        candidate = candidate_of(trial, self._codes.space)
        found = _Trial(
            trial.number,
            None if candidate is None else self._codes.rows([candidate])[0],
            trial.state.is_finished(),
            trial.state.is_finished() and not _ASIDE & trial.user_attrs.keys(),
            trial.state.is_finished() and INTERRUPTED in trial.user_attrs,
            _by_rung(trial),
            float(trial.user_attrs.get("ci95", math.nan)),
            float(trial.user_attrs.get("seconds", math.nan)),
            max(trial.intermediate_values, default=0),
        )
        if found.has_ended:
            self._ended[trial.number] = found
        return found


def _by_rung(trial: FrozenTrial) -> dict[int, float]:
    """Values by meta-step; in a study without rungs the one at its end."""
    if trial.state == TrialState.FAIL:
        return {}
    if trial.intermediate_values:
        return dict(trial.intermediate_values)
    return {} if trial.value is None else {0: trial.value}


def relative(seconds: Sequence[float], steps: Sequence[int]) -> np.ndarray:
    """``(N,)`` logarithms of seconds, less the mean of those that came as far; NaN where none are told."""
    told, reached = np.array(seconds, dtype=float), np.array(steps)
    logs = np.log(np.where(told > 0, told, math.nan))
    for step in set(steps):
        here = (reached == step) & np.isfinite(logs)
        if here.any():
            logs[here] -= logs[here].mean()
    logs[reached == 0] = math.nan  # what failed says nothing
    return logs
