"""Going on with the winner: a trial of its own that names its parent."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metanas.budget import FINISH, Budget
from metanas.evaluator import Job
from metanas.learner.weights import unpack
from metanas.legs import in_legs
from metanas.search import Search
from metanas.training import Checkpoint
from search_spaces import Record
from search_spaces.errors import EvaluationError

_STEPS = 1  # times the last rung, where the budget is in trials


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
    if budget.left(FINISH) <= 0:
        return parent
    number, candidate = parent.record.number, parent.record.candidate
    with search.saving():
        live = search.begin(candidate, number)
        job = Job(candidate, live.record.seed, replace(parent.checkpoint, seed=live.record.seed))
        steps, ms = _STEPS * search.rungs[-1], search.ms.get(candidate.id)
        search.tell(f"going on with trial {number}")
        for leg in in_legs(search.evaluator, job, steps, lambda: budget.left(FINISH), ms):
            search.advance(live, leg.outcome)
            search.tell(f"going on with trial {number}: meta-step {leg.step:,} of {leg.total:,}")
        if live in search.running:
            search.end(live, "complete", f"went on from trial {number}")
    return winner_of(search)
