"""The search loop, with an evaluator that trains nothing: what is kept, told, promoted and mended."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState

from controllers import random as random_controller
from controllers.interface import CandidateSampler, candidate_of
from controllers.pruning import successive_halving
from metanas.budget import FINISH, SEARCH, Budget
from metanas.evaluator import Ended, Evaluator, Job, Outcome, Setting
from metanas.finish import finish, winner_of
from metanas.learner.weights import unpack
from metanas.memory import Memory
from metanas.search import Moment, Search
from metanas.seeds import derive
from metanas.standings import best_of
from metanas.tasks.families import sinusoid
from metanas.tasks.family import Source
from metanas.training import Checkpoint
from search_spaces import Candidate, Categorical, Costs, Record, Score, Space, catalogue
from search_spaces.errors import EvaluationError, StoreError
from search_spaces.space import Forbidden

CPU = torch.device("cpu")
RUNGS = (10, 30, 90)
SEED = 7
_PATIENT = 1000  # meta-steps that a patient job makes in the time it may take
SIGNATURE = sinusoid.build(Source()).signature(None, 5)
SPACE = catalogue.space("closed-form", SIGNATURE)
NUMBERS = {derive(SEED, "trial", number): number for number in range(500)}

# (number of a trial, rung) → its validation score, or how it ended; raises what is not the trial's fault
Script = Callable[[int, int], float | Ended]


class Scripted(Evaluator):
    """Trains nothing: a script says what becomes of a trial at a rung.

    The weights that it "trains" are the trial's number and the rung, so that it shows which were kept.
    """

    def __init__(self, script: Script, tick: Callable[[], None] = lambda: None) -> None:
        super().__init__(sinusoid.build(Source()), SIGNATURE, Setting(1, 5, 5), CPU, valid_tasks=2)
        self._script, self._tick = script, tick
        self.asked: list[tuple[int, list[int]]] = []
        self.allowed: list[float] = []
        self.patient = False

    def evaluate(
        self,
        jobs: Sequence[Job],
        until: int,
        rate: Any,
        seconds: Callable[[], float],
        *,
        patient: bool = False,
    ) -> Iterator[tuple[int, Outcome]]:
        self.asked.append((until, [NUMBERS[job.seed] for job in jobs]))
        for i, job in enumerate(jobs):
            self.allowed.append(seconds())
            self._tick()
            done = job.checkpoint.step if job.checkpoint else 0
            self.patient = patient
            yield i, self._outcome(job, min(until, done + _PATIENT) if patient else until)

    def _outcome(self, job: Job, until: int) -> Outcome:
        number = NUMBERS[job.seed]
        found = self._script(number, until)
        if isinstance(found, str):
            return Outcome(job, found, f"at {until}", seconds=1.0, ms=1.0)
        program = self.engine(job.candidate).program
        start = job.checkpoint or Checkpoint.start(program, job.seed, CPU)
        trained = replace(start, average=torch.full_like(start.average, number + until / 1000), step=until)
        return Outcome(job, "scored", "", trained, Score("mse", found, 0.1, 2, "valid"), 1.0, 1.0)

    def costs(self, candidate: Candidate, checkpoint: Checkpoint, seconds: float) -> Costs:
        return Costs(seconds, 1, 2, 3, 4.0)


@dataclass
class Kept:
    """A store in memory."""

    rows: dict[int, Record] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)
    events: list[tuple[str, str, int | None]] = field(default_factory=list)
    on_finish: Callable[[Record], None] = lambda record: None
    on_start: Callable[[Record], None] = lambda record: None

    def start(self, record: Record) -> None:
        self.on_start(record)
        assert record.number not in self.rows
        self.rows[record.number] = record

    def touch(self, study: str, number: int) -> None:
        assert self.rows[number].state == "running"

    def finish(self, record: Record) -> None:
        self.on_finish(record)
        if self.rows[record.number].state != "running":
            raise StoreError("has ended already")
        self.rows[record.number] = record

    def records(self, study: str) -> list[Record]:
        return list(self.rows.values())

    def put(self, data: bytes, kind: str) -> str:
        self.data[str(hash(data))] = data
        return str(hash(data))

    def get(self, sha: str) -> bytes:
        return self.data[sha]

    def log(self, study: str, what: str, why: str = "", trial: int | None = None) -> None:
        self.events.append((what, why, trial))

    def look(self, study: str) -> int:
        return 1

    def save_result(self, study: str, result: Mapping[str, Any]) -> None: ...


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def go(self, seconds: float) -> Callable[[], None]:
        return lambda: setattr(self, "now", self.now + seconds)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def make(
    script: Script,
    *,
    space: Space = SPACE,
    sampler: optuna.samplers.BaseSampler | None = None,
    study: optuna.Study | None = None,
    memory: Memory | None = None,
    tick: Callable[[], None] = lambda: None,
    rungs: tuple[int, ...] = RUNGS,
    listen: Callable[[Moment], None] = lambda moment: None,
    by_time: bool = False,
) -> Search:
    sampler = sampler or random_controller.build(space, 0)
    study = study or optuna.create_study(sampler=sampler, pruner=successive_halving(rungs))
    evaluator = Scripted(script, tick)
    return Search("s", space, study, memory or Kept(), evaluator, rungs, SEED, listen, by_time=by_time)


def weights_of(search: Search, record: Record) -> set[float]:
    """Who trained the weights that were kept: number + rung / 1000."""
    assert record.weights is not None
    program = search.evaluator.engine(record.candidate).program
    return {round(float(value), 4) for value in unpack(program, search.memory.get(record.weights))[0]}


def states(search: Search) -> dict[int, tuple[str, str]]:
    return {record.number: (record.state, record.reason) for record in search.memory.records("s")}


def told(search: Search) -> dict[int, TrialState]:
    return {trial.number: trial.state for trial in search.study.get_trials(deepcopy=False)}


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


def test_any_other_error_ends_the_running_trials_too() -> None:
    def listen(moment: Moment) -> None:
        if moment.ended:
            raise BrokenPipeError

    search = make(lambda number, rung: 1.0, listen=listen)
    with pytest.raises(BrokenPipeError):
        search.run(Budget(trials=2))
    assert "running" not in {state for state, _ in states(search).values()}


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


# budget


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


def test_by_time_without_seconds_is_by_steps() -> None:
    search: Any = make(lambda number, at: 1.0 / at, by_time=True)
    search.run(Budget(trials=6))
    assert {until for until, _ in search.evaluator.asked} == set(RUNGS)
    assert set(search.evaluator.allowed) == {np.inf}


# going on with the winner


def searched(child: float | Ended, **options: Any) -> Search:
    """A search of two trials, of which the second, with 0.5, is the better; going on comes to ``child``."""
    search = make(lambda number, rung: child if number > 1 else 1.0 - number / 2, **options)
    search.run(Budget(trials=2))
    return search


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
