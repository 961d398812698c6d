"""Budgets: what counts as one, and how much of it is left."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanas.budget import BASELINES, FINISH, SEARCH, Budget, parse
from search_spaces.errors import BudgetError

SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Clock:
    """Says what it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(st.decimals(min_value="0.01", max_value=10_000, places=2), st.sampled_from(list(SECONDS)))
def test_a_number_with_a_unit_is_so_many_seconds(number: object, unit: str) -> None:
    assert parse(f"{number}{unit}") == pytest.approx(float(str(number)) * SECONDS[unit])


@given(st.text(alphabet="smhd ", max_size=1), st.integers(1, 1000), st.text(alphabet=" ", max_size=3))
def test_spaces_do_not_matter(unit: str, number: int, space: str) -> None:
    assert parse(f"{space}{number}{space}{unit}{space}") == number * SECONDS[unit.strip()]


@given(st.text(alphabet="0123 .smhdx-", max_size=6))
def test_any_text_is_a_time_above_0_or_refused_in_words(text: str) -> None:
    said = re.escape(f"--budget should be a time such as 90s, 10m or 2h, not {text!r}")
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*[smhd]?\s*", text) and any(c not in "0 .smhd" for c in text):
        assert 0 < parse(text) < math.inf
    else:
        with pytest.raises(BudgetError, match=said):
            parse(text)


@pytest.mark.parametrize(
    "text", ["0", "0s", "0.0m", "soon", "-5m", "", "10 minutes", "1e3", "inf", "9" * 400]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BudgetError, match="--budget should be a time"):
        parse(text)


def test_what_is_left_counts_from_the_start_of_the_run() -> None:
    clock = Clock()
    budget = Budget(60.0, clock=clock)
    assert (budget.spent, budget.left()) == (0.0, 60.0)
    clock.now += 20
    assert (budget.spent, budget.left(), budget.left(0.5)) == (20.0, 40.0, 10.0)
    clock.now += 100
    assert (budget.spent, budget.left()) == (120.0, 0.0)


def test_what_went_by_before_is_a_part_of_it_and_phases_share_the_rest() -> None:
    clock = Clock()
    budget = Budget(60.0, clock=clock, before=4.0)
    assert (budget.spent, budget.left(), budget.left(0.5)) == (4.0, 56.0, 28.0)
    clock.now += 28
    assert (budget.left(), budget.left(0.5)) == (28.0, 0.0)
    assert Budget(5.0, clock=clock, before=4.0).left() == 2.5, "something is done in any case"
    assert math.isinf(Budget(trials=3, clock=clock, before=4.0).left())


def test_a_part_of_the_budget_is_over_before_the_whole() -> None:
    assert 0 < SEARCH < FINISH < BASELINES < 1
    clock = Clock()
    budget = Budget(100.0, clock=clock)
    clock.now += 100 * SEARCH
    assert budget.left(SEARCH) == 0.0 < budget.left(FINISH) < budget.left(BASELINES) < budget.left()


def test_a_budget_of_trials_has_time_without_end() -> None:
    assert math.isinf(Budget(trials=3).left())
    assert math.isinf(Budget().left(SEARCH))


@pytest.mark.parametrize("trials", [0, -1])
def test_no_trials_are_no_budget(trials: int) -> None:
    with pytest.raises(BudgetError, match=f"--trials should be at least 1, not {trials}"):
        Budget(trials=trials)
