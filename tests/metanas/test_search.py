"""The search loop, with an evaluator that trains nothing: what is kept, told, promoted and mended."""

from __future__ import annotations

import json
import signal
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from controllers import random as random_controller
from controllers.interface import CandidateSampler, candidate_of
from controllers.pruning import successive_halving
from metanas.budget import Budget
from metanas.evaluator import Ended
from metanas.finish import winner_of
from metanas.origins import PROPOSED, RECIPE
from metanas.proposals import Proposals, counts
from metanas.search import Moment
from search_spaces import Candidate, Categorical, Costs, Record, Score, Space
from search_spaces.errors import EvaluationError, StoreError
from search_spaces.space import Forbidden
from tests.metanas.scripted import (
    RUNGS,
    SPACE,
    Clock,
    Kept,
    Scripted,
    make,
    states,
    told,
    weights_of,
)
from tests.metanas.scripted import _quiet as _quiet


def test_whatever_befalls_a_trial_is_recorded_and_the_others_go_on() -> None:
    ends: dict[int, float | Ended] = {1: "diverged", 2: "timeout", 3: "out of memory", 4: "error"}
    search = make(lambda number, rung: ends.get(number, 1.0 / rung))
    search.run(Budget(trials=5))
    found = states(search)
    assert found[0] == ("complete", "rung 3 of 3")
    assert {found[n] for n in ends} == {
        ("failed", f"{end}: at 10") for end in ("diverged", "timeout", "out of memory", "error")
    }
    assert told(search) == {0: TrialState.COMPLETE} | dict.fromkeys(range(1, 5), TrialState.FAIL)
    failed = search.memory.records("s")[1]
    assert (failed.score, failed.weights, failed.rung) == (None, None, 0)


def test_a_trial_that_optuna_was_told_of_by_another_ends_all_the_same() -> None:
    """By a process that took this one for dead, since it had been silent for too long."""
    search = make(lambda number, rung: 1.0)
    live = search.begin()
    search.study.tell(live.trial.number, state=TrialState.FAIL)
    assert search.end(live, "failed", "whatever").reason == "whatever"
    search.run(Budget(trials=2))
    assert len(search.records) == 3


def test_if_nothing_could_be_scored_the_commonest_reason_is_said() -> None:
    search = make(lambda number, rung: "diverged" if number % 3 else "out of memory")
    with pytest.raises(EvaluationError, match="none of 7 trials could be scored; most often: diverged: at"):
        search.run(Budget(trials=7))
    assert set(told(search).values()) == {TrialState.FAIL}
    with pytest.raises(EvaluationError, match="has no scored trial yet"):
        winner_of(search)


def test_if_all_are_too_slow_for_the_first_rung_one_is_scored_where_it_comes_to() -> None:
    clock = Clock()
    search: Any = make(
        lambda number, rung: 0.5 if search.evaluator.patient else "timeout", tick=clock.go(5.0)
    )
    search.run(Budget(60.0, clock=clock))
    assert [record.number for record in search.records if record.score] == [len(search.records) - 1]
    assert search.best.parent is not None
    assert search.best.candidate == search.records[search.best.parent].candidate
    assert winner_of(search).record is search.best


def test_a_search_in_which_everything_fails_at_once_ends_before_its_budget() -> None:
    clock = Clock()
    search = make(lambda number, rung: "error", tick=clock.go(0.001))
    with pytest.raises(EvaluationError, match="most often: error"):
        search.run(Budget(600.0, clock=clock))
    assert len(search.records) < 100


