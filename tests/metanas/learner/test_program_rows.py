"""Rows of a table as programs hold them: lists, arrays, tensors, data frames, and none at all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from metanas.learner.records import Records
from search_spaces.errors import DataError

LOAD = {"name": "load", "kind": "number", "mean": 1.0, "std": 0.5, "missing": False}
MODE = {"name": "mode", "kind": "category", "values": ["idle", "cut"]}


@pytest.mark.parametrize(
    "x",
    [
        [1.0, 2.0],
        [[1.0], [2.0]],
        np.array([1.0, 2.0]),
        torch.tensor([1.0, 2.0], requires_grad=True),
        {"load": [1.0, 2.0]},
        {"load": torch.tensor([1.0, 2.0], requires_grad=True)},
        pd.DataFrame({"load": [1.0, 2.0]}),
        [{"load": 1.0, "wear": 3.0}, {"load": 2.0}],
        ({"load": 1.0}, {"load": 2.0}),
        [row for _, row in pd.DataFrame({"wear": [3.0, 4.0], "load": [1.0, 2.0]}).iterrows()],
        [Decimal(1), Decimal(2)],
        [pd.Series([1.0]), pd.Series([2.0])],
        list(pd.DataFrame({"wear": [3.0, 4.0], "load": [1.0, 2.0]}).itertuples(index=False)),
    ],
)
def test_one_column_is_had_from_whatever_holds_it(x: Any) -> None:
    assert Records([LOAD]).rows(x, "support").tolist() == [[0.0], [2.0]]


@pytest.mark.parametrize("x", [pd.DataFrame({"load": [], "mode": []}), {"load": [], "mode": []}, []])
def test_no_rows_are_no_rows(x: Any) -> None:
    """As a program has them that asks for what passes a filter."""
    assert tuple(Records([LOAD, MODE]).rows(x, "query").shape) == (0, 3)


@pytest.mark.parametrize("row", [pd.DataFrame({"load": [1.0]}).iloc[0], {"load": "much"}])
def test_a_single_row_is_no_column(row: Any) -> None:
    with pytest.raises(DataError, match="support: column 'load' should be a list of values, one a row"):
        Records([LOAD]).rows(row, "support")


def test_rows_that_are_mappings_have_every_column() -> None:
    with pytest.raises(DataError, match=r"support: row 1 \(counted from 0\) lacks 'mode'"):
        Records([LOAD, MODE]).rows([{"load": 1.0, "mode": "cut"}, {"load": 2.0}], "support")
    with pytest.raises(DataError, match=r"support lacks the column 'mode' \(it has load\)"):
        Records([LOAD, MODE]).rows([{"load": 1.0}, {"load": 2.0}], "support")


@pytest.mark.parametrize("days", [[20240816, 20240817], [19951.0, np.nan]])
def test_numbers_are_no_dates(days: list[float]) -> None:
    """Seconds, days or years of what, nobody knows."""
    date = {"name": "date", "kind": "date", "mean": 19000.0, "std": 100.0, "missing": True}
    with pytest.raises(DataError, match=r"support: row 0 .*: column 'date' is '\d+', not a date"):
        Records([date]).rows({"date": days}, "support")
    assert torch.isfinite(Records([date]).rows({"date": [np.nan, np.nan]}, "support")).all()


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (pd.DataFrame({"load": [1.0, 2.0]}).to_dict(), "should be a list of values"),  # row by number
        ({"load": {1.0, 2.0}}, "should be a list of values"),
        (pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], columns=["load", "load"]), "the column 'load' twice"),
        ({"load": ["much", 10**400]}, "column 'load' holds a whole number that is too large"),
        ({"load": [10**400, 1]}, "column 'load' holds a whole number that is too large"),
        ([[10**400], [1]], "holds a whole number that is too large"),
        ({"load": np.array([1, 2], dtype="m8[s]")}, "'load' is .* not a number"),
        ({"load": pd.Series([1, 2], dtype="m8[us]")}, "'load' is .* not a number"),
        (np.array([1, 2], dtype="m8[ms]"), "times where numbers are expected"),
    ],
)
def test_what_has_another_meaning_is_refused(x: Any, says: str) -> None:
    with pytest.raises(DataError, match=f"^support.*{says}"):
        Records([LOAD]).rows(x, "support")


def test_what_training_took_for_missing_is_missing_in_programs_too() -> None:
    load = LOAD | {"missing": True}
    gone = [np.inf, -np.inf, Decimal("sNaN"), "#NA", "-nan", "Inf", "1.#IND"]
    for x in (gone, gone[:3]):
        assert Records([load]).rows({"load": x}, "query").tolist() == [[0.0, 1.0]] * len(x)


def test_a_category_is_the_same_however_its_number_is_written() -> None:
    """1.0 and A were text in the training table; a program may have the number."""
    grade = {"name": "grade", "kind": "category", "values": ["1.0", "A", "2", "2.0"]}
    found = Records([grade]).rows({"grade": [1, 1.0, "1", "1.0", "A", "2", "2.0"]}, "query")
    assert found.argmax(1).tolist() == [0, 0, 0, 0, 1, 2, 3]
    assert found.sum(1).tolist() == [1] * 7


def test_a_flat_list_is_no_row_of_several_columns() -> None:
    with pytest.raises(DataError, match=r"should have the shape \(n, 2\): load, mode; not \(2, 1\)"):
        Records([LOAD, MODE]).rows([1.0, "cut"], "support")


def test_rows_without_names_are_in_the_order_of_the_features() -> None:
    wear = LOAD | {"name": "wear", "mean": 10.0}
    named = Records([LOAD, wear]).rows({"wear": [20.0, 30.0], "load": [1.0, 2.0]}, "query")
    assert named.tolist() == [[0.0, 20.0], [2.0, 40.0]]
    for plain in ([[1, 20], [2, 30]], np.array([[1.0, 20.0], [2.0, 30.0]]), torch.tensor([[1, 20], [2, 30]])):
        assert torch.equal(Records([LOAD, wear]).rows(plain, "query"), named)
