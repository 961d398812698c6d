"""Trials: what goes in comes out, once, whole, in few queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search_spaces.candidate import Candidate
from search_spaces.errors import StoreError
from search_spaces.record import Costs, Record, Score
from storage import Store

Make = Callable[..., Record]

whole = st.integers(-(2**63), 2**63 - 1)
small = st.integers(0, 2**31 - 1)
real = st.floats()  # NaN and both infinities included: trials diverge
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
word = text.map(lambda value: value[:64])
plain = st.one_of(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
curves = st.lists(st.tuples(small, real), max_size=5).map(tuple)
scores = st.builds(Score, word, real, real, small, word, st.none() | st.booleans())
costs = st.builds(
    Costs, real, st.none() | st.integers(), st.none() | small, st.none() | small, st.none() | real
)
records = st.builds(
    Record,
    study=st.just("pumps"),
    number=st.just(0),
    candidate=st.dictionaries(st.text(), plain, max_size=5).map(Candidate),
    state=st.sampled_from(["complete", "pruned", "failed"]),
    reason=text,
    rung=whole,
    score=st.none() | scores,
    curve=curves,
    valid_curve=curves,
    costs=costs,
    seed=whole,
    parent=st.none() | small,
    weights=st.none(),
    versions=st.dictionaries(st.text(), st.text(), max_size=3),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(str(tmp_path_factory.mktemp("shared") / "runs.db")) as opened:
        opened.save_study("pumps", {})
        yield opened


@given(record=records)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_record_comes_back_as_it_went_in(shared: Store, record: Record) -> None:
    record = replace(record, number=len(shared.records("pumps")))
    begun = replace(record, state="running")
    shared.start(begun)
    # As text, for NaN is not equal to itself; and -0.0, which SQLite makes 0.0, is equal to it.
    assert _text(shared.record("pumps", record.number)) == _text(begun)
    shared.finish(record)
    assert _text(shared.record("pumps", record.number)) == _text(record)
    assert shared.record("pumps", record.number).candidate.id == record.candidate.id


def _text(record: Record) -> str:
    return repr(record).replace("=-0.0", "=0.0")


def test_a_score_may_be_taken_back_or_replaced(store: Store, record: Make) -> None:
    for number, value in enumerate([None, 0.5]):
        store.start(record(number, value=1.0))
        store.finish(record(number, "complete", value=value))
        assert store.record("pumps", number) == record(number, "complete", value=value)


def test_weights_are_those_of_the_store(store: Store, record: Make) -> None:
    sha = store.put(b"weights", "weights")
    store.start(record())
    with pytest.raises(StoreError, match="the weights of trial 0 of study 'pumps' are not in the store"):
        store.finish(record(state="complete", weights="0" * 64))
    store.finish(record(state="complete", weights=sha))
    assert store.record("pumps", 0).weights == sha


def test_a_candidate_is_stored_once(store: Store, record: Make, sql: Callable[[str], Any]) -> None:
    store.save_study("tanks", {})
    store.start(record(0, candidate=Candidate({"a": 1, "b": 2.0})))
    store.start(record(1, candidate=Candidate({"b": 2.0, "a": 1})))
    store.start(record(0, study="tanks", candidate=Candidate({"a": 1, "b": 2.0})))
    store.finish(record(0, "failed", candidate=Candidate({"a": 1, "b": 2.0})))
    stored = Candidate({"a": 1, "b": 2.0})
    assert sql("SELECT id, text FROM metanas_candidate") == [(stored.id, stored.to_json())]


def test_numpys_numbers_are_numbers(store: Store, record: Make) -> None:
    score = Score("mse", np.float32(0.5), np.float64(0.1), np.int64(7), "valid", np.bool_(True))  # type: ignore[arg-type]
    curve = ((np.int64(3), np.float32(0.25)),)
    store.start(record(np.int64(0), seed=np.int64(5), rung=np.int64(6), score=score, curve=curve))
    found = store.record("pumps", 0)
    assert (found.number, found.seed, found.rung, found.curve) == (0, 5, 6, ((3, 0.25),))
    assert found.score == Score("mse", 0.5, 0.1, 7, "valid", True)
    assert [type(value) for value in (found.seed, found.rung)] == [int, int]


def test_odd_text_in_a_reason_is_written_out(store: Store, record: Make) -> None:
    store.start(record(reason="cannot read \udcff\x00"))
    assert store.record("pumps", 0).reason == "cannot read \\udcff\\x00"


def test_a_number_is_used_once(store: Store, record: Make) -> None:
    store.start(record(candidate=Candidate({"first": True})))
    with pytest.raises(StoreError, match="trial 0 of study 'pumps' was started already"):
        store.start(record(candidate=Candidate({"first": False})))
    assert store.record("pumps", 0).candidate == Candidate({"first": True})


def test_what_has_ended_stays_as_it_ended(store: Store, record: Make) -> None:
    store.start(record())
    store.finish(record(state="complete", value=1.0, reason="rung 3 of 3"))
    with pytest.raises(StoreError, match=r"has ended already: complete \(rung 3 of 3\)"):
        store.finish(record(state="failed"))
    assert store.record("pumps", 0).state == "complete"


@pytest.mark.parametrize("state", ["complete", "pruned", "failed"])
def test_only_what_runs_can_start(store: Store, record: Make, state: str) -> None:
    with pytest.raises(StoreError, match="should be 'running'"):
        store.start(record(state=state))
    assert store.records("pumps") == []


def test_only_what_was_started_can_finish(store: Store, record: Make) -> None:
    with pytest.raises(StoreError, match="never started"):
        store.finish(record(state="complete"))
    store.start(record())
    with pytest.raises(StoreError, match="cannot finish as 'running'"):
        store.finish(record())


def test_a_seed_of_more_than_64_bits_is_an_error_and_leaves_nothing(store: Store, record: Make) -> None:
    with pytest.raises(StoreError, match=r"runs\.db|metanas_"):
        store.start(record(seed=2**70))
    assert store.records("pumps") == []


def test_an_unknown_trial_is_an_error(store: Store) -> None:
    for ask in (store.record, store.touch):
        with pytest.raises(StoreError, match="no trial 3 in study 'pumps'"):
            ask("pumps", 3)


def test_touching_moves_the_last_sign_of_life(store: Store, record: Make, sql: Callable[[str], Any]) -> None:
    def touched() -> Any:
        return sql("SELECT t.touched, w.touched FROM metanas_trial t, metanas_worker w")[0]

    store.start(record())
    seen = [touched()]
    store.touch("pumps", 0)
    seen.append(touched())
    store.finish(record(state="failed"))
    seen.append(touched())
    for before, after in pairwise(seen):
        assert before[0] < after[0]  # the trial's
        assert before[1] < after[1]  # the process's
    store.touch("pumps", 0)
    assert touched() == seen[-1]


def test_records_are_sorted_and_take_few_queries(store: Store, record: Make) -> None:
    for number in (5, 2, 9, 0):
        store.start(record(number, value=number / 2, candidate=Candidate({"n": number})))
    asked: list[str] = []
    sa.event.listen(store._engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    found = store.records("pumps")
    assert [(one.number, one.candidate["n"]) for one in found] == [(0, 0), (2, 2), (5, 5), (9, 9)]
    assert [one.score.value for one in found if one.score] == [0, 1, 2.5, 4.5]
    assert len([statement for statement in asked if statement.startswith("SELECT")]) == 2


def test_old_rows_without_a_newer_field_have_its_default(
    store: Store, record: Make, sql: Callable[[str], Any]
) -> None:
    store.start(record(costs=Costs(seconds=2.0, parameters=9)))
    sql(
        """UPDATE metanas_trial SET costs = '{"seconds": 2.0, "unheard_of": 1}'""".replace(
            ": 1", "\\: 1"
        ).replace(": 2", "\\: 2")
    )
    assert store.record("pumps", 0).costs == Costs(seconds=2.0)


def test_a_failing_write_leaves_nothing(
    tmp_path: Path, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(str(tmp_path / "runs.db")) as store:
        store.save_study("pumps", {})
        monkeypatch.setattr("storage.trials._sign_of_life", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.start(record())
        monkeypatch.undo()
        assert store.records("pumps") == []
