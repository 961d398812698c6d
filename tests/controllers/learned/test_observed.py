"""Results of several rungs, of failures and of other studies, on one scale."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState, create_trial

from controllers.learned.codes import Codes
from controllers.learned.observed import Reader, results
from controllers.learned.recorded import costs_of_records, of_records
from search_spaces import Candidate, Costs, Integer, Record, Score, Space

CODES = Codes(Space("line", (Integer("n", 1, 50),)))


def test_more_is_better_in_either_direction() -> None:
    up, *_ = results([{1: 0.3}, {1: 0.9}, {1: 0.5}], True)
    down, *_ = results([{1: 0.3}, {1: 0.9}, {1: 0.5}], False)
    assert up.argsort().tolist() == [0, 2, 1]
    np.testing.assert_allclose(up, -down)


def test_what_failed_or_diverged_is_worst_and_has_no_training_missing() -> None:
    targets, missing, _ = results([{10: 3.0}, {}, {10: math.nan}, {10: 5.0, 30: 4.0}], False)
    assert targets[1] == targets[2] < min(targets[0], targets[3])
    assert missing.tolist() == [1.0, 0.0, 0.0, 0.0]


def test_a_stopped_trial_is_not_worse_for_having_been_stopped() -> None:
    """Errors fall tenfold from rung to rung: the one stopped at 0.5 would have come to about 0.05."""
    targets, missing, _ = results([{10: 1.0, 30: 0.1}, {10: 2.0, 30: 0.2}, {10: 0.5}], False)
    assert targets.argsort().tolist() == [1, 0, 2]
    assert missing.tolist() == [0.0, 0.0, 1.0]


def test_where_time_is_short_a_result_counts_for_the_time_that_it_took() -> None:
    """Errors fall threefold from rung to rung: what took three times as long would be behind by so much."""
    scores = [{10: 0.3, 30: 0.1}, {10: 0.27, 30: 0.09}, {10: 0.6, 30: 0.2}, {}]
    slow, log = math.log(3), [0.0, math.log(3), math.nan, math.nan]
    assert results(scores, False, [], log).targets.argsort().tolist() == [3, 1, 2, 0]
    assert results(scores, False, [], [0.0, 0.0, slow, 0.0]).targets.argsort().tolist() == [3, 2, 0, 1]
    once = [{10: 0.3}, {10: 0.2}]  # nothing tells what more training would bring
    np.testing.assert_array_equal(results(once, False, [], [0, 9]).targets, results(once, False).targets)
    flat = [{10: 0.3, 30: 0.3}, {10: 0.2, 30: 0.4}]
    np.testing.assert_array_equal(results(flat, False, [], [0, 9]).targets, results(flat, False).targets)


def test_missing_training_is_counted_in_rungs_not_in_steps() -> None:
    _, missing, _ = results([{10: 1.0}, {10: 1.0, 30: 1.0}, {10: 1.0, 30: 1.0, 90: 1.0}], True)
    np.testing.assert_allclose(missing, [1.0, 0.5, 0.0])


def test_intervals_say_which_results_are_noisier() -> None:
    scores: list[dict[int, float]] = [{1: error} for error in (0.1, 0.2, 0.4, 0.8, 1.6)]
    parts = results(scores, False, [0.1 * score[1] for score in scores]).noise
    assert parts.tolist() == [1.0, 1.0, 0.5, 1.0, 1.0]  # of a normal's, the middle ones are nearest
    loud = results(scores, False, [0.01, 0.02, 0.32, 0.08, math.nan]).noise
    assert loud.tolist() == [1.0, 1.0, 4.0, 1.0, 1.0]
    assert results(scores, False, [0.0] * 5).noise.tolist() == [1.0] * 5
    with_failed = results([{}, *scores], False, [math.nan, 0.01, 0.02, 0.32, 0.08, math.nan]).noise
    assert (with_failed[0], with_failed.argmax()) == (1.0, 3)


def trial(n: int, state: TrialState = TrialState.COMPLETE, **more: Any) -> optuna.trial.FrozenTrial:
    value = float(n) if state == TrialState.COMPLETE else None
    distributions = {"n": optuna.distributions.IntDistribution(1, 50)}
    return create_trial(state=state, value=value, params={"n": n}, distributions=distributions, **more)


def test_a_study_is_read_as_it_is() -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            trial(3),
            trial(7, TrialState.FAIL),
            trial(4, TrialState.FAIL, user_attrs={"illegal": "refused"}),
            trial(5),
            trial(5, user_attrs={"parent": 3}),
        ]
    )
    asked = study.ask()
    assert asked.suggest_int("n", 1, 50)
    reader = Reader(CODES)
    seen = reader.read(study, {})
    assert seen.rows[:, 0].tolist() == [3, 7, 5]
    assert seen.targets.argsort().tolist() == [1, 0, 2]
    assert seen.numbers == [0, 1, 3]
    assert [row[0] for row in reader.running] == [asked.params["n"]]
    assert {np.frombuffer(key)[0] for key in reader.tried} == {3, 4, 5, 7, asked.params["n"]}


def test_a_trial_that_was_interrupted_is_no_failure_and_may_be_proposed_again() -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trials([trial(3), trial(7, TrialState.FAIL, user_attrs={"interrupted": True}), trial(5)])
    reader = Reader(CODES)
    seen = reader.read(study, {})
    assert seen.rows[:, 0].tolist() == [3, 5]
    assert {np.frombuffer(key)[0] for key in reader.tried} == {3, 5}


def test_what_was_proposed_and_has_not_begun_is_running() -> None:
    study = optuna.create_study()
    number = study.ask().number
    reader = Reader(CODES)
    reader.read(study, {number: Candidate({"n": 9})})
    assert [row[0] for row in reader.running] == [9]


def test_a_trial_tells_its_interval() -> None:
    study = optuna.create_study(direction="maximize")
    for n in range(1, 8):
        wide = 3.0 if n == 4 else 0.3
        study.add_trial(trial(n, user_attrs={"ci95": wide}))
    noise = Reader(CODES).read(study, {}).noise
    assert noise.argmax() == 3
    assert noise[3] == 4


def test_costs_are_compared_among_those_that_came_as_far() -> None:
    study = optuna.create_study(direction="maximize")
    for n, seconds, steps in ((1, 1.0, (10,)), (2, 4.0, (10,)), (3, 30.0, (10, 30)), (4, 30.0, (10, 30))):
        told = dict.fromkeys(steps, float(n))
        study.add_trial(trial(n, intermediate_values=told, user_attrs={"seconds": seconds}))
    study.add_trial(trial(5, intermediate_values={10: 1.0}))
    reader = Reader(CODES)
    reader.read(study, {})
    np.testing.assert_allclose(reader.costs[:4], [-math.log(2), math.log(2), 0, 0], atol=1e-9)
    assert math.isnan(reader.costs[4])


def record(number: int, n: int, **more: Any) -> Record:
    score = Score("accuracy", n / 100, 0.0, 10, "valid")
    return Record(
        "other", number, Candidate({"n": n, "of another space": 1}), "complete", score=score, **more
    )


def test_records_tell_what_they_have_in_common_with_the_space() -> None:
    seen = of_records([record(0, 3), record(1, 99), record(2, 9), record(3, 9, parent=2)], CODES)
    assert seen.targets.argsort().tolist() == [0, 2, 1]
    assert seen.rows[[0, 2], 0].tolist() == [3, 9]
    assert math.isnan(seen.rows[1, 0])


def test_what_was_too_slow_for_another_study_is_its_worst_where_time_is_short() -> None:
    slow = replace(record(2, 9), score=None, state="failed", reason="timeout: needs about 9 s, may take 2 s")
    broken = replace(slow, number=3, reason="diverged: not a number")
    went_on = replace(slow, number=4, parent=1)  # whose score is that of its parent
    told = [record(0, 3), record(1, 20), slow, broken, went_on]
    assert of_records(told, CODES).numbers == [0, 1]
    seen = of_records(told, CODES, timed=True)
    assert seen.numbers == [0, 1, 2]
    assert seen.targets.argsort().tolist() == [2, 0, 1]
    assert of_records([slow] * 9, CODES, timed=True).numbers == []


def test_records_of_trials_that_had_equal_times_are_compared_rung_by_rung() -> None:
    """Each is at meta-steps of its own there; the one that went on is not better for that."""
    curves = [((5, 0.5),), ((40, 0.6),), ((11, 0.7), (35, 0.75)), ((90, 0.65), (250, 0.8))]
    told = [record(n, 10 * n + 1, valid_curve=curve) for n, curve in enumerate(curves)]
    seen = of_records(told, CODES)
    assert seen.missing.tolist() == [1.0, 1.0, 0.0, 0.0]
    equal = [((10, curve[0][1]), *((30, value) for _, value in curve[1:])) for curve in curves]
    same = of_records([replace(one, valid_curve=c) for one, c in zip(told, equal, strict=True)], CODES)
    np.testing.assert_array_equal(seen.targets, same.targets)


def test_what_such_records_cost_is_held_against_those_of_the_same_rung() -> None:
    told = [
        record(n, n + 1, valid_curve=((steps, 0.5),), costs=Costs(seconds=seconds))
        for n, (steps, seconds) in enumerate([(5, 1.0), (40, 4.0)])
    ]
    np.testing.assert_allclose(costs_of_records(told), [-math.log(2), math.log(2)])
