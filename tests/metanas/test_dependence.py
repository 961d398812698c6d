"""The winner with fewer and more examples and steps: in time, and the same learner."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from metanas.budget import Budget
from metanas.dependence import BY_SHOTS, BY_STEPS, _of_the_same, measure
from metanas.evaluator import Evaluator, Setting
from metanas.finish import Winner
from metanas.tasks.families import sinusoid
from metanas.tasks.family import Source
from metanas.training import Checkpoint
from search_spaces import Candidate, Record, Signature

SIGNATURE = Signature("regression", (1,), 1, 5)
MLP = {"depth": 1, "width_1": 16, "activation": "tanh", "norm": "none"}
SHARED = {"architecture": "mlp", **{f"architecture.mlp.{key}": value for key, value in MLP.items()}}
RIDGE = Candidate({**SHARED, "rule": "ridge", "rule.ridge.strength": 0.1})


def gradient(step_size: str) -> Candidate:
    chosen = {"steps": 4, "order": 1, "step_size": step_size, "rate": 0.05, "scope": "all"}
    return Candidate({**SHARED, "rule": "gradient", **{f"rule.gradient.{k}": v for k, v in chosen.items()}})


class Search:
    """What :func:`measure` needs of one."""

    name = "s"

    def __init__(self) -> None:
        family = sinusoid.build(Source())
        self.evaluator = Evaluator(
            family, SIGNATURE, Setting(1, 5, 20), torch.device("cpu"), execution="vmap", valid_tasks=20
        )
        self.memory, self.logged = self, dict[str, Any]()

    def tell(self, doing: str) -> None: ...

    def log(self, study: str, what: str, why: str) -> None:
        self.logged[what] = json.loads(why)

    def run(self, candidate: Candidate, budget: Budget, pace: float = 1e-4) -> dict[str, list[list[float]]]:
        program = self.evaluator.engine(candidate).program
        winner = Winner(Record("s", 0, candidate), Checkpoint.start(program, 0, torch.device("cpu")))
        measure(self, winner, budget, 0.97, pace, look=1)  # type: ignore[arg-type]
        return self.logged


def test_more_examples_make_a_closed_form_better() -> None:
    found = Search().run(RIDGE, Budget(trials=1))
    assert [int(shots) for shots, _, _ in found[BY_SHOTS]] == [1, 2, 5, 10]
    assert found[BY_SHOTS][-1][1] < found[BY_SHOTS][0][1]
    assert all(ci95 > 0 for _, _, ci95 in found[BY_SHOTS])
    assert found[BY_STEPS] == [], "it takes no steps"


@pytest.mark.parametrize(
    ("step_size", "steps"), [("fixed", [0, 1, 2, 3, 4, 5, 10]), ("layer_step", [0, 1, 2, 3, 4])]
)
def test_steps_go_as_far_as_there_are_step_sizes(step_size: str, steps: list[int]) -> None:
    search = Search()
    found = search.run(gradient(step_size), Budget(trials=1))[BY_STEPS]
    assert [int(count) for count, _, _ in found] == steps
    by_count = {int(count): value for count, value, _ in found}
    assert by_count[4] < by_count[0], "gradient steps on the support help on the query"
    own = search.evaluator.tasks(100, "test", look=1)
    candidate = gradient(step_size)
    checkpoint = Checkpoint.start(search.evaluator.engine(candidate).program, 0, torch.device("cpu"))
    assert by_count[4] == pytest.approx(
        float(search.evaluator.task_scores(candidate, checkpoint, own).mean())
    )


def test_it_is_of_test_tasks_and_of_the_weights_that_are_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Averaged ones; the last ones may be anywhere."""
    search, asked = Search(), set[str]()
    tasks, device = search.evaluator.tasks, torch.device("cpu")
    monkeypatch.setattr(
        search.evaluator, "tasks", lambda n, split, **known: asked.add(split) or tasks(n, split, **known)
    )
    start = Checkpoint.start(search.evaluator.engine(RIDGE).program, 0, device)
    winner = Winner(Record("s", 0, RIDGE), replace(start, meta=torch.full_like(start.meta, torch.nan)))
    measure(search, winner, Budget(trials=1), 0.97, 1e-4, look=1)  # type: ignore[arg-type]
    assert asked == {"test"}
    assert len(search.logged[BY_SHOTS]) == 4


def test_what_is_too_slow_is_left_out_not_paid_for() -> None:
    clock = iter([0.0, *[96.0] * 1000])
    budget = Budget(100.0, clock=lambda: next(clock))
    assert Search().run(RIDGE, budget, pace=1.0) == {BY_SHOTS: [], BY_STEPS: []}


def test_after_the_budget_nothing_is_begun() -> None:
    clock = iter([0.0, *[120.0] * 1000])
    assert Search().run(RIDGE, Budget(100.0, clock=lambda: next(clock)))[BY_SHOTS] == []


def test_fewer_tasks_where_there_is_less_time(monkeypatch: pytest.MonkeyPatch) -> None:
    search, asked = Search(), list[int]()
    tasks = search.evaluator.tasks

    def counted(n_tasks: int, *args: Any, **kwargs: Any) -> Any:
        asked.append(n_tasks)
        return tasks(n_tasks, *args, **kwargs)

    monkeypatch.setattr(search.evaluator, "tasks", counted)
    clock = iter([0.0, *[98.0] * 1000])  # late already: 1 s of 100 is granted
    found = search.run(RIDGE, Budget(100.0, clock=lambda: next(clock)), pace=0.005)
    assert len(found[BY_SHOTS]) == 4
    assert {*asked} == {51}


def test_more_examples_are_of_the_same_tasks() -> None:
    """Most machines have few rows, and are noisy: those that have many are not what more examples come to."""
    few, many = np.arange(8), np.arange(8, 12)
    every = np.concatenate([few, many])
    values = np.where(every < 8, 1.0, 0.1)
    known = [(1, (values, every, None)), (5, (values[2:], every[2:], None)), (10, (values[8:], many, None))]
    found = _of_the_same(known)
    assert [shots for shots, *_ in found] == [1, 5], "at 10 two thirds of the tasks are missing"
    assert [len(scores) for _, scores, _ in found] == [10, 10]
    alone = [(1, (np.ones(4), np.zeros(0), None)), (2, (np.ones(3), np.zeros(0), None))]
    assert [len(scores) for _, scores, _ in _of_the_same(alone)] == [4, 3], "tasks that are drawn anew"
