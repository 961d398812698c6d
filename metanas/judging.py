"""Judging the winner: fresh test tasks that chose nothing, beside baselines on the same ones."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from metanas import dependence
from metanas.baselines import Simple, failed, run_simple, simple, together
from metanas.budget import Budget
from metanas.finish import Winner
from metanas.goals import Goals
from metanas.hand_set import hand_set
from metanas.plan import SCORED_BY, TEST_TASKS, Plan, plan
from metanas.scoring import classes_of, summarise
from metanas.search import Search
from metanas.seeds import derive
from metanas.trained import Trained
from metanas.verdict import Rival, Verdict, decide, rank, strongest_of_parts
from metanas.words import FRESH, fresh
from search_spaces import Score, Signature
from search_spaces.errors import EvaluationError
from search_spaces.task import Episodes


@dataclass(frozen=True)
class Comparison:
    """A winner and its rivals on the same fresh test tasks, which chose nothing.

    Attributes:
        ours: Score on each task ``(T,)``.
        rivals: On the same ones.
        transductive: Whether ours peeks at the other queries: measured.
        looks: How often these test tasks have been looked at.
        episodes: The test tasks.
        left_out: Baselines that could not be run, and why, in words.
        of: What scores are of: tasks, of so many classes where these are few, or groups of them.
        unit: What targets were divided by; 1, if they are as they were.
    """

    ours: np.ndarray
    rivals: list[Rival]
    transductive: bool
    looks: int
    episodes: Episodes
    left_out: tuple[str, ...] = ()
    of: str = "tasks"
    unit: float = 1.0


@dataclass(frozen=True)
class Judgement:
    """What the test tasks say of a winner.

    Attributes:
        test: Its score on them.
        baselines: Scores of the baselines on the same tasks, by name, best on validation first; last
            those that are over a limit.
        verdict: Against the best of them.
        looks: How often these test tasks have been looked at.
        episodes: The test tasks.
        left_out: Baselines that could not be run, and why, in words.
        folds: Parts that the tasks were divided into, each of which was the test part once; 1: one split.
        over: Of baselines that are over a limit of the search, by name, which one, in words.
        of: What scores are of, in words.
    """

    test: Score
    baselines: dict[str, Score]
    verdict: Verdict
    looks: int
    episodes: Episodes
    left_out: tuple[str, ...] = ()
    folds: int = 1
    over: Mapping[str, str] = field(default_factory=dict)
    of: str = FRESH


def joined(signature: Signature, parts: Sequence[Comparison]) -> Judgement:
    """What the test tasks of all parts say together; each part had a search of its own."""
    parts = [_in_unit_of(parts[0], part) for part in parts]
    rivals = _joined_rivals(parts)
    over = {rival.name: rival.over for rival in rivals}
    by_part = [[replace(r, over=over[r.name]) for r in part.rivals if r.name in over] for part in parts]
    ours, looks = np.concatenate([part.ours for part in parts]), max(part.looks for part in parts)
    left_out = tuple(dict.fromkeys(why for part in parts for why in part.left_out))
    # parts are of tables, which have no classes of their own
    classes = classes_of(parts[0].episodes) if len(parts) == 1 else None
    ranked = sorted(rivals, key=lambda rival: rank(signature, rival))
    return Judgement(
        summarise(signature, ours, "test", any(part.transductive for part in parts), classes),
        {rival.name: summarise(signature, rival.test, "test", classes=classes) for rival in ranked},
        decide(
            signature,
            ours,
            rivals,
            looks,
            _many(left_out),
            parts[0].of,
            strongest_of_parts(signature, by_part),
            classes,
            len(parts),
        ),
        looks,
        parts[0].episodes,
        left_out,
        len(parts),
        {rival.name: rival.over for rival in ranked if rival.over},
        fresh(parts[0].of),
    )


def _in_unit_of(first: Comparison, part: Comparison) -> Comparison:
    """With mean squared errors in the first part's unit: each standardises by its own training tasks."""
    if part.unit == first.unit:
        return part
    by = (part.unit / first.unit) ** 2
    rivals = [replace(rival, valid=by * rival.valid, test=by * rival.test) for rival in part.rivals]
    return replace(part, ours=by * part.ours, rivals=rivals)


def held_against(signature: Signature, judgement: Judgement) -> Score:
    """What the verdict is against: over folds, on each part what was strongest there."""
    verdict, score = judgement.verdict, judgement.baselines[judgement.verdict.against]
    sign = -1 if signature.higher_is_better else 1
    known = judgement.folds > 1 and math.isfinite(verdict.difference)
    return replace(score, value=judgement.test.value + sign * verdict.difference) if known else score


