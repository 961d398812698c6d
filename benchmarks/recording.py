"""Trains and scores candidates of ``grid.py`` as a search does; see ``record_table.py``."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import grid
import numpy as np
import torch
from tables import TABLES

from metanas.cli.wiring import load_family
from metanas.evaluator import Evaluator, Job, Outcome, Setting
from metanas.judging import TEST_TASKS
from metanas.seeds import derive
from metanas.tasks.family import USUAL_SHOTS, Family, Source
from metanas.training import Checkpoint, scheduled
from search_spaces import Candidate, catalogue
from search_spaces.errors import DataError
from search_spaces.task import Episodes

VALID_TASKS, QUERIES = 500, 50  # as metanas search has them
# what a search measures and then chooses may differ from run to run; for few meta-steps it is this
EXECUTION = "vmap"

Row = dict[str, Any]  # a family and candidate, as a line of the file
Key = tuple[str, str]  # of a row: the family, the candidate's id


@dataclass(frozen=True)
class Work:
    """Candidates of one family that are trained together: they differ in numbers alone."""

    family: str
    points: tuple[Candidate, ...]
    rungs: tuple[int, ...]
    seed: int

    @property
    def keys(self) -> list[Key]:
        """Of its rows."""
        return [(self.family, grid.whole(point).id) for point in self.points]


def planned(families: Sequence[str], rungs: tuple[int, ...], seed: int, limit: int | None) -> list[Work]:
    """All the work there is, a family after the other, each in an order drawn from the seed.

    Args:
        families: Their names.
        rungs: In meta-steps, rising.
        seed: Of everything random.
        limit: Candidates, at least; what is trained with one of them belongs to it. None: all.
    """
    shapes: dict[str, list[Candidate]] = {}
    for point in grid.points():
        shapes.setdefault(catalogue.shape_of(grid.whole(point)).id, []).append(point)
    groups = list(shapes.values())
    drawn, taken = [], 0
    for i in np.random.default_rng(seed).permutation(len(groups)).tolist():
        if limit is None or taken < limit:
            drawn.append(tuple(groups[i]))
            taken += len(groups[i])
    return [Work(family, points, rungs, seed) for family in families for points in drawn]


@cache
def judged(name: str, seed: int) -> tuple[Evaluator, Episodes]:
    """The evaluator of a search on that family, and its test tasks."""
    family, shots = _family(name)
    most = family.limits.examples
    queries = QUERIES if most is None else max(1, min(QUERIES, most - shots))
    signature = family.signature(None, shots)
    evaluator = Evaluator(
        family,
        signature,
        Setting(signature.outputs, shots, queries),
        torch.device("cpu"),
        execution=EXECUTION,
        seed=seed,
        valid_tasks=VALID_TASKS,
    )
    return evaluator, evaluator.tasks(TEST_TASKS, "test")


def _family(name: str) -> tuple[Family, int]:
    """With its labelled examples a task."""
    if name not in TABLES:
        return load_family(name, Source()), USUAL_SHOTS["regression"]
    if "METANAS_DATA" not in os.environ:
        raise DataError(f"{name} is a file under METANAS_DATA, the folder of data sets, which is not set")
    task, target, shots = TABLES[name]
    path = Path(os.environ["METANAS_DATA"]).resolve() / "tabular" / f"{name}.csv"
    return load_family("table", Source(path, task=task, target=target, shots=shots)), shots


def record(work: Work) -> list[Row]:
    """Trains and scores candidates together, from rung to rung."""
    torch.set_num_threads(1)
    evaluator, test = judged(work.family, work.seed)
    candidates = [grid.whole(point) for point in work.points]
    seeds = [derive(work.seed, "record", work.family, candidate.id) for candidate in candidates]
    going = {i: Job(candidate, seeds[i]) for i, candidate in enumerate(candidates)}
    found: list[list[Outcome]] = [[] for _ in candidates]
    for rung in work.rungs:
        places, jobs = list(going), list(going.values())
        rate = scheduled(work.rungs[-1])
        for place, outcome in evaluator.evaluate(jobs, rung, rate, lambda: math.inf):
            found[places[place]].append(outcome)
        last = {i: found[i][-1].checkpoint for i in going}
        going = {i: Job(candidates[i], seeds[i], point) for i, point in last.items() if point is not None}
    return [
        _row(work, i, seeds[i], outcomes, _tested(evaluator, candidates[i], outcomes[-1].checkpoint, test))
        for i, outcomes in enumerate(found)
    ]


def _tested(
    evaluator: Evaluator, candidate: Candidate, checkpoint: Checkpoint | None, test: Episodes
) -> float:
    if checkpoint is None:
        return math.nan
    return float(evaluator.task_scores(candidate, checkpoint, test).mean())


def _row(work: Work, i: int, seed: int, outcomes: Sequence[Outcome], test: float) -> Row:
    """Errors as they were measured; null where there is none."""
    scores = [outcome.score.value if outcome.score else None for outcome in outcomes]
    return {
        "family": work.family,
        "id": grid.whole(work.points[i]).id,
        "candidate": dict(work.points[i]),
        "rungs": list(work.rungs),
        "seed": work.seed,
        "own_seed": seed,
        "valid": scores + [None] * (len(work.rungs) - len(scores)),
        "test": test if math.isfinite(test) else None,
        "cost": sum(outcome.seconds for outcome in outcomes),
        "ended": outcomes[-1].ended,
        "reason": outcomes[-1].reason,
    }
