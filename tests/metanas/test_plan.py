"""What there is time for once a winner is found: test tasks, baselines, and their meta-training."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from metanas import baselines
from metanas import plan as planning
from metanas.budget import BASELINES, Budget
from metanas.evaluator import Evaluator, Setting
from metanas.hand_set import hand_set
from metanas.tasks.families import images, table
from metanas.tasks.family import Source
from metanas.testing.drawings import draw_classes
from metanas.testing.tables import rows as table_rows
from metanas.testing.tables import write

MAML, PROTOTYPES = "MAML", "Prototypical networks"
WINNER: Any = SimpleNamespace(record=SimpleNamespace(candidate=None), checkpoint=None)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    folder = draw_classes(tmp_path_factory.mktemp("judged") / "data", map(str, range(12)), images=6)
    family = images.build(Source(folder, image_size=8))
    return Evaluator(family, family.signature(2, 1), Setting(2, 1, 3), torch.device("cpu"), valid_tasks=10)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    """Of a table of 40 machines."""
    path = write(tmp_path_factory.mktemp("judged") / "wear.csv", table_rows(machines=40))
    family = table.build(Source(path, task="machine", target="wear", shots=5))
    return Evaluator(family, family.signature(None, 5), Setting(1, 5, 5), torch.device("cpu"), valid_tasks=40)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the budget and of everybody else."""
    clock = Clock()
    monkeypatch.setattr(planning.time, "monotonic", clock)
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
    monkeypatch.setattr(planning, "scoring_pace", lambda *_: ours)
    learners: Any = [learner(MAML, maml), learner(PROTOTYPES, prototypes)]
    return planning.plan(evaluator, WINNER, budget, [], learners, 1000)


def learner(name: str, seconds: float) -> Any:
    return SimpleNamespace(name=name, pace=lambda *_: seconds, tuning=0)


def names(found: Any) -> list[str]:
    return [one.name for one in found]


