"""Snapshots: kept by their hash, one at most in use, and only one that helps."""

from __future__ import annotations

import hashlib

import pytest

from search_spaces.errors import StoreError
from storage import Store


def test_a_snapshot_is_kept_with_its_card_and_used_once_told(store: Store) -> None:
    sha = store.save_snapshot(b"good", {"gain": 0.1}, adopted=True)
    assert sha == hashlib.sha256(b"good").hexdigest()
    assert store.used_snapshot() is None
    store.use_snapshot(sha[:8])
    found = store.used_snapshot()
    assert found is not None
    kept, data = found
    assert (kept.sha, kept.card, kept.adopted, kept.used, data) == (sha, {"gain": 0.1}, True, True, b"good")
    assert kept.created.tzinfo is not None


def test_one_at_most_is_in_use(store: Store) -> None:
    first, second = (store.save_snapshot(data, {}, adopted=True) for data in (b"a", b"b"))
    store.use_snapshot(first)
    store.use_snapshot(second)
    assert {kept.sha: kept.used for kept in store.snapshots()} == {first: False, second: True}
    store.use_snapshot(None)
    assert store.used_snapshot() is None


def test_a_refused_one_cannot_be_used_even_if_it_was(store: Store) -> None:
    sha = store.save_snapshot(b"bad", {}, adopted=False)
    with pytest.raises(StoreError, match="was refused"):
        store.use_snapshot(sha)
    good = store.save_snapshot(b"good", {}, adopted=True)
    store.use_snapshot(good)
    store.save_snapshot(b"good", {"again": True}, adopted=False)
    assert store.used_snapshot() is None
    assert [kept.card for kept in store.snapshots() if kept.sha == good] == [{"again": True}]


def test_an_unknown_or_ambiguous_hash_is_said(store: Store) -> None:
    with pytest.raises(StoreError, match="metanas controller train makes one"):
        store.use_snapshot("00")
    for number in range(17):  # of seventeen hashes, two begin with the same digit
        store.save_snapshot(bytes([number]), {}, adopted=True)
    firsts = [kept.sha[0] for kept in store.snapshots()]
    twice = next(digit for digit in firsts if firsts.count(digit) > 1)
    with pytest.raises(StoreError, match="several snapshots"):
        store.use_snapshot(twice)
    with pytest.raises(StoreError, match="no snapshot"):
        store.use_snapshot("")
