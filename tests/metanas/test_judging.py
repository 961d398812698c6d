"""What there is time for once a winner is found: test tasks, baselines, and their meta-training."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metanas import judging
from metanas.budget import BASELINES, Budget
from metanas.evaluator import Evaluator, Setting
from metanas.tasks.families import images
from metanas.tasks.family import Source
from metanas.testing.drawings import draw_classes

MAML, PROTOTYPES = "MAML", "Prototypical networks"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    folder = draw_classes(tmp_path_factory.mktemp("judged") / "data", map(str, range(12)), images=6)
    family = images.build(Source(folder, image_size=8))
    return Evaluator(family, family.signature(2, 1), Setting(2, 1, 3), torch.device("cpu"), valid_tasks=10)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the budget and of everybody else."""
    clock = Clock()
    monkeypatch.setattr(judging.time, "monotonic", clock)
    return clock


def plan(
    evaluator: Evaluator,
    monkeypatch: pytest.MonkeyPatch,
    budget: Budget,
    ours: float,
    maml: float,
    prototypes: float,
) -> Any:
    """The plan where scoring a task takes so many seconds."""
    each = iter([ours, maml, prototypes])
    monkeypatch.setattr(judging, "_pace", lambda *_: next(each))
    monkeypatch.setattr(judging, "pace", lambda *_: 0.0)
    winner = SimpleNamespace(record=SimpleNamespace(candidate=None), checkpoint=None)
    return judging._plan(SimpleNamespace(evaluator=evaluator), winner, budget, [])  # type: ignore[arg-type]


def test_a_budget_of_trials_has_time_for_everything(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = plan(evaluator, monkeypatch, Budget(trials=3), 1.0, 1.0, 1.0)
    assert (found.count, list(found.learners), found.left_out) == (1000, [MAML, PROTOTYPES], ())
    assert math.isinf(found.time_for(0, Budget(trials=3))())


def test_what_is_quick_is_scored_on_all_tasks(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    found = plan(evaluator, monkeypatch, Budget(600.0, clock=clock), 0.001, 0.001, 0.001)
    assert (found.count, list(found.learners)) == (1000, [MAML, PROTOTYPES])


def test_what_is_slow_is_scored_on_fewer(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    budget = Budget(600.0, clock=clock)
    clock.now = 450.0  # 132 s to the end of scoring
    found = plan(evaluator, monkeypatch, budget, 0.1, 0.1, 0.1)
    assert list(found.learners) == [MAML, PROTOTYPES]
    assert 100 < found.count < 1000
    assert 0.4 * 132 < 0.3 * found.count < 0.7 * 132  # the rest is for meta-training


@pytest.mark.parametrize(
    ("maml", "prototypes", "kept"), [(0.4, 0.01, [PROTOTYPES]), (0.01, 0.4, [MAML]), (0.5, 0.4, [])]
)
def test_what_could_not_even_be_scored_is_left_out_and_said(
    evaluator: Evaluator,
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
    maml: float,
    prototypes: float,
    kept: list[str],
) -> None:
    budget = Budget(60.0, clock=clock)
    clock.now = 45.0
    found = plan(evaluator, monkeypatch, budget, 0.01, maml, prototypes)
    assert list(found.learners) == kept
    assert found.count >= 100
    assert [words.split(" is left out: ")[1] for words in found.left_out] == [
        "scoring it takes more time than there is"
    ] * (2 - len(kept))


def test_simple_methods_that_are_slow_are_left_out_and_said_but_never_all(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(judging, "_pace", lambda *_: 0.001)
    monkeypatch.setattr(
        judging, "pace", lambda _, method, __: {"first": 0.001, "quick": 0.001}.get(method.name, 1.0)
    )
    winner = SimpleNamespace(record=SimpleNamespace(candidate=None), checkpoint=None)
    search: Any = SimpleNamespace(evaluator=evaluator)
    budget = Budget(60.0, clock=clock)
    clock.now = 45.0
    methods: Any = [SimpleNamespace(name=name) for name in ("first", "quick", "forest")]
    found = judging._plan(search, winner, budget, methods)  # type: ignore[arg-type]
    assert [method.name for method in found.methods] == ["first", "quick"]
    assert found.left_out == ("baseline forest is left out: scoring it takes more time than there is",)


def test_all_are_trained_and_scored_in_time(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Learners that use all of the time they are given, and are then scored, on validation tasks too."""
    budget = Budget(600.0, clock=clock)
    clock.now = 450.0
    found = plan(evaluator, monkeypatch, budget, 0.02, 0.03, 0.05)
    for i, seconds in enumerate(found.each):
        left = found.time_for(i, budget)
        assert left() > 10.0
        clock.now += left() + seconds * (found.valid + found.count)
        assert left() == 0.0
    clock.now += found.count * found.ours
    assert 600 * BASELINES < clock.now <= 600 * 0.97 + 1e-6


def test_the_pace_of_scoring_is_measured(evaluator: Evaluator) -> None:
    (candidate, *_) = judging.hand_set(evaluator.signature, evaluator.family).values()
    seconds = judging._pace(evaluator, candidate, None, evaluator.tasks(4, "valid"))
    assert 0 < seconds < 5
