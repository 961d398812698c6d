"""Studies: their settings, their log, their looks, their results; artifacts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from search_spaces.errors import StoreError
from search_spaces.record import Record
from storage import Store, studies

Sql = Callable[[str], list[tuple[Any, ...]]]


def test_equal_settings_are_saved_once(store: Store) -> None:
    store.save_study("pumps", {"trials": 20})
    assert [summary.name for summary in store.studies()] == ["pumps"]


def test_settings_come_back_as_json_has_them(store: Store) -> None:
    given = {"shots": (1, 5), "name": "Füllstand \ud800 \x00", "rate": math.nan, "deep": {"a": None}}
    store.save_study("tanks", given)
    store.save_study("tanks", given)  # NaN is the same setting, though not equal to itself
    found = store.settings("tanks")
    assert math.isnan(found.pop("rate"))
    assert found == {"shots": [1, 5], "name": "Füllstand \ud800 \x00", "deep": {"a": None}}


def test_other_settings_are_refused_and_named(store: Store) -> None:
    with pytest.raises(StoreError, match=r"trials: 20, now 30; seed: not set, now 1\).*another --study"):
        store.save_study("pumps", {"trials": 30, "seed": 1})
    assert store.settings("pumps") == {"trials": 20}


def test_a_setting_left_out_is_a_difference(store: Store) -> None:
    with pytest.raises(StoreError, match="trials: 20, now not set"):
        store.save_study("pumps", {})


def test_settings_that_are_not_plain_are_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="should be plain"):
        store.save_study("tanks", {"family": object()})
    assert [summary.name for summary in store.studies()] == ["pumps"]


@pytest.mark.parametrize("name", ["", "a\nb", "a\x00", "\ud800", "x" * 513])
def test_unprintable_names_are_refused(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="printable"):
        store.save_study(name, {})


def test_an_unknown_study_lists_the_nearest_first(store: Store) -> None:
    for name in ("wells", "pump-2", "sites"):
        store.save_study(name, {})
    with pytest.raises(
        StoreError, match=r"no study 'pump' in the store; known: (pumps, pump-2|pump-2, pumps), "
    ):
        store.settings("pump")


def test_an_unknown_study_is_an_error_everywhere(store: Store, record: Callable[..., Record]) -> None:
    asked: list[Callable[[], object]] = [
        lambda: store.start(record(study="tanks")),
        lambda: store.finish(record(study="tanks", state="failed")),
        lambda: store.touch("tanks", 0),
        lambda: store.record("tanks", 0),
        lambda: store.records("tanks"),
        lambda: store.log("tanks", "x"),
        lambda: store.events("tanks"),
        lambda: store.look("tanks"),
        lambda: store.save_result("tanks", {}),
        lambda: store.results("tanks"),
        lambda: store.settings("\ud800"),
    ]
    for ask in asked:
        with pytest.raises(StoreError):
            ask()


def test_studies_count_trials_by_state(store: Store, record: Callable[..., Record]) -> None:
    store.save_study("empty", {})
    for number, state in enumerate(["complete", "pruned", "pruned", "failed", "failed", "failed", "running"]):
        store.start(record(number))
        if state != "running":
            store.finish(record(number, state))
    pumps, empty = store.studies()
    assert (pumps.complete, pumps.pruned, pumps.failed, pumps.running) == (1, 2, 3, 1)
    assert (empty.complete, empty.pruned, empty.failed, empty.running) == (0, 0, 0, 0)
    assert pumps.settings == {"trials": 20}
    assert pumps.created.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - pumps.created) < timedelta(minutes=2)


def test_the_log_keeps_order_and_takes_any_text(store: Store) -> None:
    store.log("pumps", "began")
    store.log("pumps", "warned", "no memory: \udcff\x00 Füllstand", trial=3)
    first, second = store.events("pumps")
    assert (first.what, first.why, first.trial) == ("began", "", None)
    assert (second.what, second.why, second.trial) == ("warned", "no memory: \\udcff\\x00 Füllstand", 3)
    assert first.at <= second.at
    assert first.at.utcoffset() == timedelta(0)


def test_looks_at_stored_data_are_counted_over_the_studies_of_it(store: Store) -> None:
    """Another name for the study makes the same test tasks no fresher; other data, or none stored, does."""
    pumps = {"name": "table", "content": "abc", "division": "d"}
    for name, family in (("a", pumps), ("b", pumps), ("c", pumps | {"division": "e"}), ("d", {"name": "x"})):
        store.save_study(name, {"family": family})
    assert [store.look(name) for name in "aabcdd"] == [1, 2, 3, 1, 1, 2]
    store.save_study("few", {"family": pumps | {"features": ["load"]}})
    store.save_study("mix", {"family": {"name": "a + b", "mixed": [{"name": "x"}, pumps]}})
    assert [store.look("few"), store.look("mix"), store.look("a")] == [4, 5, 6]


def test_looks_are_counted_by_study(store: Store) -> None:
    store.save_study("tanks", {})
    assert [store.look("pumps"), store.look("pumps"), store.look("tanks"), store.look("pumps")] == [
        1,
        2,
        1,
        3,
    ]


def test_results_come_back_oldest_first(store: Store) -> None:
    store.save_result("pumps", {"winner": 3, "gain": math.inf})
    store.save_result("pumps", {"winner": 7})
    assert store.results("pumps") == [{"winner": 3, "gain": math.inf}, {"winner": 7}]


def test_artifacts_are_kept_once_by_their_hash(store: Store, sql: Sql) -> None:
    data = bytes(range(256)) * 40
    sha = store.put(data, "weights")
    assert sha == hashlib.sha256(data).hexdigest() == store.put(data, "snapshot")
    assert store.get(sha) == data
    assert sql("SELECT kind, size FROM metanas_artifact") == [("weights", len(data))]
    assert store.get(store.put(b"", "nothing")) == b""


def test_an_absent_artifact_is_an_error(store: Store) -> None:
    with pytest.raises(StoreError, match="no artifact 000000000000"):
        store.get("0" * 64)


def test_an_altered_artifact_is_an_error(store: Store, sql: Sql) -> None:
    sha = store.put(b"weights", "weights")
    sql("UPDATE metanas_artifact SET data = CAST('weight5' AS BLOB)" if "sqlite" in store.url
        else "UPDATE metanas_artifact SET data = 'weight5'")  # fmt: skip
    with pytest.raises(StoreError, match="was altered"):
        store.get(sha)


def test_a_closed_store_says_goodbye_once(url: str, sql: Sql) -> None:
    store = Store.open(url)
    store.save_study("pumps", {})
    assert store.optuna is store.optuna
    assert len(sql("SELECT owner FROM metanas_worker")) == 1
    store.close()
    store.close()
    assert sql("SELECT owner FROM metanas_worker") == []


def test_who_leaves_one_study_leaves_no_other(url: str, sql: Sql) -> None:
    with Store.open(url) as store:
        for name in ("pumps", "wells"):
            store.save_study(name, {})
        with store.session(writes=True) as session:
            studies.leave(session, {"pumps"})
        assert len(sql("SELECT owner FROM metanas_worker")) == 1
        sql("UPDATE metanas_worker SET owner = 'far:1:1'")
        with store.session(writes=True) as session:
            studies.leave(session, {"wells"})
        assert sql("SELECT owner FROM metanas_worker") == [("far:1:1",)], "it is not ours to say"


def test_what_ended_is_counted_by_study(store: Store) -> None:
    store.save_study("wells", {})
    store.save_result("wells", {"a": 1})
    assert store.ended("pumps") == (0, 0)
    assert store.ended("wells") == (0, 1)