def test_the_best_go_on_first_and_the_pruned_keep_score_and_weights() -> None:
    search = make(lambda number, rung: 6.0 - number + 1 / rung)  # the last is the best
    search.run(Budget(trials=6))
    found = {record.number: record for record in search.memory.records("s")}
    assert [n for n, record in found.items() if record.state == "complete"] == [5]
    for number in range(5):
        record = found[number]
        assert (record.state, record.reason, record.rung) == ("pruned", "rung 1 of 3", 10)
        assert record.score is not None
        assert record.score.value == pytest.approx(6.1 - number)
        assert weights_of(search, record) == {round(number + 0.01, 4)}
    evaluator: Any = search.evaluator
    assert [(rung, len(numbers)) for rung, numbers in evaluator.asked] == [(10, 6), (30, 1), (90, 1)]


def test_every_rung_is_in_the_curve_and_in_optuna() -> None:
    search = make(lambda number, rung: 1.0 / rung)
    search.run(Budget(trials=1))
    (record,) = search.memory.records("s")
    curve = tuple((rung, 1.0 / rung) for rung in RUNGS)
    assert record.valid_curve == curve
    (trial,) = search.study.get_trials()
    assert (trial.value, tuple(trial.intermediate_values.items())) == (1 / 90, curve)
    assert candidate_of(trial, SPACE) == record.candidate  # the trial's parameters are the candidate
    assert record.score is not None
    assert trial.user_attrs["ci95"] == record.score.ci95
    assert trial.user_attrs["rule"].startswith(str(record.candidate["rule"]))  # in words, for the dashboard
    assert record.costs == Costs(3.0, 1, 2, 3, 4.0)  # of three rungs


def test_one_that_times_out_at_a_later_rung_keeps_its_earlier_score() -> None:
    search = make(lambda number, rung: 0.5 if rung == 10 else "timeout")
    search.run(Budget(trials=1))
    (record,) = search.memory.records("s")
    assert (record.state, record.reason, record.rung) == ("pruned", "timeout: at 30", 10)
    assert record.score is not None
    assert record.score.value == 0.5
    assert weights_of(search, record) == {0.01}
    assert told(search) == {0: TrialState.PRUNED}


def test_one_that_gets_worse_keeps_its_best() -> None:
    search = make(lambda number, rung: {10: 0.5, 30: 0.2, 90: 0.4}[rung])
    search.run(Budget(trials=1))
    (record,) = search.memory.records("s")
    assert (record.state, record.rung) == ("complete", 30)
    assert weights_of(search, record) == {0.03}
    assert [value for _, value in record.valid_curve] == [0.5, 0.2, 0.4]


def test_our_row_is_written_before_optuna_is_told() -> None:
    seen = []

    def look(record: Record) -> None:
        seen.append((record.number, record.state, told(search)[record.number]))

    memory = Kept(on_start=look, on_finish=look)
    search = make(lambda number, rung: "error" if number == 1 else 1.0, memory=memory)
    search.run(Budget(trials=2))
    assert {(number, state) for number, state, _ in seen} == {
        (0, "running"),
        (0, "complete"),
        (1, "running"),
        (1, "failed"),
    }
    assert {state for _, _, state in seen} == {TrialState.RUNNING}


def test_optuna_is_not_told_what_we_could_not_write() -> None:
    def refuse(record: Record) -> None:
        raise StoreError("the disk is full")

    search = make(lambda number, rung: 1.0, memory=Kept(on_finish=refuse))
    with pytest.raises(StoreError, match="the disk is full"):
        search.run(Budget(trials=1))
    assert told(search) == {0: TrialState.RUNNING}  # for the next one to mend
    assert search.memory.records("s")[0].state == "running"


def test_ctrl_c_keeps_what_is_scored_and_says_so() -> None:
    def script(number: int, rung: int) -> float | Ended:
        if number == 2:
            raise KeyboardInterrupt
        return 1.0

    search = make(script)
    with pytest.raises(KeyboardInterrupt):
        search.run(Budget(trials=4))
    assert states(search) == {n: ("pruned" if n < 2 else "failed", "interrupted") for n in range(4)}
    assert TrialState.RUNNING not in told(search).values()
    assert search.running == []
    assert search.best is not None
    assert weights_of(search, search.best) == {0.01}


