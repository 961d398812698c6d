"""Judging the winner: fresh test tasks that chose nothing, beside baselines on the same ones."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from metanas.baselines import hand_set, run_hand_set, run_simple, simple
from metanas.budget import BASELINES, Budget
from metanas.engine.program import at
from metanas.evaluator import Evaluator
from metanas.finish import Winner
from metanas.scoring import summarise
from metanas.search import Search
from metanas.seeds import derive
from metanas.verdict import Rival, Verdict, decide
from search_spaces import Score
from search_spaces.errors import EvaluationError
from search_spaces.task import Episodes

TEST_TASKS = 1000
_FEWEST = 100
_PASSES = 3.0  # ours, and two hand-set learners that may be slower
_SCORED_BY = 0.97  # part of the budget by which scoring should be over
_LEAST_SHARE = 0.03  # of the budget, for each baseline that is meta-trained
_PROBE = 20  # tasks that tell how long scoring takes


@dataclass(frozen=True)
class Judgement:
    """What the test tasks say of a winner.

    Attributes:
        test: Its score on them.
        baselines: Scores of the baselines on the same tasks, by name, best on validation first.
        verdict: Against the best of them.
        looks: How often the study has looked at its test tasks.
        episodes: The test tasks.
    """

    test: Score
    baselines: dict[str, Score]
    verdict: Verdict
    looks: int
    episodes: Episodes


def judge(search: Search, winner: Winner, budget: Budget) -> Judgement:
    """Runs the baselines and the winner on fresh test tasks, and compares them task by task."""
    evaluator, candidate = search.evaluator, winner.record.candidate
    looks = search.memory.look(search.name)
    count = _affordable(evaluator, winner, budget)
    test = evaluator.tasks(count, "test", look=looks)
    rivals = _rivals(search, winner, test, budget)
    search.tell(f"scoring on {count:,} fresh test tasks")
    ours = evaluator.task_scores(candidate, winner.checkpoint, test).double().cpu().numpy()
    transductive = evaluator.transductive(candidate, winner.checkpoint)
    verdict = decide(evaluator.signature, ours, rivals, looks)
    return Judgement(
        summarise(evaluator.signature, ours, "test", transductive),
        {
            rival.name: summarise(evaluator.signature, rival.test, "test")
            for rival in _ranked(evaluator, rivals)
        },
        verdict,
        looks,
        test,
    )


def _rivals(search: Search, winner: Winner, test: Episodes, budget: Budget) -> list[Rival]:
    evaluator = search.evaluator
    rivals = []
    for method in simple(evaluator):
        search.tell(f"baseline: {method.name}")
        rivals.append(run_simple(evaluator, method, test))
    learners = hand_set(evaluator.signature, evaluator.family)
    for i, (name, candidate) in enumerate(learners.items()):
        search.tell(f"baseline: {name}, hand-set, meta-trained")
        # what is left is shared equally among those to come
        share = max(budget.left(BASELINES) / (len(learners) - i), _LEAST_SHARE * (budget.seconds or 0.0))
        end = time.monotonic() + share
        seconds = (
            (lambda: math.inf) if math.isinf(share) else (lambda end=end: max(0.0, end - time.monotonic()))
        )
        steps = search.rungs[-1]
        seed = derive(search.seed, "baseline")
        try:
            rivals.append(run_hand_set(evaluator, name, candidate, test, steps, seconds, seed))
        except EvaluationError as error:
            search.memory.log(search.name, "baseline left out", str(error))
            search.tell(str(error))
    return rivals


def _ranked(evaluator: Evaluator, rivals: list[Rival]) -> list[Rival]:
    return sorted(rivals, key=lambda rival: rival.valid, reverse=evaluator.signature.higher_is_better)


def _affordable(evaluator: Evaluator, winner: Winner, budget: Budget) -> int:
    """Number of test tasks that the time for scoring is enough for."""
    if budget.seconds is None:
        return TEST_TASKS
    probe = evaluator.tasks(_PROBE, "valid")
    candidate, checkpoint = winner.record.candidate, winner.checkpoint
    start = time.monotonic()
    evaluator.task_scores(candidate, checkpoint, at(probe, slice(0, _PROBE)))
    each = (time.monotonic() - start) / _PROBE
    reserved = (_SCORED_BY - BASELINES) * budget.seconds
    return int(np.clip(reserved / (_PASSES * each + 1e-9), _FEWEST, TEST_TASKS))
