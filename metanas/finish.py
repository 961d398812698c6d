"""Going on with the winner: a trial of its own that names its parent."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from metanas.budget import FINISH, Budget
from metanas.evaluator import Job
from metanas.learner.weights import unpack
from metanas.search import Search
from metanas.training import Checkpoint, annealed
from search_spaces import Record
from search_spaces.errors import EvaluationError

_STEPS = 2  # times the last rung, where the budget is in trials
_LEGS = 5  # stretches, each scored: the best by validation is kept
_SCORING = 0.9  # part of the time that is left for training; the rest is scoring


@dataclass(frozen=True)
class Winner:
    """The trial that a search hands back, with its weights."""

    record: Record
    checkpoint: Checkpoint


def winner_of(search: Search) -> Winner:
    """The best trial of the study so far.

    Raises:
        EvaluationError: If no trial has a score.
    """
    record = search.best
    if record is None or record.weights is None:
        raise EvaluationError(f"study {search.name} has no scored trial yet; let it search longer")
    evaluator = search.evaluator
    program = evaluator.engine(record.candidate).program
    weights = unpack(program, search.memory.get(record.weights))
    return Winner(record, Checkpoint.resume(*weights, record.seed, evaluator.device))


def finish(search: Search, budget: Budget) -> Winner:
    """Meta-trains the best trial further, its learning rate falling to nothing.

    Returns:
        The better of it and its parent, by validation.
    """
    parent = winner_of(search)
    if _steps_to_come(search, parent.record, budget, 0) < _LEGS:
        return parent
    with search.saving():
        live = search.begin(parent.record.candidate, parent.record.number)
        live.checkpoint = replace(parent.checkpoint, seed=live.record.seed)
        for leg in range(_LEGS):
            at = live.checkpoint.step
            total = at + _steps_to_come(search, live.record, budget, at)
            until = at + (total - at) // (_LEGS - leg)
            search.tell(f"going on with trial {parent.record.number}: meta-step {until:,} of {total:,}")
            job = Job(live.record.candidate, live.record.seed, live.checkpoint)
            allowed = budget.left(FINISH)
            for _, outcome in search.evaluator.evaluate([job], until, annealed(total), lambda: allowed, patient=True):
                search.advance(live, outcome)
            if live not in search.running or budget.left(FINISH) <= 0:
                break
        if live in search.running:
            search.end(live, "complete", f"went on from trial {parent.record.number}")
    return winner_of(search)


def _steps_to_come(search: Search, record: Record, budget: Budget, done: int) -> int:
    """Meta-steps that the time is enough for, by what they took last; counted anew after every leg."""
    left = budget.left(FINISH)
    ms = search.ms.get(record.candidate.id)
    if math.isinf(left) or ms is None:  # a budget in trials, or a best trial from an earlier run
        return max(0, _STEPS * search.rungs[-1] - done)
    return int(_SCORING * left * 1e3 / ms)
