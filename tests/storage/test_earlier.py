"""What other studies know: nearest families first, and only what the space at hand can use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search_spaces import Candidate, Categorical, Integer, Record, Score, Signature, Space
from search_spaces.errors import StoreError
from search_spaces.fingerprint import Fingerprint
from search_spaces.record import Costs
from storage import Store

STEPS = Integer("steps", 1, 5)
SPACE = Space(
    "ours", (Categorical("rule", ("gradient", "ridge"), {"gradient": (STEPS,)}), Integer("size", 1, 9))
)


def like(linear: float, kind: str = "regression") -> Fingerprint:
    return Fingerprint("family", Signature(kind, (1,), 2, 5), {"linear": linear})  # type: ignore[arg-type]


def study(store: Store, name: str, *candidates: dict[str, str | int], state: str = "complete") -> None:
    store.save_study(name, {})
    for number, candidate in enumerate(candidates):
        record = Record(name, number, Candidate(candidate))
        store.start(record)
        score = None if state == "failed" else Score("mse", 0.5 + number, 0.1, 40, "valid")
        ended = Record(
            name,
            number,
            record.candidate,
            state,
            "rung 1",
            30,
            score,
            costs=Costs(seconds=1.5),
            valid_curve=((10, 2.0), (30, 0.5)),  # type: ignore[arg-type]
        )
        store.finish(ended)


def test_records_of_the_nearest_family_come_first_and_unknown_ones_last(store: Store) -> None:
    for name, linear in (("far", 0.9), ("near", 0.2), ("nearest", 0.1)):
        study(store, name, {"rule": "ridge", "size": 3})
        store.save_fingerprint(name, name, like(linear))
    study(store, "unknown", {"rule": "ridge", "size": 3})
    study(store, "other kind", {"rule": "ridge", "size": 3})
    store.save_fingerprint("other kind", "other kind", like(0.0, "classification"))
    found = [record.study for record in store.records(SPACE, near=like(0.0))]
    assert found == ["nearest", "near", "far", "other kind", "unknown"]
    assert [r.study for r in store.records(SPACE, near=like(0.0), limit=2)] == found[:2]
    assert [r.study for r in store.records(SPACE, near=like(0.0), besides={"nearest"})] == found[1:]
    assert store.records(SPACE)[0].study == "other kind"  # without a fingerprint, the newest


def test_records_keep_what_the_space_shares_with_theirs(store: Store) -> None:
    study(
        store,
        "theirs",
        {"rule": "gradient", "steps": 3, "size": 2},
        {"rule": "gradient", "steps": 7, "size": 2},  # more steps than ours has
        {"rule": "evolved", "size": 2, "their own": 1},  # two of three are not ours
    )
    first, second = store.records(SPACE)
    assert first.candidate == Candidate({"rule": "gradient", "steps": 3, "size": 2})
    assert second.candidate == Candidate({"rule": "gradient", "size": 2})
    assert (first.state, first.rung, first.valid_curve) == ("complete", 30, ((10, 2.0), (30, 0.5)))
    assert first.score == Score("mse", 0.5, 0.1, 40, "valid")


def test_trials_without_a_score_tell_nothing(store: Store) -> None:
    study(store, "broken", {"rule": "ridge", "size": 3}, state="failed")
    assert store.records(SPACE) == []


def test_what_took_too_long_is_told_where_that_matters_and_seconds_always(store: Store) -> None:
    study(store, "theirs", {"rule": "ridge", "size": 3})
    ends = ((1, None, "timeout: needs 9 s, may take 2 s"), (2, None, "diverged"), (3, 0, "timeout: it ended"))
    for number, parent, reason in ends:
        record = Record("theirs", number, Candidate({"rule": "ridge", "size": 4}), parent=parent)
        store.start(record)
        store.finish(replace(record, state="failed", reason=reason, costs=Costs(seconds=7.0)))
    assert [record.number for record in store.records(SPACE)] == [0]
    told = store.records(SPACE, slow=True)
    assert [(r.number, r.score is None, r.costs.seconds) for r in told] == [(0, False, 1.5), (1, True, 7.0)]


def test_a_long_study_is_told_of_by_its_ends(store: Store) -> None:
    study(store, "long", *({"rule": "ridge", "size": 1 + i % 9} for i in range(300)))
    numbers = [record.number for record in store.records(SPACE)]
    assert len(numbers) == 256
    assert {0, 127, 172, 299} <= set(numbers)
    assert not {128, 171} & set(numbers)


def test_fingerprints_are_kept_by_study_and_found_by_key(store: Store) -> None:
    assert store.fingerprint("a") is None
    study(store, "tanks")
    store.save_fingerprint("pumps", "a", like(0.3))
    store.save_fingerprint("tanks", "a", like(0.3))
    store.save_fingerprint("tanks", "b", like(0.4))
    assert store.fingerprint("a") == like(0.3)
    assert store.fingerprints() == {"pumps": like(0.3), "tanks": like(0.4)}
    with pytest.raises(StoreError, match="no study 'valves'"):
        store.save_fingerprint("valves", "a", like(0.3))
