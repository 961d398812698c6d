"""What a search does with its budget, and rungs of equal times, with an evaluator that trains nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest

from metanas.budget import SEARCH, Budget
from metanas.equal_times import FirstRung, first_rung
from tests.metanas.scripted import (
    RUNGS,
    Clock,
    Script,
    Scripted,
    make,
)
from tests.metanas.scripted import _quiet as _quiet


def test_a_search_stops_by_its_part_of_the_budget() -> None:
    clock = Clock()
    search = make(lambda number, rung: 1.0 + number, tick=clock.go(1.0))
    search.run(Budget(100.0, clock=clock))
    assert 0.7 * 100 * SEARCH < clock.now <= 1.1 * 100 * SEARCH


def test_the_least_budget_still_gives_something_to_hand_back() -> None:
    clock = Clock()
    search = make(lambda number, rung: 1.0 + number, tick=clock.go(1.0))
    search.run(Budget(0.5, clock=clock))
    assert search.best is not None
    assert len(search.records) <= 3


def test_trials_and_time_whichever_is_spent_first() -> None:
    clock = Clock()
    few = make(lambda number, rung: 1.0, tick=clock.go(0.1))
    few.run(Budget(1000.0, 4, clock))
    assert len(few.records) == 4
    short = make(lambda number, rung: 1.0, tick=clock.go(1.0))
    short.run(Budget(30.0, 1000, clock))
    assert len(short.records) < 50


def test_no_trial_may_take_the_whole_budget() -> None:
    clock = Clock()
    search = make(lambda number, rung: 1.0, tick=clock.go(1.0))
    search.run(Budget(100.0, clock=clock))
    evaluator: Any = search.evaluator
    assert max(evaluator.allowed) <= 15.0
    unlimited = make(lambda number, rung: 1.0)
    unlimited.run(Budget(trials=1))
    evaluator = unlimited.evaluator
    assert set(evaluator.allowed) == {np.inf}


def _timed(script: Script, times: float = 1.0) -> Any:
    """A search of 1,000 s by time, of which training takes exactly what it may, or so many times that."""
    clock = Clock()
    search: Any = make(script, by_time=True, tick=lambda: clock.go(times * search.evaluator.allowed[-1])())
    search.run(Budget(1000.0, clock=clock))
    search.clock = clock
    return search


def test_by_time_every_trial_gets_the_same_seconds_to_a_rung() -> None:
    search = _timed(lambda number, at: 6.0 - number + 1 / at)
    seconds = dict.fromkeys(round(allowed, 6) for allowed in search.evaluator.allowed)
    first, second = seconds  # however many trials there were; the last rung is left to the finals
    assert second == pytest.approx(2 * first)
    assert search.evaluator.patient
    assert search.clock.now <= 1000.0 * SEARCH + second, "one round more, so that the last can be compared"


def test_by_time_trials_are_compared_with_those_at_the_same_rung_whatever_their_steps() -> None:
    search = _timed(lambda number, at: 100.0 - number + 1 / at)  # each is better than all before it
    ended = [record.reason for record in search.records]
    assert len(search.records) > 6
    assert "rung 1 of 2" in ended
    assert "rung 2 of 2" in ended
    steps = [set(trial.intermediate_values) for trial in search.study.get_trials(deepcopy=False)]
    assert set().union(*steps) == set(RUNGS[:2])
    # the records say what was trained
    assert {step for record in search.records for step, _ in record.valid_curve} == {1000, 2000}


def test_by_time_rates_fall_over_the_whole_however_many_meta_steps_that_is() -> None:
    """A quick network would else be compared at the least rate, and go on with the full one."""
    search = _timed(lambda number, at: 6.0 - number + 1 / at)
    first = search.evaluator.rates[0]
    assert first.after(0).progress(1000) < 0.01
    later = next(rate for rate in search.evaluator.rates if rate.times is not None)
    assert later.after(1000).progress(1000) == pytest.approx(RUNGS[0] / RUNGS[-1])


def test_by_time_a_rung_that_there_is_no_time_for_is_not_begun() -> None:
    search = _timed(lambda number, at: 100.0 - number, times=3.0)
    late = [record for record in search.records if "no time left" in record.reason]
    assert late
    assert all(record.state == "pruned" and record.score and record.weights for record in late)


def test_by_time_no_thread_is_idle_at_a_later_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scripted, "lanes", 2)
    search = _timed(lambda number, at: number + 1 / at)  # the first is the best: few go on
    seen, later = set[int](), []
    for _, numbers in search.evaluator.asked:
        later += [len(numbers)] if seen >= set(numbers) else []
        seen |= set(numbers)
    assert later
    assert {size % 2 for size in later} == {0}
    reached = [len(record.valid_curve) for record in search.records]
    assert 2 <= reached.count(2) < len(reached)


def test_a_study_goes_on_by_the_time_that_it_began_with() -> None:
    """Else what had ten times as long would be compared with what comes now."""
    first = _timed(lambda number, at: 6.0 - number + 1 / at)
    clock = Clock()
    again: Any = make(
        lambda number, at: 6.0 - number + 1 / at,
        by_time=True,
        study=first.study,
        memory=first.memory,
        tick=lambda: clock.go(again.evaluator.allowed[-1])(),
    )
    again.run(Budget(100.0, clock=clock))
    assert set(again.evaluator.allowed) <= set(first.evaluator.allowed)
    assert len(again.evaluator.allowed) >= 4
    assert clock.now <= 100.0 * SEARCH + max(first.evaluator.allowed)


def test_where_far_less_time_is_left_the_best_of_before_goes_on() -> None:
    """A first rung of 7.5 s, where 4 s are for searching: no trial is begun that there is no time for."""
    first = _timed(lambda number, at: 6.0 - number + 1 / at)
    clock, before = Clock(), len(first.records)
    again: Any = make(
        lambda number, at: -1e6,
        by_time=True,
        study=first.study,
        memory=first.memory,
        tick=lambda: clock.go(again.evaluator.allowed[-1])(),
    )
    again.run(Budget(10.0, clock=clock))
    assert clock.now == 0.0
    assert len(again.records) == before
    again.run(Budget(30.0, clock=clock))  # 12 s: one, to the first rung
    assert again.evaluator.allowed == [pytest.approx(7.5)]
    assert again.records[-1].reason == "no time left for rung 2"


@pytest.mark.parametrize(("steps", "by_time"), [([1000, 10], True), ([10, 10], False), ([], True)])
def test_older_studies_go_by_what_their_trials_had(steps: list[int], by_time: bool) -> None:
    """Without a note of it: one that happened to come to the steps of the first rung tells nothing."""
    known = _timed(lambda number, at: 6.0 - number + 1 / at).records
    records = [replace(known[i], parent=None, valid_curve=((at, 0.5),)) for i, at in enumerate(steps)]
    found = first_rung(optuna.create_study(), records, RUNGS[0], Budget(1000.0))
    assert found == (FirstRung(7.5, is_long=False) if by_time else None)


def test_a_study_that_began_by_steps_goes_on_by_steps() -> None:
    first = make(lambda number, at: 1.0 / at, by_time=True)
    first.run(Budget(trials=2))
    clock = Clock()
    again: Any = make(
        lambda number, at: 1.0 / at, by_time=True, study=first.study, memory=first.memory, tick=clock.go(5.0)
    )
    again.run(Budget(1000.0, clock=clock))
    assert not again.evaluator.patient
    assert {until for until, _ in again.evaluator.asked} == set(RUNGS)


def test_a_study_that_began_by_time_goes_on_so_where_trials_are_counted() -> None:
    first = _timed(lambda number, at: 6.0 - number + 1 / at)
    again: Any = make(lambda number, at: 1.0 / at, by_time=True, study=first.study, memory=first.memory)
    again.run(Budget(trials=3))
    assert min(first.evaluator.allowed) in again.evaluator.allowed
    assert max(again.evaluator.allowed) < np.inf


def test_by_time_without_seconds_is_by_steps() -> None:
    search: Any = make(lambda number, at: 1.0 / at, by_time=True)
    search.run(Budget(trials=6))
    assert {until for until, _ in search.evaluator.asked} == set(RUNGS)
    assert set(search.evaluator.allowed) == {np.inf}
