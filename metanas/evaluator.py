"""The evaluator: takes candidates from where they are to a rung, and scores them."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from metanas.engine import Engine, Program, trains_in_half, warm_up
from metanas.engine.devices import clock, peak_memory
from metanas.engine.lanes import lanes, side_by_side
from metanas.engine.program import at, count
from metanas.learner.weights import pack
from metanas.scoring import by_cluster, is_transductive, summarise, task_scores
from metanas.seeds import derive, generator
from metanas.sizing import adapt_ms
from metanas.tasks.family import Family, Split
from metanas.training import Checkpoint, Schedule, Trained, as_dtype, train
from search_spaces import Candidate, Costs, Record, Score, Signature, catalogue
from search_spaces.errors import MetanasError, NoRoomError
from search_spaces.outer import Outer
from search_spaces.rules.interface import Rule
from search_spaces.task import Episodes

_ENGINES = 16  # shapes whose traced computations are kept
_VALID_QUERIES = 3  # a class: more tasks tell more than more queries of the same ones

Ended = Literal["scored", "timeout", "diverged", "out of memory", "error"]


@dataclass(frozen=True)
class Setting:
    """How tasks are scored.

    Attributes:
        ways: Classes a task; outputs for regression.
        shots: Labelled examples, a class or a task.
        queries: Scored examples, a class or a task.
    """

    ways: int
    shots: int
    queries: int


@dataclass(frozen=True)
class Job:
    """A candidate to take further; without a checkpoint it starts from ``seed``.

    In the ``final``, where little tells candidates apart, it is scored on more validation tasks.
    """

    candidate: Candidate
    seed: int
    checkpoint: Checkpoint | None = None
    final: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        job: What was asked.
        ended: How it ended; a score is there only for ``"scored"``.
        reason: The same in words.
        checkpoint: Where the candidate is now; None if it cannot go on.
        score: On the validation tasks.
        seconds: That it took, its share of a batch's.
        ms: Milliseconds a meta-step, its share of a batch's.
        scoring: Seconds that scoring it took, a task.
    """

    job: Job
    ended: Ended
    reason: str = ""
    checkpoint: Checkpoint | None = None
    score: Score | None = None
    seconds: float = 0.0
    ms: float = 0.0
    scoring: float = 0.0


class Keeps(Protocol):
    """The part of a store that an evaluator needs."""

    def put(self, data: bytes, kind: str) -> str: ...
    def log(self, study: str, what: str, why: str = "", trial: int | None = None) -> None: ...


class Evaluates(Protocol):
    """What a search needs of whatever trains and scores its candidates; see :class:`Evaluator`."""

    @property
    def parts(self) -> int: ...
    @property
    def higher_is_better(self) -> bool: ...
    @property
    def lanes(self) -> int: ...
    def evaluate(
        self,
        jobs: Sequence[Job],
        until: int,
        schedule: Schedule,
        seconds: Callable[[], float],
        *,
        patient: bool = False,
    ) -> Generator[tuple[int, Outcome], None, None]: ...
    def ended(self, record: Record, best: Checkpoint | None, memory: Keeps) -> Record: ...


