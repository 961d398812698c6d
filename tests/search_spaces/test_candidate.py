"""Candidates: plain data whose identity is its content."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import Candidate
from search_spaces.errors import SpaceError

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), FLOATS, st.booleans()))
FEW = settings(max_examples=100, deadline=None, derandomize=True)


@FEW
@given(VALUES)
def test_json_gives_the_same_candidate_back(values: dict[str, Any]) -> None:
    candidate = Candidate(values)
    back = Candidate.from_json(candidate.to_json())
    assert back == candidate
    assert (back.id, hash(back)) == (candidate.id, hash(candidate))
    assert {name: (type(value), value) for name, value in back.items()} == {
        name: (type(value), value) for name, value in values.items()
    }


@FEW
@given(VALUES, st.randoms())
def test_order_is_no_part_of_the_identity(values: dict[str, Any], random: Any) -> None:
    items = list(values.items())
    random.shuffle(items)
    assert Candidate(dict(items)).id == Candidate(values).id
    assert Candidate(dict(items)).to_json() == Candidate(values).to_json()


@FEW
@given(VALUES, st.text(), FLOATS)
def test_another_value_is_another_candidate(values: dict[str, Any], name: str, value: float) -> None:
    changed = {**values, name: value}
    same = name in values and type(values[name]) is float and repr(values[name]) == repr(value)
    assert (Candidate(changed) == Candidate(values)) == same


def test_one_is_not_true_nor_one_point_nought() -> None:
    assert len({Candidate({"a": value}) for value in (1, 1.0, True, "1")}) == 4


def test_what_it_was_made_from_may_change() -> None:
    values: dict[str, Any] = {"a": 1}
    candidate = Candidate(values)
    values["a"] = 2
    assert candidate == Candidate({"a": 1})


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, None, [1], {"b": 1}, b"x", np.int64(1), np.bool_(True), 1j]
)
def test_only_plain_finite_values(value: Any) -> None:
    with pytest.raises(SpaceError, match="'a'"):
        Candidate({"a": value})


def test_only_strings_are_names() -> None:
    with pytest.raises(SpaceError, match="names"):
        Candidate({1: 2})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": 1e999}',
        '{"a": null}',
        '{"a": [1]}',
        '{"a": ' + "1" * 5000 + "}",
        "[" * 100_000,
    ],
    ids=lambda text: text[:12] or "empty",
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(SpaceError):
        Candidate.from_json(text)


def test_a_part_is_what_lies_under_its_name() -> None:
    candidate = Candidate({"rule": "grad", "rule.grad.steps": 1, "rule.grade.steps": 2, "rule.grad.a.b": 3})
    assert candidate.part("rule.grad") == {"steps": 1, "a.b": 3}
    assert candidate.part("rul") == {}


def test_text_is_canonical() -> None:
    text = Candidate({"b": 1, "a": "ä"}).to_json()
    assert text == '{"a":"\\u00e4","b":1}'
    assert json.loads(text) == {"a": "ä", "b": 1}
