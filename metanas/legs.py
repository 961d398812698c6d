"""Meta-training to the end in a few legs, the learning rate falling to nothing; each leg is scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from metanas.evaluator import Evaluator, Job, Outcome
from metanas.training import annealed

_LEGS = 5
_PILOT = 30  # meta-steps of the first leg where it is not known yet how long one takes
_PILOT_PART = 0.1  # of the time, at most
_SCORING = 0.1  # part of the time that scoring may take: where it takes long, there are fewer legs
_LEAST_TRAINING = 0.5  # part of the time left, however long scoring takes
_SPARE = 0.03  # part of the time left, for paces that vary


@dataclass(frozen=True)
class Pace:
    """How long a job takes.

    Attributes:
        ms: Milliseconds a meta-step.
        scoring: Seconds to score a task.
    """

    ms: float
    scoring: float


@dataclass(frozen=True)
class Leg:
    """One leg, done.

    Attributes:
        step: Meta-steps behind it.
        total: Meta-steps planned, by what they took so far.
        outcome: Of the evaluator.
    """

    step: int
    total: int
    outcome: Outcome


def in_legs(
    evaluator: Evaluator, job: Job, steps: int, left: Callable[[], float], pace: Pace | None = None
) -> Iterator[Leg]:
    """Trains a job to the end of its time, or of its steps where there is time without end.

    Args:
        evaluator: Trains and scores.
        job: Where it starts.
        steps: Meta-steps in all, where ``left()`` is infinite.
        left: Seconds to its end.
        pace: If known.

    Yields:
        Every leg; ends early with one that has no score.
    """
    at, leg, legs, whole = job.checkpoint.step if job.checkpoint else 0, 0, _LEGS, left()
    tasks, open_ended = evaluator.scored_on(job), math.isinf(whole)
    while leg < legs and left() > 0:
        pilot = pace is None and not open_ended
        scoring = tasks * pace.scoring if pace else 0.0
        legs = min(_LEGS, max(1, int(_SCORING * whole / scoring))) if scoring and not open_ended else _LEGS
        if open_ended:
            total = steps
        else:
            ahead = _training(left(), max(1, legs - leg) * scoring)
            total = at + (10 * _PILOT if pace is None else int(ahead * 1e3 / pace.ms))
        until = min(total, at + (_PILOT if pilot else max(1, (total - at) // max(1, legs - leg))))
        if until <= at:
            return
        allowed = partial(_part, left) if pilot else partial(_but, left, scoring)
        for _, outcome in evaluator.evaluate([job], until, annealed(total), allowed, patient=True):
            yield Leg(until, total, outcome)
            if outcome.checkpoint is None:
                return
            job, at = replace(job, checkpoint=outcome.checkpoint), outcome.checkpoint.step
            pace = Pace(outcome.ms, outcome.scoring)
        leg += 0 if pilot else 1


def _training(left: float, scoring: float) -> float:
    """Seconds of those left that are for training."""
    return max(_LEAST_TRAINING * left, (1 - _SPARE) * left - scoring)


def _part(left: Callable[[], float]) -> float:
    return _PILOT_PART * left()


def _but(left: Callable[[], float], scoring: float) -> float:
    """Seconds left, but for those that scoring takes."""
    return max(_LEAST_TRAINING * left(), left() - scoring)
