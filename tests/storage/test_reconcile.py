"""Our rows and Optuna's trials agree again, whatever was killed when, and the living are left alone."""

from __future__ import annotations

import math
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from search_spaces.candidate import Candidate
from search_spaces.errors import StoreError
from search_spaces.record import Record
from storage import Store, owner, reconcile
from storage.signs import Signs

Make = Callable[..., Record]
Sql = Callable[[str], list[tuple[Any, ...]]]
Program = Callable[[str], "subprocess.Popen[str]"]

FAR = "elsewhere[1]:12:34"
LONG_AGO = "'2020-01-01 00:00:00.000000'"


def dead() -> str:
    """An owner of this machine that is no more: this very process, had it begun at another time."""
    host, pid, _ = owner.me().rsplit(":", 2)
    return f"{host}:{pid}:1"


def states(study: optuna.Study) -> list[TrialState]:
    return [trial.state for trial in study.get_trials(deepcopy=False)]


def test_where_all_agree_nothing_happens(store: Store, study: optuna.Study, record: Make) -> None:
    trial = study.ask()
    store.start(record(trial.number))
    store.finish(record(trial.number, "complete", value=1.0))
    study.tell(trial, 1.0)
    study.enqueue_trial({"x": 1})
    assert reconcile(store, study) == []
    assert store.events("pumps") == []
    assert states(study) == [TrialState.COMPLETE, TrialState.WAITING]


def test_who_was_taken_for_dead_brings_its_result_when_it_is_back(
    store: Store, study: optuna.Study, record: Make, sql: Sql
) -> None:
    """As a machine that slept for hours; nobody else has the right to."""
    for owned in (owner.me(), FAR):
        number = study.ask().number
        store.start(record(number))
        sql(
            f"UPDATE metanas_trial SET owner = '{owned}', state = 'failed', reason = 'interrupted' "
            f"WHERE number = {number}"
        )
    store.finish(record(0, "complete", value=1.0))
    assert store.record("pumps", 0).state == "complete"
    with pytest.raises(StoreError, match="has ended already"):
        store.finish(record(1, "complete", value=1.0))


@pytest.mark.parametrize(
    ("state", "value", "told", "as_value"),
    [
        ("complete", 0.25, TrialState.COMPLETE, 0.25),
        ("complete", math.nan, TrialState.FAIL, None),
        ("complete", None, TrialState.FAIL, None),
        ("pruned", 0.5, TrialState.PRUNED, 0.75),  # Optuna takes what was reported last
        ("failed", None, TrialState.FAIL, None),
    ],
)
def test_optuna_is_told_what_we_know(
    store: Store,
    study: optuna.Study,
    record: Make,
    state: str,
    value: float | None,
    told: TrialState,
    as_value: float,
) -> None:
    trial = study.ask()
    trial.report(0.9, 1)
    trial.report(0.75, 2)
    store.start(record())
    store.finish(record(0, state, value=value))
    before = store.record("pumps", 0)
    assert reconcile(store, study) == [0]
    assert states(study) == [told]
    assert study.trials[0].value == as_value
    assert repr(store.record("pumps", 0)) == repr(before)
    (event,) = store.events("pumps")
    assert (event.what, event.trial) == ("reconciled", 0)
    assert state in event.why
    assert reconcile(store, study) == []


def test_a_dead_process_of_this_machine_is_interrupted(
    store: Store, study: optuna.Study, record: Make, sql: Sql
) -> None:
    for _ in range(3):
        store.start(record(study.ask().number))
    sql(f"UPDATE metanas_trial SET owner = '{dead()}' WHERE number <> 1")
    assert reconcile(store, study) == [0, 2]
    assert [(one.state, one.reason) for one in store.records("pumps")] == [
        ("failed", "interrupted"),
        ("running", ""),
        ("failed", "interrupted"),
    ]
    assert states(study) == [TrialState.FAIL, TrialState.RUNNING, TrialState.FAIL]
    assert ["interrupted" in trial.user_attrs for trial in study.trials] == [True, False, True]
    assert [event.trial for event in store.events("pumps")] == [0, 2]
    assert reconcile(store, study) == []


def test_another_machine_is_given_an_hour(store: Store, study: optuna.Study, record: Make, sql: Sql) -> None:
    for _ in range(2):
        store.start(record(study.ask().number))
    sql(f"UPDATE metanas_trial SET owner = '{FAR}'")
    sql(f"UPDATE metanas_trial SET touched = {LONG_AGO} WHERE number = 1")
    assert reconcile(store, study) == [1]
    assert states(study) == [TrialState.RUNNING, TrialState.FAIL]


