"""How the winner of a search goes on, with an evaluator that trains nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from optuna.trial import TrialState

from metanas.budget import FINISH, Budget
from metanas.evaluator import Ended, Job
from metanas.finish import finish, winner_of
from metanas.legs import Pace
from metanas.search import Search
from metanas.standings import best_of
from search_spaces import Candidate, Record, Score, catalogue
from tests.metanas.scripted import (
    RUNGS,
    SIGNATURE,
    SPACE,
    Clock,
    Script,
    Scripted,
    make,
    states,
    told,
)
from tests.metanas.scripted import _quiet as _quiet


def searched(child: float | Ended, **options: Any) -> Search:
    """A search of two trials, of which the second, with 0.5, is the better; going on comes to ``child``."""
    search = make(lambda number, rung: child if number > 1 else 1.0 - number / 2, **options)
    search.run(Budget(trials=2))
    return search


def test_what_another_process_had_running_when_this_one_began_is_taken_in() -> None:
    search = searched(0.25)
    theirs = Record("s", 7, search.records[0].candidate, "running")
    search.memory.start(theirs)
    later: Search = make(lambda number, rung: 1.0, memory=search.memory)
    assert [record.state for record in later.records if record.number == 7] == ["running"]
    score = Score("mse", 0.01, 0.0, 2, "valid")
    search.memory.finish(replace(theirs, state="complete", score=score, weights="kept"))
    later.look_around()
    assert [record.state for record in later.records if record.number == 7] == ["complete"]
    assert later.best is not None
    assert later.best.number == 7


def test_the_winner_goes_on_in_a_trial_that_names_its_parent() -> None:
    search = searched(0.25)
    winner = finish(search, Budget(trials=2))
    assert (winner.record.number, winner.record.parent, winner.record.state) == (2, 1, "complete")
    assert winner.record.reason == "went on from trial 1"
    assert winner.record.candidate == search.records[1].candidate
    assert torch.all(winner.checkpoint.average == winner.checkpoint.average[0])
    assert told(search)[2] is TrialState.COMPLETE


@pytest.mark.parametrize("child", [0.75, "diverged", "timeout", "out of memory"])
def test_a_parent_that_was_better_stays_the_winner(child: float | Ended) -> None:
    search = searched(child)
    parent = winner_of(search)
    winner = finish(search, Budget(trials=2))
    assert winner.record == parent.record
    assert winner.record.number == 1
    assert torch.equal(winner.checkpoint.average, parent.checkpoint.average)
    assert states(search)[2][0] == ("complete" if child == 0.75 else "failed")


def test_without_time_the_winner_is_what_there_is() -> None:
    search, clock = searched(0.25), Clock()
    budget = Budget(10.0, clock=clock)
    clock.now = 9.0
    assert finish(search, budget).record.number == 1
    assert len(search.records) == 2


def test_a_trial_left_by_one_who_was_killed_before_going_on_is_not_searched() -> None:
    search = searched(0.25)
    search.study.enqueue_trial(dict(search.records[0].candidate), user_attrs={"parent": 0})
    again = make(lambda number, rung: 2.0, study=search.study, memory=search.memory)
    again.run(Budget(trials=1))
    assert sorted(states(again)) == [0, 1, 3]
    assert told(again)[2] is TrialState.FAIL


def test_going_on_is_not_mixed_up_with_anothers_trial() -> None:
    search = searched(0.25)
    stranger = search.space.sample(np.random.default_rng(99))
    search.study.enqueue_trial(dict(stranger), user_attrs={"parent": 0})
    winner = finish(search, Budget(trials=2))
    assert winner.record.parent == 1
    assert winner.record.candidate == search.records[1].candidate
    assert TrialState.RUNNING not in told(search).values()


def test_what_a_person_put_into_the_queue_is_there_after_the_winner_went_on() -> None:
    search = searched(0.25)
    wanted = [dict(search.space.sample(np.random.default_rng(seed))) for seed in range(30)]
    for params in wanted:
        search.study.enqueue_trial(params, user_attrs={"mine": True})
    assert finish(search, Budget(trials=2)).record.parent == 1
    waiting = search.study.get_trials(states=(TrialState.WAITING,))
    assert [trial.system_attrs["fixed_params"] for trial in waiting] == wanted
    assert all(trial.user_attrs["mine"] for trial in waiting)
    search.run(Budget(trials=2))
    assert [dict(record.candidate) for record in search.records[-2:]] == wanted[:2]


def test_a_recipe_that_two_processes_enqueued_is_tried_once() -> None:
    study = make(lambda number, rung: 1.0).study
    wanted, other = (SPACE.sample(np.random.default_rng(seed)) for seed in (98, 99))
    for name, candidate in (("MAML", wanted), ("MAML", wanted), ("Reptile", other)):
        study.enqueue_trial(dict(candidate), user_attrs={"recipe": name})
    search = make(lambda number, rung: 1.0, study=study)
    search.run(Budget(trials=3))
    tried = {record.number: record.candidate for record in search.records}
    assert sorted(tried) == [0, 2, 3]
    assert (tried[0], tried[2]) == (wanted, other)
    assert told(search)[1] is TrialState.FAIL


SHORT = 70.0  # seconds, of which a final has too few for a second round


def before_the_final(script: Script) -> tuple[Search, Budget]:
    """A search of which trial 0 is the best of rung 3, trial 1 of rung 2, trial 3 of rung 1."""
    search = make(lambda number, rung: 1.0)
    for number, (rung, value) in enumerate([(90, 0.6), (30, 0.3), (10, 0.8), (10, 0.2)]):
        live = search.begin()
        evaluator: Any = search.evaluator
        job = Job(live.record.candidate, live.record.seed)
        evaluator._script = lambda _, at, value=value: value + (90 - at) / 1000
        for at in RUNGS[: RUNGS.index(rung) + 1]:
            search.advance(live, evaluator._outcome(job, at))
        search.end(live, "complete" if rung == 90 else "pruned", f"trial {number} of the test")
    clock = Clock()
    evaluator._script, evaluator._tick = script, clock.go(1.0)
    return search, Budget(SHORT, clock=clock)


def test_in_seconds_the_best_of_each_rung_meet_in_a_final_and_its_winner_goes_on() -> None:
    parents = {4: 3, 5: 0, 6: 1}  # the best first, then from the last rung down
    search, budget = before_the_final(lambda number, at: 0.05 if parents[number] == 1 else 0.5)
    winner = finish(search, budget).record
    assert budget.spent <= SHORT * FINISH
    children = search.memory.records("s")[4:]
    assert {child.number: child.parent for child in children} == parents
    assert (winner.parent, winner.state, winner.reason) == (1, "complete", "went on from trial 1")
    others = [child for child in children if child.parent != 1]
    assert {child.state for child in others} == {"pruned"}
    assert all(child.reason.startswith("in the final, after ") for child in others)
    assert all(child.score is not None and child.weights for child in others)
    assert TrialState.RUNNING not in told(search).values()


def test_where_there_is_no_time_for_a_meta_step_the_best_of_before_is_the_winner() -> None:
    """Nobody is left running, and what has no score is not told as complete."""
    search, _ = before_the_final(lambda number, at: 0.05)
    for record in search.records:
        search.paces[record.candidate.id] = Pace(1e9, 0.0)  # milliseconds a meta-step
    clock = Clock()
    winner = finish(search, Budget(SHORT, clock=clock)).record
    assert winner.number == 3
    children = search.memory.records("s")[4:]
    assert {(child.state, child.reason) for child in children} == {
        ("failed", "timeout: no time for a meta-step")
    }
    assert TrialState.RUNNING not in told(search).values()


def test_with_time_the_winner_goes_on_in_several_ways_to_train() -> None:
    """The same network and rule from the same weights, other outer settings; the best of them goes on."""
    search, _ = before_the_final(lambda number, at: 0.05 if number == 8 else 0.5)
    clock = Clock()
    evaluator: Any = search.evaluator
    evaluator._tick = clock.go(1.0)
    winner = finish(search, Budget(200.0, clock=clock)).record
    assert clock.now <= 200 * FINISH
    records = {record.number: record for record in search.memory.records("s")}
    first = records[winner.parent or 0]
    assert winner.number == 8
    assert winner.reason == f"went on from trial {first.number}"
    ways = [record for record in records.values() if record.parent == first.number]
    assert len(ways) == 2
    inner = [{k: v for k, v in r.candidate.items() if not k.startswith("outer.")} for r in (first, *ways)]
    assert all(part == inner[0] for part in inner)
    assert len({r.candidate.id for r in (first, *ways)}) == 3
    # few as they are, they try what can be tried
    for name in ("outer.tasks", "outer.schedule", "outer.shots"):
        values = {r.candidate[name] for r in (first, *ways)}
        assert len(values) >= min(3, len(search.space.flat[name].values))
    assert TrialState.RUNNING not in told(search).values()


def test_where_one_alone_would_leave_threads_idle_the_last_two_go_on_side_by_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Scripted, "lanes", 2)
    # of the finalists 4 is ahead at first, 6 after a while
    search, budget = before_the_final(lambda number, at: {4: 0.2, 5: 0.9, 6: 20 / at}[number])
    winner = finish(search, budget).record
    children = search.memory.records("s")[4:]
    assert {child.number: child.state for child in children} == {4: "pruned", 5: "pruned", 6: "complete"}
    steps = {child.number: child.valid_curve[-1][0] for child in children}
    assert steps[5] < steps[4] < steps[6]
    assert winner.number == 6
    assert budget.spent <= SHORT * FINISH
    assert TrialState.RUNNING not in told(search).values()


@pytest.mark.parametrize(("lanes", "finalists"), [(1, {0}), (2, {0, 3})])
def test_where_threads_would_be_idle_one_finalist_is_of_another_rule(
    monkeypatch: pytest.MonkeyPatch, lanes: int, finalists: set[int]
) -> None:
    """It is far behind, and learns more than the best when both go on."""
    monkeypatch.setattr(Scripted, "lanes", lanes)
    space = catalogue.space("default", SIGNATURE)
    search = make(lambda number, at: {0: 0.2, 1: 0.4, 2: 0.5, 3: 0.6, 4: 0.7}[number], space=space)
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(100)]
    alike = [candidate for candidate in drawn if candidate["rule"] == "ridge"][:3]
    others = [candidate for candidate in drawn if candidate["rule"] == "gradient"][:2]
    for candidate in (*alike, *others):
        live = search.begin(candidate)
        evaluator: Any = search.evaluator
        for at in RUNGS:
            search.advance(live, evaluator._outcome(Job(candidate, live.record.seed), at))
        search.end(live, "complete", "of the test")
    clock = Clock()
    evaluator._script = lambda number, at: 0.1 if search.memory.records("s")[number].parent == 3 else 0.15
    evaluator._tick = clock.go(1.0)
    winner = finish(search, Budget(SHORT, clock=clock)).record
    assert {record.parent for record in search.memory.records("s")[5:]} == finalists
    assert winner.parent == max(finalists)
    assert TrialState.RUNNING not in told(search).values()


def test_a_final_that_nobody_survives_leaves_the_winner_there_was() -> None:
    search, budget = before_the_final(lambda number, at: "diverged")
    winner = finish(search, budget).record
    assert (winner.number, winner.parent) == (3, None)
    children = search.memory.records("s")[4:]
    assert {child.state for child in children} == {"failed"}
    assert TrialState.RUNNING not in told(search).values()


def test_ctrl_c_in_a_final_ends_all_finalists() -> None:
    def press(number: int, at: int) -> float:
        if number == 5:
            raise KeyboardInterrupt
        return 0.1

    search, budget = before_the_final(press)
    with pytest.raises(KeyboardInterrupt):
        finish(search, budget)
    assert [states(search)[number] for number in (4, 5, 6)] == [
        ("pruned", "interrupted"),
        ("failed", "interrupted"),
        ("failed", "interrupted"),
    ]


def test_the_best_has_weights_to_hand_back() -> None:
    candidate = Candidate({"rule": "ridge"})
    score = Score("mse", 0.1, 0.1, 2, "valid")
    lost = Record("s", 0, candidate, score=score)
    kept = Record("s", 1, candidate, score=replace(score, value=0.2), weights="sha")
    assert best_of([lost, kept, Record("s", 2, candidate)]) == kept
    assert best_of([lost]) is None
    higher = [replace(kept, number=n, score=replace(score, metric="accuracy", value=n / 10)) for n in (3, 5)]
    assert best_of(higher) == higher[1]


def test_the_winner_may_be_one_that_another_process_found_meanwhile() -> None:
    search = searched(0.75)
    other = make(lambda number, rung: 0.125, study=search.study, memory=search.memory)
    other.run(Budget(trials=1))
    found = best_of(other.records)
    assert found is not None
    assert found.number not in {record.number for record in search.records}
    assert winner_of(search).record == found
    assert finish(search, Budget(trials=2)).record.number == found.number
    assert sorted(record.number for record in search.records) == [0, 1, 2, 3]  # each once


def test_of_accuracies_the_highest_meet_and_the_highest_of_these_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Scripted, "higher_is_better", True)
    monkeypatch.setattr("tests.metanas.scripted.Score", lambda metric, *rest: Score("accuracy", *rest))
    search, budget = before_the_final(lambda number, at: {4: 0.5, 5: 0.95}[number])
    winner = finish(search, budget).record
    assert [child.parent for child in search.memory.records("s")[4:]] == [2, 0], (
        "the highest of rungs 1 and 3"
    )
    assert (winner.parent, winner.state) == (0, "complete")
