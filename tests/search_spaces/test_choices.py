"""The kinds of choice: what they draw, move to, refuse and encode."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from search_spaces import Categorical, Choice, Integer, Real, prefixed
from search_spaces.errors import SpaceError

FEW = settings(max_examples=60, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32)


@st.composite
def integers(draw: st.DrawFn) -> Integer:
    log = draw(st.booleans())
    low = draw(st.integers(1 if log else -1000, 1000))
    return Integer("n", low, low + draw(st.integers(0, 1000)), log=log)


@st.composite
def reals(draw: st.DrawFn) -> Real:
    log = draw(st.booleans())
    low = draw(st.floats(1e-6 if log else -1e3, 1e3))
    return Real("r", low, low + draw(st.floats(1e-3, 1e3)), log=log)


@st.composite
def categoricals(draw: st.DrawFn) -> Categorical:
    values = draw(st.lists(st.text(max_size=3) | st.integers(2, 9), min_size=1, max_size=5, unique=True))
    return Categorical("c", tuple(values), ordered=draw(st.booleans()))


CHOICES = st.one_of(integers(), reals(), categoricals())


@FEW
@given(CHOICES, SEEDS)
def test_draws_and_moves_are_allowed_and_encoded(choice: Choice, seed: int) -> None:
    rng = np.random.default_rng(seed)
    value = choice.draw(rng)
    for _ in range(5):
        choice.check(value)
        code = choice.encode(value)
        assert len(code) == choice.width
        assert all(0 <= number <= 1 for number in code)
        value = choice.move(value, rng)
    assert type(value) in (str, int, float), "no NumPy scalar, which is not JSON"


@FEW
@given(CHOICES, SEEDS)
def test_a_move_changes_the_value_where_there_is_another(choice: Choice, seed: int) -> None:
    rng = np.random.default_rng(seed)
    single = len(choice.values) == 1 if isinstance(choice, Categorical) else choice.low == choice.high
    for _ in range(5):
        value = choice.draw(rng)
        assert (choice.move(value, rng) == value) == single


@FEW
@given(integers(), SEEDS)
def test_the_ends_of_a_range_move_inwards(choice: Integer, seed: int) -> None:
    assume(choice.low < choice.high)
    rng = np.random.default_rng(seed)
    assert choice.low < choice.move(choice.low, rng) <= choice.high
    assert choice.low <= choice.move(choice.high, rng) < choice.high


@pytest.mark.parametrize("log", [False, True])
def test_every_whole_number_comes(log: bool, rng: np.random.Generator) -> None:
    choice = Integer("n", 1, 6, log=log)
    assert {choice.draw(rng) for _ in range(500)} == set(range(1, 7))


def test_logarithmic_draws_are_even_in_the_logarithm(rng: np.random.Generator) -> None:
    drawn = np.log10([Real("r", 1e-4, 1.0, log=True).draw(rng) for _ in range(4000)])
    assert np.histogram(drawn, bins=4, range=(-4, 0))[0].min() > 850


def test_an_ordered_choice_moves_one_step(rng: np.random.Generator) -> None:
    ordered = Categorical("w", (16, 32, 64, 128), ordered=True)
    assert {ordered.move(32, rng) for _ in range(50)} == {16, 64}
    assert {ordered.move(128, rng) for _ in range(50)} == {64}
    assert {Categorical("w", (16, 32, 64, 128)).move(32, rng) for _ in range(50)} == {16, 64, 128}


def test_a_real_with_whole_ends_draws_reals() -> None:
    # whole ends would make whole numbers of the values that touch them: another candidate in JSON
    choice = Real("r", 1, 10, log=True)
    rng = np.random.default_rng(0)
    drawn = [choice.draw(rng) for _ in range(50)]
    assert {type(value) for value in (*drawn, *(choice.move(10.0, rng) for _ in range(200)))} == {float}
    assert isinstance(choice.low, float)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Integer("n", 3, 2), "low <= high"),
        (lambda: Integer("n", 0, 2, log=True), "low > 0"),
        (lambda: Integer("n", 0.5, 2), "whole"),
        (lambda: Real("n", -1.0, 2.0, log=True), "low > 0"),
        (lambda: Real("n", math.nan, 2.0), "low <= high"),
        (lambda: Real("n", 0.0, math.inf), "low <= high"),
        (lambda: Categorical("n", ()), "at least one"),
        (lambda: Categorical("n", ("a", "a")), "distinct"),
        (lambda: Categorical("n", (1, True)), "distinct"),
        (lambda: Categorical("n", (1, 1.0)), "distinct"),
        (lambda: Categorical("n", ("a",), {"b": ()}), "not among"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(make: Any, word: str) -> None:
    with pytest.raises(SpaceError, match=word) as error:
        make()
    assert "n:" in str(error.value)


@pytest.mark.parametrize(
    ("choice", "value"),
    [
        (Integer("n", 1, 3), 0),
        (Integer("n", 1, 3), 4),
        (Integer("n", 1, 3), 2.0),
        (Integer("n", 1, 3), True),
        (Integer("n", 1, 3), "2"),
        (Real("n", 1.0, 3.0), 0.999),
        (Real("n", 1.0, 3.0), "2"),
        (Real("n", 0.0, 3.0), True),
        (Real("n", 0.0, 3.0), math.nan),
        (Categorical("n", (1, 2)), 3),
        (Categorical("n", (1, 2)), 1.0),
        (Categorical("n", (1, 2)), True),
        (Categorical("n", (False, True)), 1),
    ],
)
def test_other_values_are_refused_with_the_value_and_the_way_out(choice: Choice, value: Any) -> None:
    with pytest.raises(SpaceError) as error:
        choice.check(value)
    assert choice.name in str(error.value)
    assert repr(value) in str(error.value)
    ends = choice.values if isinstance(choice, Categorical) else (choice.low, choice.high)
    assert all(str(end) in str(error.value) for end in ends)


def test_ends_encode_to_nought_and_one() -> None:
    for choice in (Integer("n", 2, 8, log=True), Real("n", 1e-3, 1e2, log=True), Real("n", -1.0, 3.0)):
        assert choice.encode(choice.low) == [0.0]
        assert choice.encode(choice.high) == pytest.approx([1.0])
    assert Real("n", 1e-4, 1.0, log=True).encode(1e-2) == pytest.approx([0.5])
    assert Categorical("n", ("a", "b", "c")).encode("b") == [0.0, 1.0, 0.0]


def test_prefixing_renames_branches_too() -> None:
    below = Integer("n", 1, 2, log=True), Real("r", 0.0, 1.0)
    (renamed,) = prefixed("a.b", (Categorical("c", (1, 2), {2: below}, ordered=True),))
    wanted = Integer("a.b.n", 1, 2, log=True), Real("a.b.r", 0.0, 1.0)
    assert renamed == Categorical("a.b.c", (1, 2), {2: wanted}, ordered=True)