class Evaluator:
    """Meta-trains and scores candidates of one family, all on the same validation tasks.

    Args:
        family: Whose tasks; on the device already.
        signature: Of its tasks at ``setting``.
        setting: How tasks are scored.
        device: Where.
        execution: How the engine runs, see :class:`Engine`.
        seed: Of the validation and test tasks.
        trusted: Model spaces that candidates may name, see :mod:`search_spaces.named`.
        valid_tasks: Number of validation tasks.
        dtype: Precision.
        precision: Of training examples, see :func:`trains_in_half`; ``float32`` is ``dtype``.
        final_tasks: Number of validation tasks for who is in the finals; None: the same ones.

    Attributes:
        parts: Families that a candidate is trained on.
    """

    parts = 1

    def __init__(
        self,
        family: Family,
        signature: Signature,
        setting: Setting,
        device: torch.device,
        *,
        execution: str = "auto",
        seed: int = 0,
        trusted: tuple[str, ...] = (),
        valid_tasks: int = 300,
        dtype: torch.dtype = torch.float32,
        precision: str = "float32",
        final_tasks: int | None = None,
    ) -> None:
        self.family, self.signature, self.setting, self.device = family, signature, setting, device
        self._execution, self._seed, self._dtype = execution, seed, dtype
        self._half = trains_in_half(precision, device, signature.input_shape)
        self.trusted = trusted
        self._engines: OrderedDict[tuple[str, int], Engine] = OrderedDict()
        self._lock = threading.Lock()
        warm_up(device)
        queries = setting.queries if signature.kind == "regression" else min(setting.queries, _VALID_QUERIES)
        self.valid = self.tasks(valid_tasks, "valid", queries)
        self._final = self.valid if final_tasks is None else self.tasks(final_tasks, "valid", queries)

    @property
    def higher_is_better(self) -> bool:
        """Of scores."""
        return self.signature.higher_is_better

    @property
    def lanes(self) -> int:
        """Candidates that are trained side by side, each on a thread of its own."""
        return 1 if self._execution == "replay" else lanes(self.device, self.signature.input_shape)

    def tasks(
        self,
        n_tasks: int,
        split: Split,
        queries: int | None = None,
        look: int = 0,
        setting: Setting | None = None,
    ) -> Episodes:
        """Fixed tasks of a split, the same at every call; another ``look`` gives fresh ones."""
        random = generator(self.device, self._seed, split, look)
        s = setting or self.setting
        drawn = self.family.sample(
            n_tasks, split, random, shots=s.shots, ways=s.ways, queries=queries or s.queries
        )
        return as_dtype(drawn, self._dtype)

    def evaluate(
        self,
        jobs: Sequence[Job],
        until: int,
        schedule: Schedule,
        seconds: Callable[[], float],
        *,
        patient: bool = False,
    ) -> Generator[tuple[int, Outcome], None, None]:
        """Takes every job to a rung, those of one shape as one batch, and scores it.

        Whatever goes wrong with a candidate is its outcome; nothing is raised for it. Images on a CPU
        are trained side by side, see :attr:`lanes`: close it if its end is not waited for.

        Args:
            jobs: What to take further.
            until: Rung, in meta-steps.
            schedule: Learning rates by outer settings and meta-step.
            seconds: That a job may take, asked when its turn comes.
            patient: Whether to use all of that, and score what it came to.

        Yields:
            The index of a job and its outcome, as soon as it is known.
        """
        groups = self._groups(jobs)

        def run(group: list[int]) -> list[Outcome]:
            allowed = seconds() * len(group)
            return self._evaluate([jobs[i] for i in group], until, schedule, allowed, patient)

        with closing(side_by_side(run, groups, self.lanes)) as found:
            for group, outcomes in zip(groups, found, strict=True):
                yield from zip(group, outcomes, strict=True)

    def engine(self, candidate: Candidate) -> Engine:
        """The engine of the candidate's shape; candidates of one shape share its traced computations."""
        # an engine measures as it runs: each thread has its own
        key = catalogue.shape_of(candidate).id, threading.get_ident()
        with self._lock:
            if key not in self._engines:
                self._engines[key] = self.engine_of(catalogue.build(candidate, self.signature, self.trusted))
                while len(self._engines) > _ENGINES:
                    self._engines.popitem(last=False)
            self._engines.move_to_end(key)
            return self._engines[key]

    def engine_of(self, rule: Rule) -> Engine:
        """An engine of its own for any rule, which need not be one of a space."""
        return Engine(Program.of(rule, self._half), self.device, self._execution)

    def task_scores(self, candidate: Candidate, checkpoint: Checkpoint, episodes: Episodes) -> np.ndarray:
        """The metric of each task ``(T,)``, or of each cluster of them, with the averaged weights."""
        prediction = self.engine(candidate).predictions(checkpoint.average, checkpoint.buffers, episodes)
        return by_cluster(task_scores(self.signature, prediction, episodes), episodes)

    def score(self, candidate: Candidate, checkpoint: Checkpoint, final: bool = False) -> Score:
        """On the study's validation tasks."""
        tasks = self._tasks_of(final)
        return summarise(self.signature, self.task_scores(candidate, checkpoint, tasks), "valid")

    def scored_on(self, job: Job) -> int:
        """How many validation tasks a job is scored on."""
        return count(self._tasks_of(job.final))

    def transductive(self, candidate: Candidate, checkpoint: Checkpoint) -> bool:
        """Whether predictions depend on the other queries: measured."""
        return is_transductive(self.engine(candidate), checkpoint.average, checkpoint.buffers, self.valid)

    def costs(self, candidate: Candidate, checkpoint: Checkpoint, seconds: float) -> Costs:
        """What the candidate has cost so far, and what its learner costs on one task."""
        program = self.engine(candidate).program
        task = at(self.valid, 0)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            program.adapt_predict(checkpoint.average, checkpoint.buffers, task)
        ms = adapt_ms(program, checkpoint.average, checkpoint.buffers, task)
        madds = counter.get_total_flops() // 2
        return Costs(seconds, peak_memory(self.device), program.meta.size, madds, ms)

    def ended(self, record: Record, best: Checkpoint | None, memory: Keeps) -> Record:
        """A trial that has ended, with its best weights, which are put into the store, and its costs."""
        if best is None:
            return record
        program = self.engine(record.candidate).program
        weights = memory.put(pack(program, best.average, best.buffers), "weights")
        try:
            costs = self.costs(record.candidate, best, record.costs.seconds)
        except Exception as error:  # whatever it is: a score without all its costs is better than none
            memory.log(record.study, "costs not measured", repr(error), record.number)
            costs = record.costs
        return replace(record, weights=weights, costs=costs)

    def _tasks_of(self, final: bool) -> Episodes:
        return self._final if final else self.valid

    def _groups(self, jobs: Sequence[Job]) -> list[list[int]]:
        found: dict[tuple[str, int, int], list[int]] = {}
        # per-candidate convolution weights become grouped convolutions, which lose on a CPU
        alone = self.device.type == "cpu" and len(self.signature.input_shape) > 1
        for i, job in enumerate(jobs):
            step = job.checkpoint.step if job.checkpoint else 0
            found.setdefault((catalogue.shape_of(job.candidate).id, step, i if alone else 0), []).append(i)
        return list(found.values())

    def _evaluate(
        self, jobs: list[Job], until: int, schedule: Schedule, seconds: float, patient: bool
    ) -> list[Outcome]:
        start = clock(self.device)
        try:
            outcomes = self._train_and_score(jobs, until, schedule, seconds, patient)
        except Exception as error:
            no_room = isinstance(error, NoRoomError)
            if no_room and len(jobs) > 1:  # together they do not fit; alone they may
                alone = (self._evaluate([job], until, schedule, seconds / len(jobs), patient) for job in jobs)
                return [outcome for found in alone for outcome in found]
            ended: Ended = "out of memory" if no_room else "error"
            outcomes = [Outcome(job, ended, _one_line(error)) for job in jobs]
        share = (clock(self.device) - start) / len(jobs)
        return [replace(outcome, seconds=share) for outcome in outcomes]

    def _train_and_score(
        self, jobs: list[Job], until: int, schedule: Schedule, seconds: float, patient: bool
    ) -> list[Outcome]:
        engine = self.engine(jobs[0].candidate)
        checkpoints = [job.checkpoint or self._start(job) for job in jobs]
        outers = [self._outer(job.candidate) for job in jobs]
        if patient:  # by the clock, one large task at a time would leave all threads but one idle
            outers = [replace(outer, tasks=max(outer.tasks, engine.lanes)) for outer in outers]
        done = self._train(engine, outers, checkpoints, until, schedule, seconds, patient)
        if not done.complete and not patient:
            reason = f"needs about {done.needs:.1f} s to meta-step {until}, may take {seconds:.1f} s"
            return [Outcome(job, "timeout", reason, ms=done.ms) for job in jobs]
        pairs = zip(jobs, done.checkpoints, strict=True)
        return [self._scored(job, checkpoint, done.ms / len(jobs)) for job, checkpoint in pairs]

    def _train(
        self,
        engine: Engine,
        outers: list[Outer],
        checkpoints: list[Checkpoint],
        until: int,
        schedule: Schedule,
        seconds: float,
        patient: bool,
    ) -> Trained:
        """Trains; where not even one task at a time fits, with ever smaller meta-batches."""
        while True:
            try:
                return train(
                    engine, self.family, outers, checkpoints, until, schedule, seconds, patient=patient
                )
            except NoRoomError:
                if outers[0].tasks == 1:
                    raise
                outers = [replace(outer, tasks=outer.tasks // 2) for outer in outers]

    def _scored(self, job: Job, checkpoint: Checkpoint, ms: float) -> Outcome:
        start = clock(self.device)
        score = self.score(job.candidate, checkpoint, job.final)
        scoring = (clock(self.device) - start) / self.scored_on(job)
        if not math.isfinite(score.value):
            return Outcome(job, "diverged", f"no finite score at meta-step {checkpoint.step}", ms=ms)
        if not all(bool(part.isfinite().all()) for part in (checkpoint.average, checkpoint.buffers)):
            # a score may miss it, but no learner file takes such weights
            return Outcome(job, "diverged", f"no finite weights at meta-step {checkpoint.step}", ms=ms)
        return Outcome(job, "scored", "", checkpoint, score, ms=ms, scoring=scoring)

    def _start(self, job: Job) -> Checkpoint:
        # the candidate's own: that of its shape's engine may start from another one's reals
        program = Program.of(catalogue.build(job.candidate, self.signature, self.trusted))
        return Checkpoint.start(program, derive(job.seed, "init"), self.device, self._dtype)

    def _outer(self, candidate: Candidate) -> Outer:
        return catalogue.settings(candidate, self.signature)


def _one_line(error: Exception) -> str:
    name = "" if isinstance(error, MetanasError) else f"{type(error).__name__}: "
    return name + (str(error).strip().splitlines() or [""])[0][:300]