def test_ctrl_c_is_ctrl_c_even_if_the_store_refuses_what_it_ends() -> None:
    def press(number: int, rung: int) -> float:
        raise KeyboardInterrupt

    def refuse(record: Record) -> None:
        refused.append(record.number)
        raise StoreError("the disk is full")

    refused: list[int] = []
    search = make(press, memory=Kept(on_finish=refuse))
    with pytest.raises(KeyboardInterrupt):
        search.run(Budget(trials=3))
    assert refused == [0, 1, 2]  # each had its chance


def test_of_a_study_deleted_in_optuna_meanwhile_every_trial_is_ended_in_ours() -> None:
    def delete(number: int, rung: int) -> float:
        optuna.delete_study(study_name=search.study.study_name, storage=search.study._storage)
        return 1.0

    search = make(delete)
    with pytest.raises(KeyError):
        search.run(Budget(trials=3))
    assert {record.state for record in search.memory.records(search.name)} <= {"pruned", "failed"}
    assert len(search.memory.records(search.name)) == 3


@pytest.mark.parametrize("first", [BrokenPipeError, KeyboardInterrupt])
def test_any_other_error_ends_the_running_trials_too(first: type[BaseException]) -> None:
    """Though nobody listens any more: Ctrl-C ends the program that a search is piped to as well."""

    def listen(moment: Moment) -> None:
        if moment.ended:
            raise BrokenPipeError

    def score(number: int, rung: int) -> float:
        if first is KeyboardInterrupt and (number, rung) == (2, 30):
            raise KeyboardInterrupt
        return 1.0

    search = make(score, listen=listen)
    with pytest.raises(first):
        search.run(Budget(trials=5))
    kept = states(search)
    assert len(kept) == 5
    assert "running" not in {state for state, _ in kept.values()}
    assert TrialState.RUNNING not in told(search).values()


@pytest.mark.parametrize("where", ["on_start", "on_finish"])
def test_ctrl_c_while_a_trial_is_written_waits_until_optuna_knows(where: str) -> None:
    def press(record: Record) -> None:
        if len(pressed) < 1 and record.number == 0:
            pressed.append(record)
            signal.raise_signal(signal.SIGINT)

    pressed: list[Record] = []
    search = make(lambda number, rung: 1.0, memory=Kept(**{where: press}))
    with pytest.raises(KeyboardInterrupt):
        search.run(Budget(trials=1))
    (record,) = search.memory.records("s")
    assert record.state == ("failed" if where == "on_start" else "complete")
    assert told(search) == {0: TrialState.FAIL if where == "on_start" else TrialState.COMPLETE}


def test_costs_that_cannot_be_measured_cost_no_score() -> None:
    search = make(lambda number, rung: 1.0)

    def fail(*_: object) -> Costs:
        raise RuntimeError("no counter for this operation")

    search.evaluator.costs = fail  # type: ignore[method-assign]
    search.run(Budget(trials=1))
    (record,) = search.memory.records("s")
    assert record.state == "complete"
    assert (record.costs.seconds, record.costs.parameters) == (3.0, None)
    memory: Any = search.memory
    assert memory.events == [("costs not measured", "RuntimeError('no counter for this operation')", 0)]


PAIRS = Space(
    "pairs",
    (
        Categorical("architecture", ("mlp",)),
        Categorical("left", (0, 1)),
        Categorical("right", (0, 1)),
    ),
    (Forbidden({"left": (1,), "right": (1,)}, "not both"),),
)


class Stubborn(CandidateSampler):
    """Proposes what is forbidden so many times."""

    def __init__(self, space: Space, times: float) -> None:
        super().__init__(space, 0)
        self.left = times

    def propose(self, study: optuna.Study) -> Candidate:
        self.left -= 1
        return Candidate({"architecture": "mlp", "left": 1, "right": int(self.left >= 0)})


