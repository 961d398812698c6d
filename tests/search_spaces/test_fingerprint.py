"""How near families are."""

from __future__ import annotations

import json

import pytest

from search_spaces import Signature
from search_spaces.errors import DataError
from search_spaces.fingerprint import Fingerprint

CURVES = Fingerprint("curves", Signature("regression", (1,), 1, 5), {"linear": 0.2, "skew": 0.1})
ROWS = Fingerprint("rows", Signature("regression", (8,), 1, 5), {"linear": 0.8, "only here": 0.9})
WORDS = Fingerprint("words", Signature("classification", (8,), 5, 1), {"linear": 0.8})
IMAGES = Fingerprint("images", Signature("classification", (1, 28, 28), 5, 1), {"linear": 0.8})


def test_distance_is_one_of_its_kind() -> None:
    every = (CURVES, ROWS, WORDS, IMAGES)
    for a in every:
        assert a.distance(a) == 0
        for b in every:
            assert a.distance(b) == pytest.approx(b.distance(a))


def test_another_kind_of_task_is_further_than_anything_of_the_same() -> None:
    assert CURVES.distance(ROWS) < 1 < ROWS.distance(WORDS)
    assert WORDS.distance(IMAGES) < 1


def test_what_tells_families_apart_comes_first_and_needs_both() -> None:
    parts = CURVES.alike(ROWS)
    assert parts[0].what == "inputs, powers of ten"
    assert parts[1] == ("linear", 0.2, 0.8, pytest.approx(0.36 / 5))
    assert {part.what for part in parts}.isdisjoint({"skew", "only here"})


def test_a_fingerprint_comes_back_from_json() -> None:
    assert Fingerprint.from_dict(json.loads(json.dumps(IMAGES.to_dict()))) == IMAGES


@pytest.mark.parametrize("values", [{}, {"family": "x", "signature": {}, "measures": {}}, {"measures": 3}])
def test_what_is_no_fingerprint_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(DataError):
        Fingerprint.from_dict(values)
