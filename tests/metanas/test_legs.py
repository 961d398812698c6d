"""Training to the end in legs: how far each goes, and when it stops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch

from metanas.evaluator import Ended, Job, Outcome
from metanas.legs import Leg, Pace, in_legs
from metanas.training import Checkpoint
from search_spaces import Candidate, Score

NONE = torch.zeros(1)
JOB = Job(Candidate({"rule": "ridge"}), 0)


class Machine:
    """Takes ``ms`` milliseconds a meta-step, on a clock of its own; trains until the time it may take is up.

    Attributes:
        scoring: Seconds that scoring on its two tasks takes.
        now: Seconds.
        stretches: ``(from, until)`` of every call.
    """

    def __init__(
        self, ms: float, ends: Callable[[int], Ended] = lambda step: "scored", scoring: float = 0.0
    ) -> None:
        self.ms, self.now, self._ends, self.scoring = ms, 0.0, ends, scoring
        self.stretches: list[tuple[int, int]] = []

    def evaluate(
        self, jobs: Sequence[Job], until: int, rate: Any, seconds: Callable[[], float], *, patient: bool
    ) -> Iterator[tuple[int, Outcome]]:
        assert patient
        (job,) = jobs
        at = job.checkpoint.step if job.checkpoint else 0
        self.stretches.append((at, until))
        done = max(1, min(until - at, int(seconds() * 1e3 / self.ms) if seconds() < math.inf else until))
        self.now += done * self.ms / 1e3 + self.scoring
        ended = self._ends(at + done)
        if ended == "scored":
            there = Checkpoint(NONE, NONE, NONE, NONE, NONE, seed=0, step=at + done)
            score = Score("mse", 1.0, 0.1, 2, "valid")
            yield 0, Outcome(job, ended, "", there, score, ms=self.ms, scoring=self.scoring / 2)
        else:
            yield 0, Outcome(job, ended, ms=self.ms)

    def scored_on(self, job: Job) -> int:
        return 2

    def left(self, seconds: float) -> Callable[[], float]:
        return lambda: max(0.0, seconds - self.now)


def legs(machine: Machine, steps: int, left: Callable[[], float], ms: float | None = None) -> list[Leg]:
    pace = None if ms is None else Pace(ms, machine.scoring / 2)
    return list(in_legs(machine, JOB, steps, left, pace))  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [5, 27, 1800])
def test_with_time_without_end_the_legs_add_up_to_the_steps(steps: int) -> None:
    machine = Machine(ms=1.0)
    done = legs(machine, steps, lambda: math.inf)
    assert len(done) == 5
    assert (done[-1].step, done[-1].total) == (steps, steps)
    assert [start for start, _ in machine.stretches[1:]] == [until for _, until in machine.stretches[:-1]]


def test_fewer_steps_than_legs_are_still_all_made() -> None:
    machine = Machine(ms=1.0)
    assert legs(machine, 3, lambda: math.inf)[-1].step == 3


def test_a_known_pace_fills_the_time_but_for_what_scoring_takes() -> None:
    machine = Machine(ms=10.0)
    done = legs(machine, 1, machine.left(20.0), ms=10.0)
    assert 0.85 * 20.0 < machine.now <= 20.0
    assert len(done) == 5


@pytest.mark.parametrize(("scoring", "expected"), [(0.1, 5), (1.0, 2), (6.0, 1)])
def test_scoring_that_takes_long_is_done_less_often(scoring: float, expected: int) -> None:
    machine = Machine(ms=10.0, scoring=scoring)
    done = legs(machine, 1, machine.left(20.0), ms=10.0)
    assert len(done) == expected
    assert 0.9 * 20.0 < machine.now <= 20.0
    assert done[-1].step * 10e-3 >= 0.65 * 20.0, "most of the time is for training"


def test_an_unknown_pace_is_found_out_first() -> None:
    machine = Machine(ms=10.0)
    done = legs(machine, 1, machine.left(20.0))
    assert machine.stretches[0] == (0, 30)
    assert 0.85 * 20.0 < machine.now <= 20.0
    assert done[-1].total == pytest.approx(2000, rel=0.15)


@pytest.mark.parametrize("factor", [0.1, 4.0])
def test_a_pace_that_was_wrong_is_put_right(factor: float) -> None:
    machine = Machine(ms=10.0)
    legs(machine, 1, machine.left(20.0), ms=10.0 * factor)
    assert 0.8 * 20.0 < machine.now <= 20.02


def test_without_time_nothing_is_done() -> None:
    assert legs(Machine(ms=1.0), 100, lambda: 0.0) == []


def test_time_for_no_more_than_a_moment_ends_it() -> None:
    machine = Machine(ms=1000.0)
    done = legs(machine, 100, machine.left(0.5))
    assert len(done) == 1
    assert machine.now <= 1.0


@pytest.mark.parametrize("end", ["diverged", "out of memory", "error"])
def test_what_cannot_go_on_is_the_last_leg(end: Ended) -> None:
    machine = Machine(1.0, lambda step: end if step > 40 else "scored")
    done = legs(machine, 100, lambda: math.inf)
    assert [leg.outcome.ended for leg in done] == ["scored", "scored", end]
