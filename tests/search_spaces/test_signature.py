"""Signatures: refused where they make no sense, plain data both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest

from search_spaces import Signature
from search_spaces.errors import DataError

IMAGES = Signature("classification", (1, 28, 28), 5, 1)
GOOD: dict[str, Any] = IMAGES.to_dict()


def test_json_gives_the_same_signature_back() -> None:
    assert Signature.from_dict(json.loads(json.dumps(IMAGES.to_dict()))) == IMAGES


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "ranking"},
        {"input_shape": []},
        {"input_shape": [0]},
        {"input_shape": [1.5]},
        {"input_shape": "ab"},
        {"input_shape": None},
        {"outputs": 0},
        {"outputs": "5"},
        {"shots": -1},
        {"shots": None},
        {"colour": "red"},
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        Signature.from_dict(GOOD | change)


@pytest.mark.parametrize("missing", GOOD)
def test_what_is_missing_is_named(missing: str) -> None:
    with pytest.raises(DataError, match=missing):
        Signature.from_dict({name: value for name, value in GOOD.items() if name != missing})


def test_each_kind_has_its_metric() -> None:
    curves = Signature("regression", (1,), 1, 5)
    assert (curves.metric, curves.higher_is_better) == ("mse", False)
    assert (IMAGES.metric, IMAGES.higher_is_better) == ("accuracy", True)
