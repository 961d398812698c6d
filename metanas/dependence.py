"""How the winner's score depends on what a task gives it: labelled examples, steps of adapting."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from metanas.budget import Budget
from metanas.engine import Engine, Program
from metanas.evaluator import Evaluator
from metanas.finish import Winner
from metanas.scoring import by_cluster, classes_of, summarise, task_scores
from metanas.search import Search
from search_spaces import Candidate, catalogue
from search_spaces.errors import DataError, MetanasError
from search_spaces.task import Episodes

BY_SHOTS, BY_STEPS = "score by shots", "score by steps"  # what the store's log calls them
PART = 0.01  # of the budget, at most, that is kept for both
_SHOTS, _STEPS = (1, 2, 5, 10), (0, 1, 2, 3, 5, 10)
_TASKS, _FEWEST = 100, 30
_LATEST = 1.1  # part of the budget beyond which nothing of it is begun

Point = tuple[int, float, float]  # count, score, half of its interval
# (T,), (T,) the clusters that they are of, if there are such, and (T, W) their classes, if these are stored
_Scores = tuple[np.ndarray, np.ndarray, np.ndarray | None]


@dataclass(frozen=True)
class _Size:
    """A number of examples or steps that the winner is scored with.

    Attributes:
        count: Of them.
        cost: Times what a test task costs.
        scores: Of so many tasks ``(T,)``, and which each is of.
    """

    count: int
    cost: float
    scores: Callable[[int], _Scores]


def measure(search: Search, winner: Winner, budget: Budget, until: float, pace: float, look: int) -> None:
    """Logs how the winner scores on test tasks with fewer and more examples, and steps, if there is time.

    Args:
        search: That found it.
        winner: Of the search.
        budget: Of everything.
        until: Part of the budget by which it should be over.
        pace: Seconds that the winner takes for a test task.
        look: At the test tasks.
    """
    end = budget.spent + _allowed(budget, until)
    curves = {BY_SHOTS: list(_by_shots(search.evaluator, winner, look))}
    curves[BY_STEPS] = list(_by_steps(search.evaluator, winner, look))
    open_yet = sum(map(bool, curves.values()))
    for name, sizes in curves.items():
        points: list[Point] = []  # logged, too: those of an earlier run are another winner's
        if sizes:
            search.tell(name.replace("score", "scoring"))
            share = (end - budget.spent) / open_yet
            points = _points(search.evaluator, sizes, share, pace, lambda: end - budget.spent)
            open_yet -= 1
        search.memory.log(search.name, name, json.dumps(points))


def _allowed(budget: Budget, until: float) -> float:
    """Seconds: what is left, or a little where what came before took longer than it should."""
    if budget.seconds is None:
        return math.inf
    return max(budget.left(until), min(PART * budget.seconds, budget.left(_LATEST)))


def _points(
    evaluator: Evaluator, sizes: list[_Size], share: float, pace: float, left: Callable[[], float]
) -> list[Point]:
    tasks = min(_TASKS, share / max(pace * sum(size.cost for size in sizes), 1e-9))
    found: list[tuple[int, _Scores]] = []
    for size in sizes if tasks >= _FEWEST else ():
        if left() <= 0:
            break
        try:
            found.append((size.count, size.scores(int(tasks))))
        except MetanasError:  # a family of the user's own has not so many examples, and could not say so
            break
    scored = [
        (count, summarise(evaluator.signature, values, "test", classes=classes))
        for count, values, classes in _of_the_same(found)
    ]
    return [(n, score.value, score.ci95) for n, score in scored if math.isfinite(score.value + score.ci95)]


def _of_the_same(
    found: Sequence[tuple[int, _Scores]],
) -> list[tuple[int, np.ndarray, np.ndarray | None]]:
    """Scores of the tasks that all sizes are of: small tasks have not so many examples as the last sizes ask.

    Sizes for which half of the tasks are too small are left out.
    """
    known = [set(clusters.tolist()) for _, (_, clusters, _) in found]
    most = max(map(len, known), default=0)
    kept = [i for i, here in enumerate(known) if 2 * len(here) >= most]
    same = sorted(set.intersection(*(known[i] for i in kept))) if kept else []
    scores = ((n, v[np.isin(c, same)] if len(c) else v, k) for n, (v, c, k) in (found[i] for i in kept))
    return [one for one in scores if len(one[1])]


def _by_shots(evaluator: Evaluator, winner: Winner, look: int) -> Iterator[_Size]:
    def scores(shots: int, tasks: int) -> _Scores:
        setting = replace(evaluator.setting, shots=shots)
        drawn = evaluator.tasks(tasks, "test", look=look, setting=setting)
        return _numbers(evaluator, evaluator.engine(winner.record.candidate), winner, drawn)

    for shots in _shots(evaluator):
        yield _Size(shots, _work(evaluator, shots), partial(scores, shots))


def _by_steps(evaluator: Evaluator, winner: Winner, look: int) -> Iterator[_Size]:
    candidate = winner.record.candidate

    def scores(program: Program, tasks: int) -> _Scores:
        drawn = evaluator.tasks(tasks, "test", look=look)
        return _numbers(evaluator, Engine(program, evaluator.device), winner, drawn)

    for steps in _steps(candidate):
        program = _with_steps(evaluator, candidate, steps)
        if program is not None:
            yield _Size(steps, steps / max(1, _own_steps(candidate)), partial(scores, program))


def _numbers(evaluator: Evaluator, engine: Engine, winner: Winner, tasks: Episodes) -> _Scores:
    checkpoint = winner.checkpoint
    predicted = engine.predictions(checkpoint.average, checkpoint.buffers, tasks)
    values = by_cluster(task_scores(evaluator.signature, predicted, tasks), tasks)
    clusters = tasks["cluster"].unique().cpu().numpy() if "cluster" in tasks else np.zeros(0)
    return values, clusters, classes_of(tasks)


def _shots(evaluator: Evaluator) -> list[int]:
    """Numbers of examples that the smallest class, or task, has."""
    setting, found = evaluator.setting, []
    for shots in sorted({*_SHOTS, setting.shots}):
        try:
            evaluator.family.check(setting.ways, shots, setting.queries)
        except DataError:
            break
        found.append(shots)
    return found


def _work(evaluator: Evaluator, shots: int) -> float:
    setting = evaluator.setting
    return (shots + setting.queries) / (setting.shots + setting.queries)


def _own_steps(candidate: Candidate) -> int:
    return int(candidate.get(f"rule.{candidate['rule']}.steps", 0))


def _steps(candidate: Candidate) -> list[int]:
    """Numbers of steps, where the rule takes steps."""
    own = _own_steps(candidate)
    return sorted({*_STEPS, own}) if own else []


def _with_steps(evaluator: Evaluator, candidate: Candidate, steps: int) -> Program | None:
    """The winner with another number of steps; None beyond those that it has learned step sizes for."""
    own = evaluator.engine(candidate).program
    changed = Candidate(dict(candidate) | {f"rule.{candidate['rule']}.steps": steps})
    rule = catalogue.build(changed, evaluator.signature, evaluator.trusted)
    if steps > _own_steps(candidate):
        other = Program.of(rule)
        if (other.meta, other.buffers) != (own.meta, own.buffers):
            return None
    # its own tensors: fewer steps use the first of the learned step sizes
    return Program(rule, own.meta, own.buffers)