def test_a_trial_that_waits_for_others_of_its_process_lives_as_long_as_that(
    store: Store, study: optuna.Study, record: Make, sql: Sql
) -> None:
    store.start(record(study.ask().number))
    sql(f"UPDATE metanas_trial SET owner = '{FAR}', touched = {LONG_AGO}")
    sql(f"UPDATE metanas_worker SET owner = '{FAR}'")
    assert reconcile(store, study) == []
    sql(f"UPDATE metanas_worker SET touched = {LONG_AGO}")
    assert reconcile(store, study) == [0]


def test_a_process_that_trains_for_hours_gives_signs_of_life(
    store: Store, study: optuna.Study, record: Make, sql: Sql
) -> None:
    """Which no trial ends meanwhile to give; another machine can ask for nothing else."""
    store.start(record(study.ask().number))
    sql(f"UPDATE metanas_trial SET touched = {LONG_AGO}")
    sql(f"UPDATE metanas_worker SET touched = {LONG_AGO}")
    store.give_sign_of_life()
    sql(f"UPDATE metanas_trial SET owner = '{FAR}'")
    sql(f"UPDATE metanas_worker SET owner = '{FAR}'")
    assert reconcile(store, study) == []
    assert store.record("pumps", 0).state == "running"


def test_signs_of_life_come_until_the_store_is_closed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given, again = threading.Event(), threading.Event()

    def give(store: Store) -> None:
        (again if given.is_set() else given).set()
        raise StoreError("the database is not to be had")  # this time

    monkeypatch.setattr(Store, "give_sign_of_life", give)
    monkeypatch.setattr("storage.signs.EVERY", 0.0)
    before = _signs()
    with Store.open(url) as store:
        assert _signs() == before, "who only reads is at no study"
        store.save_study("pumps", {})
        assert given.wait(60)
        assert again.wait(60)
        assert len(_signs() - before) == 1
    assert _signs() == before


def _signs() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if isinstance(thread, Signs)}


