"""A user's targets in the units and in the order that training had them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from metanas.learner.inputs import inputs_of
from metanas.learner.targets import Classes, Reals, encode
from search_spaces import Signature
from search_spaces.errors import DataError, LearnerFileError

SECONDS, DAY = 1.7e9, 86400.0  # a time as programs have it: single precision tells 128 s apart
REGRESSION = Signature("regression", (2,), 1, 5)
SITES = Signature("classification", (2,), 3, 1)
NAMES = ("10", "8", "9")  # of a table, sorted as text


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_targets_far_from_zero_keep_their_digits(kind: Any) -> None:
    seconds = [SECONDS, SECONDS + 30.0, SECONDS + 61.0]
    y = torch.tensor(seconds, dtype=torch.float64) if kind is torch.tensor else kind(seconds)
    _, scaled = encode(REGRESSION, y, 3, SECONDS, DAY)
    torch.testing.assert_close(scaled[:, 0] * DAY, torch.tensor([0.0, 30.0, 61.0]))
    assert scaled.dtype == torch.float32


def test_answers_far_from_zero_keep_their_digits() -> None:
    """Single precision has 128 seconds between two times of today."""
    targets, _ = encode(REGRESSION, [SECONDS + 60, SECONDS + 61], 2, SECONDS + 60, 20.0)
    found = targets.answer(torch.tensor([[0.1]]), None)
    assert found.tolist() == pytest.approx([SECONDS + 62], abs=1e-5, rel=0)
    assert [targets.digits, encode(REGRESSION, [0.0, 1.0], 2)[0].digits] == [15, 7]
    assert Reals(True, 1.0, 5e-324).digits == 17


@pytest.mark.parametrize("y", [{0: "a", 1: "b"}, {"a", "b"}])
def test_labels_without_an_order_are_refused(y: Any) -> None:
    """A mapping's keys are its row numbers, as of pandas' to_dict()."""
    with pytest.raises(DataError, match="should be a list of labels"):
        encode(SITES, y, 2)


@pytest.mark.parametrize("y", [[9, 10, 8], ["9", "10", "8"], [9.0, 10.0, 8.0], np.array([9, 10, 8])])
def test_classes_are_the_rows_that_training_gave_them(y: Any) -> None:
    targets, one_hot = encode(SITES, y, 3, classes=NAMES)
    assert isinstance(targets, Classes)
    assert one_hot.argmax(1).tolist() == [2, 0, 1]
    predicted = targets.answer(one_hot, None)
    assert list(predicted) == list(y)


def test_classes_that_training_did_not_have_are_sorted() -> None:
    targets, _ = encode(SITES, [9, 10, 7], 3, classes=NAMES)
    assert isinstance(targets, Classes)
    assert targets.labels.tolist() == [7, 9, 10]


@pytest.mark.parametrize("classes", ["ab", [1, 2], {"a": 1}, [["a"]]])
def test_a_file_whose_classes_are_no_names_is_refused(classes: Any) -> None:
    feature = {"name": "a", "kind": "number", "mean": 0.0, "std": 1.0, "missing": False}
    made = {
        "kind": "columns",
        "features": [{**feature, "name": name} for name in "ab"],
        "target": {"name": "site", "classes": classes},
    }
    with pytest.raises(LearnerFileError, match="does not fit"):
        inputs_of(SITES, made)
    assert inputs_of(SITES, {**made, "target": {"name": "site", "classes": list(NAMES)}})