def test_illegal_proposals_are_neither_trained_nor_counted() -> None:
    search = make(lambda number, rung: "error", space=PAIRS, sampler=Stubborn(PAIRS, 3))
    with pytest.raises(EvaluationError, match="none of 2 trials"):
        search.run(Budget(trials=2))
    assert list(states(search)) == [3, 4]
    refused = search.study.get_trials()[:3]
    assert {(trial.state, trial.user_attrs["illegal"]) for trial in refused} == {
        (TrialState.FAIL, "not both")
    }


def test_a_space_without_room_is_said() -> None:
    search = make(lambda number, rung: 1.0, space=PAIRS, sampler=Stubborn(PAIRS, np.inf))
    with pytest.raises(EvaluationError, match="the space leaves no room"):
        search.run(Budget(trials=1))
    assert search.memory.records("s") == []


def test_whoever_watches_is_told_of_every_trial_once_and_of_the_best() -> None:
    moments: list[Moment] = []
    search = make(lambda number, rung: "error" if number == 1 else 1.0 - number / 10, listen=moments.append)
    search.run(Budget(trials=3))
    ended = [moment.ended.number for moment in moments if moment.ended]
    assert sorted(ended) == [0, 1, 2]
    last = moments[-1]
    assert sum(last.counts.values()) == 3
    assert last.best is not None
    assert last.best.number == 2
    assert any("rung 1 of 3, trials 0, 1, 2" in moment.doing for moment in moments)


def test_a_second_run_knows_the_first() -> None:
    first = make(lambda number, rung: 1.0 - number / 10)
    first.run(Budget(trials=2))
    again = make(lambda number, rung: 5.0, study=first.study, memory=first.memory)
    assert again.best == first.best
    again.run(Budget(trials=1))
    assert sorted(states(again)) == [0, 1, 2]
    assert again.best is not None
    assert again.best.number == 1


def test_a_study_with_a_score_does_not_fail_if_new_trials_do() -> None:
    first = make(lambda number, rung: 1.0)
    first.run(Budget(trials=1))
    make(lambda number, rung: "error", study=first.study, memory=first.memory).run(Budget(trials=2))


def test_what_a_person_put_into_the_queue_is_told_from_what_a_controller_chose() -> None:
    search = make(lambda n, rung: 1.0)
    candidate = search.space.sample(np.random.default_rng(0))
    search.study.enqueue_trial(dict(candidate))
    search.run(Budget(trials=2))
    memory: Any = search.memory
    reasons = {trial: json.loads(why) for what, why, trial in memory.events if what == PROPOSED}
    assert reasons.keys() == {0}, "random gives no reasons"
    assert reasons[0] == {"by": "user", "how": "enqueued", "given": sorted(candidate)}


def test_a_recipe_that_was_in_the_way_of_what_goes_on_is_tried_by_the_next_run() -> None:
    """The study hands out what waits in its order, also to whoever asks for the winner to go on."""
    search = make(lambda n, rung: 1.0)
    candidate = search.space.sample(np.random.default_rng(0))
    search.study.enqueue_trial(dict(candidate), user_attrs={RECIPE: "maml"})
    Proposals(search.study, search.space, 0, search.aims).again(candidate, 7)
    waiting, going = search.study.get_trials()
    assert waiting.state == TrialState.FAIL
    assert not counts(waiting)
    assert going.user_attrs["parent"] == 7


def test_of_accuracies_the_highest_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scripted, "higher_is_better", True)
    monkeypatch.setattr("tests.metanas.scripted.Score", lambda metric, *rest: Score("accuracy", *rest))
    pruner = successive_halving(RUNGS)
    sampler = random_controller.build(SPACE, 0)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    search = make(lambda number, rung: number / 10, study=study)
    search.run(Budget(trials=6))
    assert [n for n, (state, _) in states(search).items() if state == "complete"] == [5]
    assert winner_of(search).record.number == 5