def _many(left_out: Sequence[str]) -> int:
    """Baselines that are left out: one may be for several reasons, in several parts."""
    named = (re.match(r"baseline (.+?) (?:is left out|could not be|failed \()", why) for why in left_out)
    return len({found[1] if found else why for found, why in zip(named, left_out, strict=True)})


def _joined_rivals(parts: Sequence[Comparison]) -> list[Rival]:
    """Those that every part has."""
    found = []
    for name in [rival.name for rival in parts[0].rivals]:
        same = [rival for part in parts for rival in part.rivals if rival.name == name]
        if len(same) == len(parts):
            valid = float(np.mean([rival.valid for rival in same]))
            over = next((rival.over for rival in same if rival.over), "")
            found.append(Rival(name, valid, np.concatenate([rival.test for rival in same]), over=over))
    return found


def compare(search: Search, winner: Winner, budget: Budget) -> Comparison:
    """Scores the winner and the baselines on fresh test tasks."""
    evaluator, candidate = search.evaluator, winner.record.candidate
    looks = search.memory.look(search.name)
    search.tell("baselines: fitting models of all tasks, and measuring how long each takes")
    more, missing = together(evaluator)
    methods = [*simple(evaluator), *more]
    agreed = plan(evaluator, winner, budget, methods, hand_set(evaluator), TEST_TASKS)
    count, test = agreed.count, evaluator.tasks(agreed.count, "test", look=looks)
    left_out = [*missing, *agreed.left_out]
    rivals = _rivals(search, agreed, test, budget, left_out)
    search.tell(f"scoring on {_of_tasks(test)}")
    start = time.monotonic()
    ours = evaluator.task_scores(candidate, winner.checkpoint, test)
    taken = (time.monotonic() - start) / count
    transductive = evaluator.transductive(candidate, winner.checkpoint)
    dependence.measure(search, winner, budget, SCORED_BY, taken, looks)
    of = getattr(evaluator.family, "independent", "tasks")
    unit = float((evaluator.family.preprocessing.get("target") or {}).get("std", 1.0))
    return Comparison(ours, rivals, transductive, looks, test, tuple(left_out), of, unit)


def _of_tasks(test: Episodes) -> str:
    """How many there are, in words: of stored tasks each may be drawn many times."""
    stored = f"draws of {len(test['cluster'].unique()):,}" if "cluster" in test else "fresh"
    return f"{len(test['query_y']):,} {stored} test tasks"


def beside(search: Search, winner: Winner, other: Comparison) -> Comparison:
    """Another learner of the same search on the same test tasks, beside the same rivals."""
    evaluator, candidate = search.evaluator, winner.record.candidate
    ours = evaluator.task_scores(candidate, winner.checkpoint, other.episodes)
    return replace(other, ours=ours, transductive=evaluator.transductive(candidate, winner.checkpoint))


def _rivals(search: Search, agreed: Plan, test: Episodes, budget: Budget, left_out: list[str]) -> list[Rival]:
    """Runs the baselines; what fails is left out and said, and costs no verdict.

    Raises:
        EvaluationError: If all fail.
    """
    found: list[Rival] = []
    runs = list(_runs(search, agreed, test, budget))
    for number, (name, run) in enumerate(runs, 1):
        search.tell(f"baseline {number} of {len(runs)}: {name}")
        try:
            found += [_held(rival, search.aims.goals) for rival in run()]
        except EvaluationError as error:
            left_out.append(str(error))
        except Exception as error:  # whatever a library makes of data that nobody thought of
            left_out.append(failed(name, error))
    if not found:
        raise EvaluationError(f"no baseline could be run: {'; '.join(left_out)}")
    return found


def _held(rival: Rival, goals: Goals) -> Rival:
    """A rival with the limit that it is over, if it is; what is not known of it counts as within."""
    if rival.costs is None or not goals.limited:
        return rival
    costs = rival.costs()
    known = replace(costs, parameters=costs.parameters or 0, adapt_ms=costs.adapt_ms or 0.0)
    return replace(rival, over=goals.over(known))


def _runs(
    search: Search, agreed: Plan, test: Episodes, budget: Budget
) -> Iterator[tuple[str, Callable[[], list[Rival]]]]:
    """Name of each baseline, and what runs it."""
    evaluator, steps, seed = search.evaluator, search.rungs[-1], derive(search.seed, "baseline")

    def run(method: Simple) -> list[Rival]:
        rounds = agreed.rounds.get(method.name)
        return [run_simple(evaluator.signature, method, evaluator.valid, test, rounds)]

    def train(i: int, learner: Trained) -> list[Rival]:
        return learner.run(evaluator, test, steps, agreed.time_for(i, budget), seed)

    for method in agreed.methods:
        yield method.name, partial(run, method)
    for i, learner in enumerate(agreed.learners):
        yield f"{learner.name}, trained", partial(train, i, learner)