def test_a_sign_of_life_meanwhile_saves_a_trial(
    store: Store, study: optuna.Study, record: Make, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.start(record(study.ask().number))
    sql(f"UPDATE metanas_trial SET owner = '{FAR}', touched = {LONG_AGO}")
    judge = owner.alive

    def touched_while_judged(*args: Any) -> bool:
        verdict = judge(*args)
        store.touch("pumps", 0)
        return verdict

    monkeypatch.setattr("storage.owner.alive", touched_while_judged)
    assert reconcile(store, study) == []
    assert store.record("pumps", 0).state == "running"
    assert states(study) == [TrialState.RUNNING]


def test_a_trial_never_started_is_failed_in_optuna_only(store: Store, study: optuna.Study) -> None:
    study.ask()
    assert reconcile(store, study) == [0]
    assert states(study) == [TrialState.FAIL]
    assert store.records("pumps") == []
    assert [event.trial for event in store.events("pumps")] == [0]


def test_a_process_knows_whether_others_search_the_study(store: Store, study: optuna.Study, sql: Sql) -> None:
    """Then their controllers have seeds of their own."""
    assert store.company("pumps") == ()
    sql(f"UPDATE metanas_worker SET owner = '{FAR}'")
    assert store.company("pumps") == (owner.me(),)
    sql(f"UPDATE metanas_worker SET owner = '{FAR}', touched = {LONG_AGO}")
    assert store.company("pumps") == ()


def test_a_trial_just_asked_for_by_a_living_process_is_left_alone(
    store: Store, study: optuna.Study, sql: Sql
) -> None:
    study.ask()
    sql(f"UPDATE metanas_worker SET owner = '{FAR}'")
    assert reconcile(store, study) == []
    assert states(study) == [TrialState.RUNNING]
    sql(f"UPDATE trials SET datetime_start = {LONG_AGO}")  # nobody takes so long from asking to starting
    fresh = optuna.load_study(storage=store.optuna, study_name="pumps")
    assert reconcile(store, fresh) == [0]


def test_a_trial_asked_for_by_a_process_long_silent_is_failed(
    store: Store, study: optuna.Study, sql: Sql
) -> None:
    study.ask()
    sql(f"UPDATE metanas_worker SET owner = '{FAR}', touched = {LONG_AGO}")
    assert reconcile(store, study) == [0]


def test_a_living_process_tells_optuna_itself(
    store: Store, study: optuna.Study, record: Make, sql: Sql
) -> None:
    store.start(record(study.ask().number))
    store.finish(record(0, "complete", value=1.0))
    sql(f"UPDATE metanas_trial SET owner = '{FAR}'")
    assert reconcile(store, study) == []
    assert states(study) == [TrialState.RUNNING]
    sql(f"UPDATE metanas_trial SET touched = {LONG_AGO}")
    assert reconcile(store, study) == [0]
    assert states(study) == [TrialState.COMPLETE]


def test_a_running_row_that_optuna_lacks_is_interrupted(
    store: Store, study: optuna.Study, record: Make
) -> None:
    store.start(record(7))
    assert reconcile(store, study) == [7]
    assert (store.record("pumps", 7).state, store.record("pumps", 7).reason) == ("failed", "interrupted")


def test_a_running_row_that_optuna_has_ended_goes_when_its_process_has(
    store: Store, study: optuna.Study, record: Make, sql: Sql
) -> None:
    trial = study.ask()
    store.start(record(trial.number))
    study.tell(trial, 1.0)
    assert reconcile(store, study) == []
    sql(f"UPDATE metanas_trial SET owner = '{dead()}'")
    assert reconcile(store, study) == [0]
    assert store.record("pumps", 0).state == "failed"
    assert states(study) == [TrialState.COMPLETE]


def test_other_studies_are_not_looked_at(store: Store, study: optuna.Study, record: Make, sql: Sql) -> None:
    store.save_study("tanks", {})
    store.start(record(0, study="tanks"))
    sql(f"UPDATE metanas_trial SET owner = '{dead()}'")
    assert reconcile(store, study) == []
    assert store.record("tanks", 0).state == "running"


def test_optunas_study_without_ours_is_an_error(store: Store) -> None:
    theirs = optuna.create_study(storage=store.optuna, study_name="tanks")
    with pytest.raises(StoreError, match="no study 'tanks'"):
        reconcile(store, theirs)


def test_optunas_trouble_is_an_error_of_the_store(
    store: Store, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise optuna.exceptions.StorageInternalError("An exception") from OSError("database is locked")

    monkeypatch.setattr(study, "get_trials", fail)
    with pytest.raises(StoreError, match="another process holds it"):
        reconcile(store, study)


@pytest.mark.parametrize("moment", ["asked", "started", "finished"])
def test_killed_at_any_moment_then_reopened(url: str, program: Program, moment: str, sql: Sql) -> None:
    body = (
        "import optuna\n"
        "optuna.logging.set_verbosity(optuna.logging.WARNING)\n"
        "store.save_study('pumps', {})\n"
        "study = optuna.create_study(storage=store.optuna, study_name='pumps')\n"
        "trial = study.ask()\n"
        f"if {moment == 'asked'}: die()\n"
        "record = Record('pumps', 0, Candidate({'rule': 'ridge'}))\n"
        "store.start(record)\n"
        f"if {moment == 'started'}: die()\n"
        "import dataclasses\n"
        "score = Score('mse', 0.5, 0.1, 9, 'valid')\n"
        "store.finish(dataclasses.replace(record, state='complete', score=score))\n"
        "die()\n"
    )
    with program(body) as process:
        process.communicate(timeout=60)
    assert process.returncode == -9
    with Store.open(url, create=False) as store:
        store.save_study("pumps", {})
        study = optuna.load_study(storage=store.optuna, study_name="pumps")
        assert reconcile(store, study) == [0]
        told = TrialState.COMPLETE if moment == "finished" else TrialState.FAIL
        assert states(study) == [told]
        ours = [(one.state, one.reason) for one in store.records("pumps")]
        expected = {"asked": [], "started": [("failed", "interrupted")], "finished": [("complete", "")]}
        assert ours == expected[moment]
        assert reconcile(store, study) == []


def test_a_living_process_is_seen_to_live_and_to_die(
    store: Store, study: optuna.Study, program: Program
) -> None:
    study.ask()
    with program(
        "store.start(Record('pumps', 0, Candidate({'rule': 'ridge'})))\n"
        "say('started')\n"
        "sys.stdin.readline()\n"
        "die()\n"
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        assert reconcile(store, study) == []
        process.communicate("go\n", timeout=60)
    assert reconcile(store, study) == [0]
    assert store.record("pumps", 0).reason == "interrupted"


def test_candidates_of_interrupted_trials_are_kept(
    store: Store, study: optuna.Study, record: Make, sql: Sql
) -> None:
    store.start(record(study.ask().number, candidate=Candidate({"a": 1})))
    sql(f"UPDATE metanas_trial SET owner = '{dead()}'")
    reconcile(store, study)
    assert store.record("pumps", 0) == record(
        0, "failed", candidate=Candidate({"a": 1}), reason="interrupted"
    )


def test_what_was_interrupted_is_told_so_by_whoever_comes_second(
    store: Store, study: optuna.Study, record: Make, sql: Sql
) -> None:
    """Killed between our row and Optuna's attribute: it says nothing of the candidate, then too."""
    trial = study.ask()
    store.start(record(trial.number))
    sql(f"UPDATE metanas_trial SET owner = '{dead()}', state = 'failed', reason = 'interrupted'")
    assert reconcile(store, study) == [trial.number]
    assert study.trials[0].user_attrs["interrupted"]
    assert states(study) == [TrialState.FAIL]