def test_a_budget_of_trials_has_time_for_everything(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = plan(evaluator, monkeypatch, Budget(trials=3), 1.0, 1.0, 1.0)
    assert (found.count, names(found.learners), found.left_out) == (1000, [MAML, PROTOTYPES], ())
    assert math.isinf(found.time_for(0, Budget(trials=3))())


def test_there_are_as_many_test_tasks_as_memory_holds(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    few = evaluator.tasks(64, "valid")
    each = sum(tensor.nbytes for tensor in few.values()) / 64  # type: ignore[attr-defined]
    monkeypatch.setattr(planning, "free_memory", lambda: 8 * 200.0 * each)
    assert plan(evaluator, monkeypatch, Budget(trials=3), 1.0, 1.0, 1.0).count == 200
    assert plan(evaluator, monkeypatch, Budget(600.0, clock=clock), 0.001, 0.001, 0.001).count == 200
    monkeypatch.setattr(planning, "free_memory", lambda: math.inf)  # as on macOS, which does not say
    assert plan(evaluator, monkeypatch, Budget(trials=3), 1.0, 1.0, 1.0).count == 1000


def test_what_is_quick_is_scored_on_all_tasks(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    found = plan(evaluator, monkeypatch, Budget(600.0, clock=clock), 0.001, 0.001, 0.001)
    assert (found.count, names(found.learners)) == (1000, [MAML, PROTOTYPES])


def test_what_is_slow_is_scored_on_fewer(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    budget = Budget(600.0, clock=clock)
    clock.now = 450.0  # 132 s to the end of scoring
    found = plan(evaluator, monkeypatch, budget, 0.1, 0.1, 0.1)
    assert names(found.learners) == [MAML, PROTOTYPES]
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
    assert names(found.learners) == kept
    assert found.count >= 100
    assert [words.split(" is left out: ")[1] for words in found.left_out] == [
        "scoring it takes more time than there is"
    ] * (2 - len(kept))


def simply(
    evaluator: Evaluator,
    monkeypatch: pytest.MonkeyPatch,
    budget: Budget,
    paces: dict[str, float],
    settings: int = 0,
) -> Any:
    """The plan for simple methods that take so many seconds a task, with settings to choose from."""
    monkeypatch.setattr(planning, "scoring_pace", lambda *_: 0.001)
    monkeypatch.setattr(planning, "pace", lambda _, method, __: paces[method.name])
    methods: Any = [SimpleNamespace(name=name, tuning=lambda tasks: settings * tasks) for name in paces]
    return planning.plan(evaluator, WINNER, budget, methods, [], 1000)


def test_simple_methods_that_are_slow_are_left_out_and_said_but_never_all(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    budget = Budget(60.0, clock=clock)
    clock.now = 45.0
    found = simply(evaluator, monkeypatch, budget, {"first": 0.001, "quick": 0.001, "forest": 1.0})
    assert names(found.methods) == ["first", "quick"]
    assert found.left_out == ("baseline forest is left out: scoring it takes more time than there is",)


def test_rows_of_few_tasks_need_not_be_drawn_often(
    rows: Evaluator, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Of 8 validation and 8 test tasks, each drawn many times, a slow method has each a few times."""
    budget = Budget(180.0, clock=clock)
    clock.now = 150.0
    found = simply(rows, monkeypatch, budget, {"first": 0.001, "forest": 0.02, "endless": 2.0})
    assert names(found.methods) == ["first", "forest"]
    assert "first" not in found.rounds
    assert found.rounds["forest"] * 16 * 0.02 <= 0.1 * 30.0
    assert found.rounds["forest"] >= 1


def test_tuning_takes_its_time_too(rows: Evaluator, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Ninety settings on a hundred tasks are 9,000 fits, where scoring takes a few hundred."""
    budget = Budget(180.0, clock=clock)
    clock.now = 150.0  # 25 s to the end of scoring, of which one method may have a tenth
    paces = {"mean": 1e-6, "slopes": 0.001}
    assert not simply(rows, monkeypatch, budget, paces).rounds
    found = simply(rows, monkeypatch, budget, paces, settings=90)
    once = baselines.first(rows.valid, 1)
    assert once is not None
    fits = found.rounds["slopes"] * once * 90
    assert 0.5 < fits * 0.001 < 0.1 * 25


def test_a_learner_is_trained_for_what_choosing_its_settings_leaves(clock: Clock) -> None:
    budget = Budget(600.0, clock=clock)
    clock.now = 450.0
    short, long = (
        planning.Plan(100, [], [], each=(0.01,), tuning=(tasks,)).time_for(0, budget)() for tasks in (0, 1000)
    )
    assert short - long == pytest.approx(1000 * 0.01)


def test_what_fails_when_it_is_measured_is_left_out_and_said(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """A search that has found something is not lost for a library that cannot do with the data."""

    def broken(*_: Any) -> float:
        raise ValueError("more than 500 features")

    monkeypatch.setattr(planning, "scoring_pace", lambda *_: 0.001)
    usual = planning.pace
    monkeypatch.setattr(planning, "pace", lambda s, m, p: broken() if m.name == "b" else usual(s, m, p))
    methods = [baselines.Simple(name, (None,), lambda _, x, y, q: np.zeros((len(q), 2))) for name in "ab"]
    learners: Any = [learner(MAML, 0.001), SimpleNamespace(name="c", pace=broken, tuning=0)]
    found = planning.plan(evaluator, WINNER, Budget(60.0, clock=clock), methods, learners, 1000)
    assert (names(found.methods), names(found.learners)) == (["a"], [MAML])
    why = "failed (ValueError: more than 500 features)"
    assert found.left_out == (f"baseline c {why}", f"baseline b {why}")


def test_a_budget_that_training_used_up_still_has_room_for_what_is_quick(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """A verdict against nothing but the mean would be worth nothing."""
    budget = Budget(20.0, clock=clock)
    clock.now = 21.0
    found = simply(evaluator, monkeypatch, budget, {"mean": 0.0001, "ridge": 0.0003, "forest": 1.0})
    assert names(found.methods) == ["mean", "ridge"]


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


def test_the_pace_of_scoring_is_measured(evaluator: Evaluator, rows: Evaluator) -> None:
    for learner in hand_set(evaluator) + hand_set(rows):
        here = rows if "pooled" in learner.name else evaluator
        assert 0 < learner.pace(here, here.tasks(4, "valid")) < 5
    for method in baselines.simple(rows):
        assert 0 < baselines.pace(rows.signature, method, rows.tasks(4, "valid")) < 5
