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
_TRAINING = 0.88  # part of the time that is for training; the rest is for scoring


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
    evaluator: Evaluator, job: Job, steps: int, left: Callable[[], float], ms: float | None = None
) -> Iterator[Leg]:
    """Trains a job to the end of its time, or of its steps where there is time without end.

    Args:
        evaluator: Trains and scores.
        job: Where it starts.
        steps: Meta-steps in all, where ``left()`` is infinite.
        left: Seconds to its end.
        ms: Milliseconds a meta-step, if known.

    Yields:
        Every leg; ends early with one that has no score.
    """
    at, leg, open_ended = job.checkpoint.step if job.checkpoint else 0, 0, math.isinf(left())
    while leg < _LEGS and left() > 0:
        pilot = ms is None and not open_ended
        total = (
            steps if open_ended else at + (10 * _PILOT if ms is None else int(_TRAINING * left() * 1e3 / ms))
        )
        until = min(total, at + (_PILOT if pilot else max(1, (total - at) // (_LEGS - leg))))
        if until <= at:
            return
        allowed = partial(_part, left) if pilot else left
        for _, outcome in evaluator.evaluate([job], until, annealed(total), allowed, patient=True):
            yield Leg(until, total, outcome)
            if outcome.checkpoint is None:
                return
            job, at, ms = replace(job, checkpoint=outcome.checkpoint), outcome.checkpoint.step, outcome.ms
        leg += 0 if pilot else 1


def _part(left: Callable[[], float]) -> float:
    return _PILOT_PART * left()
