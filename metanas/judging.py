"""Judging the winner: fresh test tasks that chose nothing, beside baselines on the same ones."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metanas.baselines import Simple, hand_set, pace, run_hand_set, run_simple, simple
from metanas.budget import BASELINES, Budget
from metanas.engine.program import count as count_of
from metanas.evaluator import Evaluator
from metanas.finish import Winner
from metanas.scoring import summarise
from metanas.search import Search
from metanas.seeds import derive
from metanas.training import Checkpoint
from metanas.verdict import Rival, Verdict, decide
from search_spaces import Candidate, Score, Signature
from search_spaces.errors import DataError, EvaluationError
from search_spaces.task import Episodes

TEST_TASKS = 1000
BY_SHOTS = "score by shots"  # what the store's log calls it
_SHOTS, _SHOT_TASKS = (1, 2, 5, 10), 100
_FEWEST = 100
_SCORED_BY = 0.97  # part of the budget by which scoring should be over
_LEAST_SHARE = 0.03  # of the budget, for each baseline that is meta-trained
_SCORING_PART = 0.6  # of the time left, at most, where scoring is slow: the rest is for training
_TOO_DEAR = 0.8  # of the time left, beyond which learners are left out that are slow to score
_TOO_DEAR_SIMPLE = 0.1  # of that, beyond which a simple method is
_LOOKS = 2  # at how long scoring takes
_PROBE = 8  # tasks that tell how long scoring takes


@dataclass(frozen=True)
class Comparison:
    """A winner and its rivals on the same fresh test tasks, which chose nothing.

    Attributes:
        ours: Score on each task ``(T,)``.
        rivals: On the same ones.
        transductive: Whether ours peeks at the other queries: measured.
        looks: How often the study has looked at its test tasks.
        episodes: The test tasks.
        left_out: Baselines that could not be run, and why, in words.
    """

    ours: np.ndarray
    rivals: list[Rival]
    transductive: bool
    looks: int
    episodes: Episodes
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """What the test tasks say of a winner.

    Attributes:
        test: Its score on them.
        baselines: Scores of the baselines on the same tasks, by name, best on validation first.
        verdict: Against the best of them.
        looks: How often the study has looked at its test tasks.
        episodes: The test tasks.
        left_out: Baselines that could not be run, and why, in words.
        folds: Parts that the tasks were divided into, each of which was the test part once; 1: one split.
    """

    test: Score
    baselines: dict[str, Score]
    verdict: Verdict
    looks: int
    episodes: Episodes
    left_out: tuple[str, ...] = ()
    folds: int = 1


def joined(signature: Signature, parts: Sequence[Comparison]) -> Judgement:
    """What the test tasks of all parts say together; each part had a search of its own."""
    rivals = _joined_rivals(parts)
    ours, looks = np.concatenate([part.ours for part in parts]), max(part.looks for part in parts)
    ranked = sorted(rivals, key=lambda rival: rival.valid, reverse=signature.higher_is_better)
    return Judgement(
        summarise(signature, ours, "test", any(part.transductive for part in parts)),
        {rival.name: summarise(signature, rival.test, "test") for rival in ranked},
        decide(signature, ours, rivals, looks),
        looks,
        parts[0].episodes,
        tuple(dict.fromkeys(why for part in parts for why in part.left_out)),
        len(parts),
    )


def _joined_rivals(parts: Sequence[Comparison]) -> list[Rival]:
    """Those that every part has."""
    found = []
    for name in [rival.name for rival in parts[0].rivals]:
        same = [rival for part in parts for rival in part.rivals if rival.name == name]
        if len(same) == len(parts):
            valid = float(np.mean([rival.valid for rival in same]))
            found.append(Rival(name, valid, np.concatenate([rival.test for rival in same])))
    return found


def compare(search: Search, winner: Winner, budget: Budget) -> Comparison:
    """Scores the winner and the baselines on fresh test tasks."""
    evaluator, candidate = search.evaluator, winner.record.candidate
    looks = search.memory.look(search.name)
    methods = simple(evaluator)
    plan = _plan(search, winner, budget, methods)
    count, test = plan.count, evaluator.tasks(plan.count, "test", look=looks)
    left_out = list(plan.left_out)
    rivals = [
        *_simple_rivals(search, plan.methods, test),
        *_hand_set_rivals(search, plan, test, budget, left_out),
    ]
    for why in left_out:
        search.memory.log(search.name, "baseline left out", why)
    search.tell(f"scoring on {count:,} fresh test tasks")
    ours = evaluator.task_scores(candidate, winner.checkpoint, test).double().cpu().numpy()
    transductive = evaluator.transductive(candidate, winner.checkpoint)
    search.memory.log(search.name, BY_SHOTS, json.dumps(_by_shots(search, winner, budget, looks)))
    return Comparison(ours, rivals, transductive, looks, test, tuple(left_out))


def beside(search: Search, winner: Winner, other: Comparison) -> Comparison:
    """Another learner of the same search on the same test tasks, beside the same rivals."""
    evaluator, candidate = search.evaluator, winner.record.candidate
    ours = evaluator.task_scores(candidate, winner.checkpoint, other.episodes).double().cpu().numpy()
    return replace(other, ours=ours, transductive=evaluator.transductive(candidate, winner.checkpoint))


def _by_shots(search: Search, winner: Winner, budget: Budget, look: int) -> list[tuple[int, float, float]]:
    """The winner with fewer and more examples, while there is time: shots, score, half of its interval."""
    evaluator, found = search.evaluator, []
    setting, family = evaluator.setting, evaluator.family
    for shots in sorted({*_SHOTS, setting.shots}):
        if budget.left(_SCORED_BY) <= 0:
            break
        try:
            family.check(setting.ways, shots, setting.queries)
        except DataError:
            break  # the smallest class or task has no more examples
        search.tell(f"scoring with {shots} shots")
        tasks = replace(setting, shots=shots)
        drawn = evaluator.tasks(_SHOT_TASKS, "test", look=look, setting=tasks)
        values = (
            evaluator.task_scores(winner.record.candidate, winner.checkpoint, drawn).double().cpu().numpy()
        )
        score = summarise(evaluator.signature, values, "test")
        if math.isfinite(score.value + score.ci95):
            found.append((shots, score.value, score.ci95))
    return found


def _simple_rivals(search: Search, methods: list[Simple], test: Episodes) -> list[Rival]:
    rivals = []
    for method in methods:
        search.tell(f"baseline: {method.name}")
        rivals.append(run_simple(search.evaluator, method, test))
    return rivals


def _hand_set_rivals(
    search: Search, plan: _Plan, test: Episodes, budget: Budget, left_out: list[str]
) -> list[Rival]:
    rivals = []
    for i, (name, candidate) in enumerate(plan.learners.items()):
        search.tell(f"baseline: {name}, hand-set, meta-trained")
        seconds = plan.time_for(i, budget)
        steps, seed = search.rungs[-1], derive(search.seed, "baseline")
        try:
            rivals.append(run_hand_set(search.evaluator, name, candidate, test, steps, seconds, seed))
        except EvaluationError as error:
            left_out.append(str(error))
    return rivals


@dataclass(frozen=True)
class _Plan:
    """What there is time for.

    Attributes:
        count: Test tasks.
        methods: Simple ones.
        learners: Hand-set, by name.
        ours: Seconds that the winner takes for a test task.
        each: Seconds that each learner takes for one, in order.
        valid: Test tasks that scoring on all validation tasks takes as long as.
        left_out: Learners that there is no time for, in words.
    """

    count: int
    methods: list[Simple]
    learners: dict[str, Candidate]
    ours: float = 0.0
    each: tuple[float, ...] = ()
    valid: float = 0.0
    left_out: tuple[str, ...] = ()

    def time_for(self, i: int, budget: Budget) -> Callable[[], float]:
        """Seconds left to meta-train a learner: as many as for those after it, once all are scored."""
        if budget.seconds is None:
            return lambda: math.inf
        scoring = self.count * (self.ours + sum(self.each[i:]))
        left = min(budget.left(BASELINES), budget.left(_SCORED_BY) - scoring)
        share = max(left / (len(self.each) - i), _LEAST_SHARE * budget.seconds)
        end = time.monotonic() + share - self.valid * self.each[i]
        return lambda: max(0.0, end - time.monotonic())


def _plan(search: Search, winner: Winner, budget: Budget, methods: list[Simple]) -> _Plan:
    """Measures how long everybody takes; leaves out learners that could not even be scored in time."""
    evaluator = search.evaluator
    learners = hand_set(evaluator.signature, evaluator.family)
    if budget.seconds is None:
        return _Plan(TEST_TASKS, methods, learners)
    probe = evaluator.tasks(_PROBE, "valid")
    ours = _pace(evaluator, winner.record.candidate, winner.checkpoint, probe)
    each = {name: _pace(evaluator, candidate, None, probe) for name, candidate in learners.items()}
    valid = count_of(evaluator.valid) * _rows(evaluator.valid) / _rows(probe)
    left_out, room = [], _TOO_DEAR * budget.left(_SCORED_BY)
    paces = {method.name: pace(evaluator, method, probe) for method in methods}
    for name in list(paces)[1:]:  # something simple is always there
        if paces[name] * (valid + _FEWEST) > _TOO_DEAR_SIMPLE * room:
            paces.pop(name)
            left_out.append(_dear(name))
    simply = sum(paces.values())
    while each and _FEWEST * (ours + simply) + (_FEWEST + valid) * sum(each.values()) > room:
        slowest = max(each, key=each.__getitem__)
        each.pop(slowest)
        left_out.append(_dear(slowest))
    reserved = _SCORING_PART * budget.left(_SCORED_BY)
    count = int(np.clip(reserved / (ours + simply + sum(each.values()) + 1e-9), _FEWEST, TEST_TASKS))
    kept = {name: learners[name] for name in each}
    quick = [method for method in methods if method.name in paces]
    return _Plan(count, quick, kept, ours, tuple(each.values()), valid, tuple(left_out))


def _dear(name: str) -> str:
    return f"baseline {name} is left out: scoring it takes more time than there is"


def _pace(
    evaluator: Evaluator, candidate: Candidate, checkpoint: Checkpoint | None, probe: Episodes
) -> float:
    """Seconds that scoring a task takes."""
    program = evaluator.engine(candidate).program
    checkpoint = checkpoint or Checkpoint.start(program, 0, evaluator.device)
    taken = []
    for _ in range(_LOOKS):  # the first pays what every shape pays once
        start = time.monotonic()
        evaluator.task_scores(candidate, checkpoint, probe).cpu()
        taken.append(time.monotonic() - start)
    return min(taken) / count_of(probe)


def _rows(episodes: Episodes) -> int:
    return episodes["support_x"].shape[1] + episodes["query_x"].shape[1]
