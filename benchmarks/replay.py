"""Replays searches on a recorded table, on the path of a live one: our space, an Optuna study, a sampler."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState
from recorded import Table, read

from search_spaces import Candidate, Categorical, Record, Score
from search_spaces.errors import IllegalCandidateError
from search_spaces.record import REFUSED

RECORDS = 256  # of each earlier study
_FREE = 200  # free proposals in a row, after which a uniform one is taken
_AGAIN = 20  # the same from the second time on: who proposes nothing else any more would take hours

Make = Callable[[Table, int], BaseSampler]


@dataclass(frozen=True)
class Replay:
    """A search that was replayed.

    Attributes:
        found: Rows of the table in the order in which they were paid for, each once.
        milliseconds: Of the median proposal, free ones included.
        slowest: Milliseconds of the slowest.
    """

    found: list[int]
    milliseconds: float
    slowest: float


def replay(
    table: Table,
    task: int,
    sampler: BaseSampler,
    evaluations: int,
    seed: int,
    start: Sequence[Candidate] = (),
) -> Replay:
    """Searches until so many different configurations of the table were evaluated.

    What the table lacks is refused, as a live search refuses what is illegal; a configuration that comes
    again is answered again. Neither counts; who has nothing else to propose is given one by chance. In a
    table that lacks most, what is most like the refused one comes next: to hit one would take thousands of
    proposals. ``start`` is enqueued.
    """
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for candidate in start:
        study.enqueue_trial(dict(candidate))
    found: dict[int, None] = {}
    times: list[float] = []
    free, most = 0, min(_FREE, len(table.configs))
    while len(found) < min(evaluations, len(table.configs)):
        if free == most:
            left = np.setdiff1d(np.arange(len(table.configs)), list(found))
            study.enqueue_trial(dict(table.candidate(table.drawn(left, f"{seed} {len(found)}"))))
            free, most = 0, min(most, _AGAIN)
        before = time.perf_counter()
        trial = study.ask()
        candidate = _suggested(table, trial)
        row = None if candidate is None else table.row(candidate)
        times.append(1e3 * (time.perf_counter() - before))
        free = free + 1 if row is None or row in found else 0
        _tell(table, task, study, trial, row)
        if row is not None:
            found[row] = None
        elif candidate is not None and table.is_sparse:
            study.enqueue_trial(dict(table.candidate(table.nearest(candidate, found))))
    return Replay(list(found), float(np.median(times)), max(times))


def _suggested(table: Table, trial: Trial) -> Candidate | None:
    try:
        return table.space.suggest(trial)
    except IllegalCandidateError:
        return None


def _tell(table: Table, task: int, study: optuna.Study, trial: Trial, row: int | None) -> None:
    if row is None:
        trial.set_user_attr(REFUSED, "the table lacks it")
        study.tell(trial, state=TrialState.FAIL)
        return
    values = table.valid[task, row]
    if np.isnan(values[-1]):
        study.tell(trial, state=TrialState.FAIL)
        return
    for rung, value in _curve(table, values):
        trial.report(value, rung)
    study.tell(trial, float(values[-1]))


def _curve(table: Table, values: np.ndarray) -> list[tuple[int, float]]:
    """Rungs with what was scored there."""
    return [(rung, float(v)) for rung, v in zip(table.rungs, values, strict=bool(table.rungs)) if v == v]


@lru_cache(maxsize=64)
def table_at(path: str) -> Table:
    """The table, read once a process."""
    return read(Path(path))


@lru_cache(maxsize=256)
def records(path: str, task: int, seed: int, shuffled: bool, record: Make) -> tuple[Record, ...]:
    """What a search of that task left in the store; ``shuffled`` with the labels of its choices exchanged."""
    table = table_at(path)
    name = table.tasks[task]
    study_seed = 1000 * (seed + 1) + task
    rows = replay(table, task, record(table, study_seed), RECORDS, study_seed).found
    relabel = _relabelling(table, study_seed) if shuffled else {}
    found = []
    for number, row in enumerate(rows):
        values = table.valid[task, row]
        if np.isnan(values[-1]):  # it diverged: a store tells no one of what has no score
            continue
        candidate = Candidate({n: relabel.get(n, {}).get(v, v) for n, v in table.candidate(row).items()})
        curve = tuple(_curve(table, values)) or ((1, float(values[-1])),)
        score = Score("accuracy", float(values[-1]), 0.0, 1, "valid")
        found.append(
            Record(name, number, candidate, "complete", score=score, rung=curve[-1][0], valid_curve=curve)
        )
    return tuple(found)


def _relabelling(table: Table, seed: int) -> dict[str, dict]:
    """By choice, what each of its values is called instead; those that open others keep their names."""
    rng = np.random.default_rng([seed, 7])
    found = {}
    for name, choice in table.space.flat.items():
        if isinstance(choice, Categorical) and not choice.branches:
            order = rng.permutation(len(choice.values))
            found[name] = {
                value: choice.values[int(i)] for value, i in zip(choice.values, order, strict=True)
            }
    return found


def portfolio(earlier: Sequence[Sequence[Record]], count: int) -> list[Candidate]:
    """The best of each earlier study in turn, none twice."""
    ranked = [sorted(study, key=lambda r: -r.score.value) for study in earlier]  # type: ignore[union-attr]
    found: dict[str, Candidate] = {}
    for place in range(max(map(len, ranked), default=0)):
        for study in ranked:
            if place < len(study) and len(found) < count:
                found.setdefault(study[place].candidate.id, study[place].candidate)
    return list(found.values())
