"""Going on with the best trials: trials of their own that name their parents."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from metanas.budget import FINISH, Budget
from metanas.evaluator import Job
from metanas.learner.weights import unpack
from metanas.legs import in_legs
from metanas.search import LiveTrial, Search
from metanas.training import Checkpoint
from search_spaces import Record
from search_spaces.errors import EvaluationError

_STEPS = 1  # times the last rung, where the budget is in trials
_SHORT = 10.0  # seconds, below which there is no final
_FINAL = 0.5  # part of the time that the final takes; its winner has the rest


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
    if search.best is None:
        raise EvaluationError(f"study {search.name} has no scored trial yet; let it search longer")
    return _load(search, search.best)


def finish(search: Search, budget: Budget) -> Winner:
    """Meta-trains the best trials further, and the best of them to the end of the time.

    Where the budget is in seconds, the best trial of each rung goes on for the same time: a network
    that is slow and learns much a step, and one that is fast and learns little, cannot be told apart
    by meta-steps. Then the best of these goes on alone, its learning rate falling to nothing.

    Returns:
        The best trial of the study by validation, which may be none of these.
    """
    best = winner_of(search)
    if budget.left(FINISH) <= 0:
        return best
    with search.saving():
        live = _final(
            search, [_going_on(search, parent) for parent in _finalists(search, best, budget)], budget
        )
        _to_the_end(search, live, budget)
    return winner_of(search)


def _finalists(search: Search, best: Winner, budget: Budget) -> list[Winner]:
    """The best trial, and of each rung the best that was scored there."""
    if budget.left(FINISH) < _SHORT or math.isinf(budget.left(FINISH)):
        return [best]
    sign = -1 if search.evaluator.signature.higher_is_better else 1
    found = {best.record.candidate.id: best}
    for rung in reversed(search.rungs):
        scored = [
            (dict(r.valid_curve)[rung], r.number, r) for r in search.records if rung in dict(r.valid_curve)
        ]
        kept = [entry for entry in scored if entry[2].weights and math.isfinite(entry[0])]
        if kept:
            record = min(kept, key=lambda entry: (sign * entry[0], entry[1]))[2]
            found.setdefault(record.candidate.id, _load(search, record))
    return list(found.values())


def _going_on(search: Search, parent: Winner) -> LiveTrial:
    """A new trial that starts from its parent's weights."""
    live = search.begin(parent.record.candidate, parent.record.number)
    live.checkpoint = replace(parent.checkpoint, seed=live.record.seed)
    return live


def _final(search: Search, lives: list[LiveTrial], budget: Budget) -> LiveTrial:
    """Gives every finalist the same time; ends all but the best."""
    if len(lives) == 1:
        return lives[0]
    seconds = _FINAL * budget.left(FINISH) / len(lives)
    for live in lives:
        search.tell(f"final between {len(lives)}: going on with trial {live.record.parent}")
        # each comes to rest: at a full learning rate some would be judged in mid-stride
        _legs(search, live, search.rungs[-1], _until(budget, budget.spent + seconds))
    sign = -1 if search.evaluator.signature.higher_is_better else 1
    left = [live for live in lives if live in search.running and live.record.score]
    left.sort(key=lambda live: sign * live.record.score.value)  # type: ignore[union-attr]
    for live in left[1:]:
        search.end(live, "pruned", f"in the final, after {seconds:.0f} s from trial {live.record.parent}")
    return left[0] if left else _going_on(search, winner_of(search))


def _to_the_end(search: Search, live: LiveTrial, budget: Budget) -> None:
    parent = live.record.parent
    search.tell(f"going on with trial {parent}")
    _legs(search, live, _STEPS * search.rungs[-1], lambda: budget.left(FINISH))
    if live in search.running:
        search.end(live, "complete", f"went on from trial {parent}")


def _legs(search: Search, live: LiveTrial, steps: int, left: Callable[[], float]) -> None:
    """Takes a trial through legs of a falling learning rate, to the end of its steps or its time."""
    job = Job(live.record.candidate, live.record.seed, live.checkpoint)
    ms = search.ms.get(live.record.candidate.id)
    for leg in in_legs(search.evaluator, job, steps, left, ms):
        search.advance(live, leg.outcome)
        search.tell(f"going on with trial {live.record.parent}: meta-step {leg.step:,} of {leg.total:,}")


def _until(budget: Budget, end: float) -> Callable[[], float]:
    """Seconds to that moment of the budget."""
    return lambda: max(0.0, end - budget.spent)


def _load(search: Search, record: Record) -> Winner:
    if record.weights is None:
        raise EvaluationError(f"trial {record.number} of study {search.name} has no weights to go on from")
    program = search.evaluator.engine(record.candidate).program
    weights = unpack(program, search.memory.get(record.weights))
    return Winner(record, Checkpoint.resume(*weights, record.seed, search.evaluator.device))
