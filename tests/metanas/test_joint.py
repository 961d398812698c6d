"""A search over several families: what stands in which study, how scores go together, what ends a trial."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from controllers import random as random_controller
from controllers.pruning import successive_halving
from metanas.budget import FINISH, SEARCH, Budget
from metanas.evaluator import Ended
from metanas.finish import winner_of
from metanas.joint import Joint, JointSearch, best_for_all, standings_of
from metanas.search import Search
from metanas.together import _compared
from search_spaces.errors import EvaluationError
from search_spaces.shared import share
from tests.metanas.scripted import RUNGS, SEED, SPACE, Clock, Kept, Script, Scripted, _quiet  # noqa: F401

Tick = Callable[[], None]


@dataclass(frozen=True)
class Several:
    """A search over two families, a and b, whose scores are scripted."""

    search: JointSearch
    memory: Kept
    families: dict[str, Search]

    def rows(self, family: str) -> dict[int, Any]:
        memory: Any = self.families[family].memory
        return dict(memory.rows)


def make(a: Script, b: Script, tick: Tick = lambda: None) -> Several:
    scripts = {"a": a, "b": b}
    families = {
        name: Search(f"s/{name}", SPACE, _study(), Kept(), Scripted(script, tick), RUNGS, SEED)
        for name, script in scripts.items()
    }
    shared, memory = share(dict.fromkeys(scripts, SPACE)), Kept()
    joint = Joint(shared, families)
    return Several(JointSearch("s", shared.space, _study(), memory, joint, RUNGS, SEED), memory, families)


def _study() -> optuna.Study:
    return optuna.create_study(sampler=random_controller.build(SPACE, 0), pruner=successive_halving(RUNGS))


def told(search: Any) -> dict[int, TrialState]:
    return {trial.number: trial.state for trial in search.study.get_trials(deepcopy=False)}


def test_every_family_has_a_study_of_all_that_was_tried_on_it() -> None:
    found = make(lambda n, rung: 10.0 + n + 1 / rung, lambda n, rung: 1000.0 + n + 1 / rung)
    found.search.run(Budget(trials=4))
    for name, start in (("a", 10.0), ("b", 1000.0)):
        rows = found.rows(name)
        assert list(rows) == [0, 1, 2, 3]
        for number, record in rows.items():
            above = found.memory.rows[number]
            assert record.candidate == above.candidate
            assert (record.seed, record.state, record.reason) == (above.seed, above.state, above.reason)
            assert record.score.value == pytest.approx(start + number + 1 / record.rung)
            assert record.weights is not None
        assert told(found.families[name]) == told(found.search)
    assert found.memory.rows[0].state == "complete"  # the best on both goes on, the others are stopped
    assert {found.memory.rows[n].reason for n in (1, 2, 3)} == {"rung 1 of 3"}


def test_the_objective_is_the_mean_position_on_the_families() -> None:
    """Opposite orders cancel; a family whose scores are large does not weigh more."""
    found = make(lambda n, rung: float(n), lambda n, rung: 1000.0 * (4 - n) if rung == 10 else 0.0)
    found.search.run(Budget(trials=5))
    first = [record.valid_curve[0] for _, record in sorted(found.memory.rows.items())]
    assert [rung for rung, _ in first] == [10] * 5
    assert [value for _, value in first] == pytest.approx([0.5] * 5)
    assert {record.score.metric for record in found.memory.rows.values()} == {"rank"}  # type: ignore[union-attr]


def test_later_trials_stand_among_all_that_came_before() -> None:
    found = make(lambda n, rung: 100.0 - n, lambda n, rung: 100.0 - n)
    found.search.run(Budget(trials=6))
    found.search.run(Budget(trials=1))
    curve = found.memory.rows[6].valid_curve
    entries = 6 + 2 + 1  # at the first rung, at the two others; itself
    assert curve[0][1] == pytest.approx(0.5 / entries)  # better than all of them on both


def test_the_winner_is_chosen_by_exact_ranks_when_all_is_known() -> None:
    scores = {"a": [1.0, 2.0, 3.0, 9.0], "b": [9.0, 2.0, 3.0, 1.0]}
    found = make(lambda n, rung: scores["a"][n], lambda n, rung: scores["b"][n])
    found.search.run(Budget(trials=4))
    best = best_for_all(found.search)
    assert (best.trial.number, best.rank) == (1, 2.0)
    assert [place.score.value for place in best.places] == [2.0, 2.0]
    assert [winner_of(search).record.number for search in found.families.values()] == [
        0,
        3,
    ]  # the best for each
    assert len(standings_of(found.search)) == 4


@pytest.mark.parametrize("rung", RUNGS)
def test_what_cannot_go_on_with_one_family_ends_on_all(rung: int) -> None:
    def fail(n: int, at: int) -> float | Ended:
        return "diverged" if at == rung else 1.0 + 1 / at

    found = make(lambda n, at: 2.0 + 1 / at, fail)
    failed = rung == RUNGS[0]
    if failed:
        with pytest.raises(EvaluationError, match=r"none of 1 trials .* most often: diverged: on b: at 10"):
            found.search.run(Budget(trials=1))
    else:
        found.search.run(Budget(trials=1))
    reason = f"diverged: on b: at {rung}"
    assert (found.memory.rows[0].state, found.memory.rows[0].reason) == (
        "failed" if failed else "pruned",
        reason,
    )
    a, b = found.rows("a")[0], found.rows("b")[0]
    assert (a.state, a.reason, a.rung) == ("pruned", reason, rung)  # what was scored there is kept
    assert (b.state, b.reason) == ("failed" if failed else "pruned", f"diverged: at {rung}")
    assert [len(search.running) for search in found.families.values()] == [0, 0]
    assert (len(standings_of(found.search)) == 0) == failed


def test_weights_are_those_that_the_families_keep() -> None:
    found = make(lambda n, rung: 1.0 / rung, lambda n, rung: {10: 0.1, 30: 0.5, 90: 0.7}[rung])
    found.search.run(Budget(trials=1))
    record = found.memory.rows[0]
    assert record.weights is not None
    kept = json.loads(found.memory.data[record.weights])
    assert kept == {name: found.rows(name)[0].weights for name in ("a", "b")}
    assert (found.rows("a")[0].rung, found.rows("b")[0].rung) == (90, 10)  # each keeps its own best
    assert record.costs.seconds == 6.0  # three rungs on each
    assert (record.costs.parameters, record.costs.adapt_ms) == (2, 4.0)


def test_a_trial_has_a_part_of_its_time_for_each_family() -> None:
    clock = Clock()
    found = make(lambda n, rung: 1.0, lambda n, rung: 1.0, clock.go(1.0))
    found.search.run(Budget(1000.0, clock=clock))
    for search in found.families.values():
        assert search.evaluator.allowed[0] == 10.0  # type: ignore[attr-defined]  # of 20 s for the first rung
    short = make(lambda n, rung: 1.0, lambda n, rung: 1.0, clock.go(1.0))
    short.search.run(Budget(20.0, clock=clock))
    (least,) = {t for s in short.families.values() for t in s.evaluator.allowed}  # type: ignore[attr-defined]
    assert least == 1.5  # what a search of one family gives at least


def test_ctrl_c_keeps_what_is_scored_on_each() -> None:
    def press(n: int, rung: int) -> float:
        if n == 1:
            raise KeyboardInterrupt
        return 1.0

    found = make(lambda n, rung: 1.0, press)
    with pytest.raises(KeyboardInterrupt):
        found.search.run(Budget(trials=3))
    assert {record.reason for record in found.memory.rows.values()} == {"interrupted"}
    assert {record.state for record in found.rows("a").values()} == {"pruned"}
    assert [record.state for record in found.rows("b").values()] == ["pruned", "failed", "failed"]
    for search in (found.search, *found.families.values()):
        assert TrialState.RUNNING not in told(search).values()
        assert search.running == []  # type: ignore[attr-defined]


def test_ctrl_c_while_a_trial_ends_keeps_it_on_every_family(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = make(lambda n, rung: 1.0, lambda n, rung: 1.0), list[str]()
    joint: Any = found.search.evaluator
    end = joint._end

    def press(search: Search, *given: Any) -> Any:
        asked.append(search.name)
        if asked.count("s/b") == 1 and search.name == "s/b":
            raise KeyboardInterrupt
        return end(search, *given)

    monkeypatch.setattr(joint, "_end", press)
    with pytest.raises(KeyboardInterrupt):
        found.search.run(Budget(trials=1))
    (above,) = found.memory.rows.values()
    for name in ("a", "b"):
        (record,) = found.rows(name).values()
        assert record.score is not None
        assert record.weights is not None
        assert name in json.loads(found.memory.get(above.weights))


def test_both_learners_of_a_family_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The candidate that is best for all gets its part of the time where another is this family's best."""
    scores = {"a": [1.0, 2.0, 3.0], "b": [3.0, 2.0, 1.0]}

    def script(name: str) -> Script:
        return lambda n, rung: scores[name][n] if n < 3 else 0.1 * n

    compared: list[int] = []
    monkeypatch.setattr("metanas.together.compare", lambda s, w, b: compared.append(w.record.number))
    monkeypatch.setattr("metanas.together.beside", lambda s, w, c: compared.append(w.record.number))
    found = make(script("a"), script("b"))
    found.search.run(Budget(trials=3))
    best = best_for_all(found.search)
    assert best.trial.number == 1
    both = _compared(found.families["a"], best.places[0], Budget(trials=1))
    parents = {n: record.parent for n, record in found.rows("a").items()}
    assert parents == {0: None, 1: None, 2: None, 3: 1, 4: 3}  # it became the best, and went on as such
    assert (both.for_all.record.number, both.own.record.number) == (3, 3)
    assert compared == [3]


def test_the_rest_of_a_budget_is_for_what_comes_after_searching() -> None:
    clock = Clock()
    budget = Budget(100.0, clock=clock)
    clock.now += 40.0
    rest = budget.rest(0.5)
    assert rest.left() == pytest.approx(30.0)
    assert rest.left(SEARCH) == pytest.approx(0.0, abs=1e-9)
    assert rest.left(FINISH) == pytest.approx(30.0 * (FINISH - SEARCH) / (1 - SEARCH))
    assert Budget(trials=3).rest(0.5).trials == 3
