"""What there is time for once a winner is found: test tasks, baselines, and their training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from metanas import dependence
from metanas.baselines import TUNING_TASKS, Simple, failed, first, pace
from metanas.budget import BASELINES, Budget
from metanas.engine.program import at
from metanas.engine.program import count as count_of
from metanas.evaluator import Evaluator
from metanas.finish import Winner
from metanas.tasks.sheets import free_memory
from metanas.trained import Trained, scoring_pace
from search_spaces.task import Episodes

SCORED_BY = 0.97  # part of the budget by which scoring should be over
_FEWEST = 100  # test tasks
TEST_TASKS = 1000  # the most that are of use
_LEAST_SHARE = 0.03  # of the budget, for each baseline that is trained
_SCORING_PART = 0.7  # of the time left, at most, where scoring is slow: the rest is for training
_TOO_DEAR = 0.8  # of the time left, beyond which learners are left out that are slow to score
_TOO_DEAR_SIMPLE = 0.1  # of that, beyond which a simple method is run on fewer tasks, or left out
_LEAST_ROOM = 0.12  # of the budget, for scoring
_PROBE, _MORE = 8, 64  # tasks that tell how long scoring takes: of images, and of what is small
_MEMORY_PART, _COPIES = 0.5, 4  # of what is free, for test tasks; in all, two of them in double precision
_IMAGE = 3  # dimensions of an example


@dataclass(frozen=True)
class Plan:
    """What there is time for.

    Attributes:
        count: Test tasks.
        methods: Simple ones.
        rounds: Of those that are slow, by name, how many episodes of each task (or group) they are run on.
        learners: That are trained.
        ours: Seconds that the winner takes for a test task.
        each: Seconds that each learner takes for one, in order.
        tuning: Test tasks that choosing the settings of each learner takes as long as.
        valid: Test tasks that scoring on all validation tasks takes as long as.
        left_out: Baselines that there is no time for, in words.
    """

    count: int
    methods: Sequence[Simple]
    learners: Sequence[Trained]
    rounds: Mapping[str, int] = field(default_factory=dict)
    ours: float = 0.0
    each: tuple[float, ...] = ()
    tuning: tuple[int, ...] = ()
    valid: float = 0.0
    left_out: tuple[str, ...] = ()

    def time_for(self, i: int, budget: Budget) -> Callable[[], float]:
        """Seconds left to train a learner: as many as for those after it, once all are scored."""
        if budget.seconds is None:
            return lambda: math.inf
        scoring = self.count * (self.ours + sum(self.each[i:])) + dependence.PART * budget.seconds
        left = min(budget.left(BASELINES), budget.left(SCORED_BY) - scoring)
        share = max(left / (len(self.each) - i), _LEAST_SHARE * budget.seconds)
        end = time.monotonic() + share - (self.valid + self.tuning[i]) * self.each[i]
        return lambda: max(0.0, end - time.monotonic())


def plan(
    evaluator: Evaluator,
    winner: Winner,
    budget: Budget,
    methods: Sequence[Simple],
    learners: Sequence[Trained],
    most: int,
) -> Plan:
    """Measures how long everybody takes; leaves out what could not even be scored in time.

    Args:
        evaluator: Of the tasks.
        winner: What is judged.
        budget: Of everything.
        methods: Simple baselines; the first is always run.
        learners: Baselines that are trained.
        most: Test tasks, at most.
    """
    most = min(most, _fitting(evaluator))
    if budget.seconds is None:
        return Plan(most, methods, learners)
    # what is small is dispatched longer than it computes: of few tasks it would seem slow
    images = len(evaluator.signature.input_shape) == _IMAGE
    more = evaluator.tasks(_MORE, "valid")
    probe = at(more, slice(0, _PROBE)) if images else more
    ours = scoring_pace(evaluator, winner.record.candidate, winner.checkpoint, probe)
    left_out: list[str] = []
    each = _measured({one.name: partial(one.pace, evaluator, probe) for one in learners}, left_out)
    tuning = {learner.name: learner.tuning for learner in learners}
    valid = count_of(evaluator.valid) * _rows(evaluator.valid) / _rows(probe)
    # where training took longer than it should there is some room all the same: a verdict against whatever
    # was left would be worth nothing
    room = _TOO_DEAR * max(budget.left(SCORED_BY), _LEAST_ROOM * budget.seconds)
    quick, slow, chosen = _sorted(evaluator, methods, more, valid, room, most, left_out)
    simply = sum(quick.values())
    room = max(room - chosen, _TOO_DEAR * _LEAST_ROOM * budget.seconds)

    def needed() -> float:
        trained = sum((_FEWEST + valid + tuning[name]) * taken for name, taken in each.items())
        return _FEWEST * (ours + simply) + trained

    while each and needed() > room:
        slowest = max(each, key=each.__getitem__)
        each.pop(slowest)
        left_out.append(_dear(slowest))
    reserved = _SCORING_PART * room / _TOO_DEAR
    count = int(np.clip(reserved / (ours + simply + sum(each.values()) + 1e-9), _FEWEST, most))
    runs = [method for method in methods if method.name in quick or method.name in slow]
    kept = [learner for learner in learners if learner.name in each]
    tunings = tuple(tuning[name] for name in each)
    return Plan(count, runs, kept, slow, ours, tuple(each.values()), tunings, valid, tuple(left_out))


def _fitting(evaluator: Evaluator) -> int:
    """How many test tasks there is memory for: of large images a thousand would take tens of gigabytes."""
    few = evaluator.tasks(_PROBE, "valid")
    each = sum(tensor.nbytes for tensor in few.values()) / count_of(few)  # type: ignore[attr-defined]
    room = _MEMORY_PART * free_memory() / (_COPIES * each)  # infinite where the system does not say
    return int(max(_PROBE, min(room, TEST_TASKS)))


def _measured(paces: Mapping[str, Callable[[], float]], left_out: list[str]) -> dict[str, float]:
    """Seconds that each takes for a task; what cannot even be measured is left out and said."""
    found = {}
    for name, run in paces.items():
        try:
            found[name] = run()
        except Exception as error:  # whatever a library makes of data that nobody thought of
            left_out.append(failed(name, error))
    return found


def _sorted(
    evaluator: Evaluator,
    methods: Sequence[Simple],
    probe: Episodes,
    valid: float,
    room: float,
    most: int,
    left_out: list[str],
) -> tuple[dict[str, float], dict[str, int], float]:
    """Simple methods that are quick, with paces; slow ones, with rounds; seconds that tuning them takes."""
    quick: dict[str, float] = {}
    slow: dict[str, int] = {}
    seconds, once = 0.0, _once(evaluator, most)
    measured = {method.name: partial(pace, evaluator.signature, method, probe) for method in methods}
    paces, dear = _measured(measured, left_out), _TOO_DEAR_SIMPLE * room
    for method in methods:
        if (taken := paces.get(method.name)) is None:
            continue
        tuning = method.tuning(TUNING_TASKS)
        # where it is slow it is tuned on the tasks of its rounds alone, if these are fewer
        a_round = taken * (sum(once) + method.tuning(once[0])) if once else math.inf
        rounds = int(dear / (a_round + 1e-9))
        if not quick or taken * (valid + _FEWEST + tuning) <= dear:  # something is always there
            quick[method.name] = taken
            seconds += taken * tuning
        elif rounds:
            slow[method.name] = rounds
        else:
            left_out.append(_dear(method.name))
    return quick, slow, seconds


def _once(evaluator: Evaluator, most: int) -> tuple[int, int] | None:
    """Episodes in which each validation and each test task comes once; None where all are of their own."""
    if (valid := first(evaluator.valid, 1)) is None:
        return None
    return valid, first(evaluator.tasks(most, "test"), 1) or 0


def _dear(name: str) -> str:
    return f"baseline {name} is left out: scoring it takes more time than there is"


def _rows(episodes: Episodes) -> int:
    return episodes["support_x"].shape[1] + episodes["query_x"].shape[1]
