"""A search whose evaluator trains nothing: a script says what becomes of each trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import TrialState

from controllers import random as random_controller
from controllers.pruning import successive_halving
from metanas.evaluator import Ended, Evaluator, Job, Outcome, Setting
from metanas.learner.weights import unpack
from metanas.memory import Memory
from metanas.search import Moment, Search
from metanas.seeds import derive
from metanas.tasks.families import sinusoid
from metanas.tasks.family import Source
from metanas.training import Checkpoint
from search_spaces import Candidate, Costs, Record, Score, Space, catalogue
from search_spaces.errors import StoreError

CPU = torch.device("cpu")
RUNGS = (10, 30, 90)
SEED = 7
_PATIENT = 1000  # meta-steps that a patient job makes in the time it may take
SIGNATURE = sinusoid.build(Source()).signature(None, 5)
SPACE = catalogue.space("closed-form", SIGNATURE)
NUMBERS = {derive(SEED, "trial", number): number for number in range(500)}

# (number of a trial, rung) → its validation score, or how it ended; raises what is not the trial's fault
Script = Callable[[int, int], float | Ended]


class Scripted(Evaluator):
    """Trains nothing: a script says what becomes of a trial at a rung.

    The weights that it "trains" are the trial's number and the rung, so that it shows which were kept.
    """

    def __init__(self, script: Script, tick: Callable[[], None] = lambda: None) -> None:
        super().__init__(sinusoid.build(Source()), SIGNATURE, Setting(1, 5, 5), CPU, valid_tasks=2)
        self._script, self._tick = script, tick
        self.asked: list[tuple[int, list[int]]] = []
        self.allowed: list[float] = []
        self.rates: list[Any] = []
        self.patient = False

    def evaluate(
        self,
        jobs: Sequence[Job],
        until: int,
        rate: Any,
        seconds: Callable[[], float],
        *,
        patient: bool = False,
    ) -> Iterator[tuple[int, Outcome]]:
        self.asked.append((until, [NUMBERS[job.seed] for job in jobs]))
        self.rates.append(rate)
        for i, job in enumerate(jobs):
            self.allowed.append(seconds())
            self._tick()
            done = job.checkpoint.step if job.checkpoint else 0
            self.patient = patient
            yield i, self._outcome(job, min(until, done + _PATIENT) if patient else until)

    def _outcome(self, job: Job, until: int) -> Outcome:
        number = NUMBERS[job.seed]
        found = self._script(number, until)
        if isinstance(found, str):
            return Outcome(job, found, f"at {until}", seconds=1.0, ms=1.0)
        program = self.engine(job.candidate).program
        start = job.checkpoint or Checkpoint.start(program, job.seed, CPU)
        trained = replace(start, average=torch.full_like(start.average, number + until / 1000), step=until)
        return Outcome(job, "scored", "", trained, Score("mse", found, 0.1, 2, "valid"), 1.0, 1.0)

    def costs(self, candidate: Candidate, checkpoint: Checkpoint, seconds: float) -> Costs:
        return Costs(seconds, 1, 2, 3, 4.0)


@dataclass
class Kept:
    """A store in memory."""

    rows: dict[int, Record] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)
    events: list[tuple[str, str, int | None]] = field(default_factory=list)
    on_finish: Callable[[Record], None] = lambda record: None
    on_start: Callable[[Record], None] = lambda record: None

    def start(self, record: Record) -> None:
        self.on_start(record)
        assert record.number not in self.rows
        self.rows[record.number] = record

    def touch(self, study: str, number: int) -> None:
        assert self.rows[number].state == "running"

    def finish(self, record: Record) -> None:
        self.on_finish(record)
        if self.rows[record.number].state != "running":
            raise StoreError("has ended already")
        self.rows[record.number] = record

    def records(self, study: str) -> list[Record]:
        return list(self.rows.values())

    def put(self, data: bytes, kind: str) -> str:
        self.data[str(hash(data))] = data
        return str(hash(data))

    def get(self, sha: str) -> bytes:
        return self.data[sha]

    def log(self, study: str, what: str, why: str = "", trial: int | None = None) -> None:
        self.events.append((what, why, trial))

    def look(self, study: str) -> int:
        return 1

    def save_result(self, study: str, result: Mapping[str, Any]) -> None: ...


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def go(self, seconds: float) -> Callable[[], None]:
        return lambda: setattr(self, "now", self.now + seconds)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def make(
    script: Script,
    *,
    space: Space = SPACE,
    sampler: optuna.samplers.BaseSampler | None = None,
    study: optuna.Study | None = None,
    memory: Memory | None = None,
    tick: Callable[[], None] = lambda: None,
    rungs: tuple[int, ...] = RUNGS,
    listen: Callable[[Moment], None] = lambda moment: None,
    by_time: bool = False,
) -> Search:
    sampler = sampler or random_controller.build(space, 0)
    study = study or optuna.create_study(sampler=sampler, pruner=successive_halving(rungs))
    evaluator = Scripted(script, tick)
    return Search("s", space, study, memory or Kept(), evaluator, rungs, SEED, listen, by_time=by_time)


def weights_of(search: Search, record: Record) -> set[float]:
    """Who trained the weights that were kept: number + rung / 1000."""
    assert record.weights is not None
    program = search.evaluator.engine(record.candidate).program
    return {round(float(value), 4) for value in unpack(program, search.memory.get(record.weights))[0]}


def states(search: Search) -> dict[int, tuple[str, str]]:
    return {record.number: (record.state, record.reason) for record in search.memory.records("s")}


def told(search: Search) -> dict[int, TrialState]:
    return {trial.number: trial.state for trial in search.study.get_trials(deepcopy=False)}
