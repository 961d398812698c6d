"""Rows of codes are candidates of the space, whatever the space."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.learned.codes import Codes
from controllers.learned.features import Features, squared
from search_spaces import Candidate, Categorical, Integer, Real, Space
from tests.search_spaces.drawn import spaces

SEEDS = st.integers(0, 2**32 - 1)


def check(codes: Codes, rows: np.ndarray) -> None:
    """Every legal row is a point of the space, and the row of its candidate."""
    for row in rows[codes.legal(rows)]:
        candidate = codes.candidate(row)
        codes.space.validate(candidate)
        np.testing.assert_array_equal(codes.rows([candidate])[0], row)
    for row in rows[~codes.legal(rows)]:
        assert codes.space.objection(codes.candidate(row)) is not None


@settings(max_examples=300, deadline=None)
@given(spaces(), SEEDS)
def test_drawn_moved_and_crossed_rows_are_candidates(space: Space, seed: int) -> None:
    codes, rng = Codes(space), np.random.default_rng(seed)
    drawn = codes.uniform(rng, 20)
    check(codes, drawn)
    check(codes, codes.neighbours(drawn, rng, 1))
    check(codes, codes.neighbours(drawn, rng, 2))
    check(codes, codes.crossed(drawn, drawn[::-1], rng))


@settings(max_examples=100, deadline=None)
@given(spaces(), SEEDS)
def test_candidates_of_the_space_become_rows_and_come_back(space: Space, seed: int) -> None:
    codes, rng = Codes(space), np.random.default_rng(seed)
    candidates = [space.sample(rng) for _ in range(10)]
    rows = codes.rows(candidates)
    assert [codes.candidate(row) for row in rows] == candidates
    assert codes.legal(rows).all()


@settings(max_examples=100, deadline=None)
@given(spaces(), spaces(), SEEDS)
def test_rows_of_another_space_are_completed(ours: Space, theirs: Space, seed: int) -> None:
    codes, rng = Codes(ours), np.random.default_rng(seed)
    foreign = codes.rows([ours.shared(theirs.sample(rng)) for _ in range(10)])
    check(codes, codes.repaired(foreign, rng))


@settings(max_examples=100, deadline=None)
@given(spaces(), SEEDS)
def test_a_neighbour_differs_in_one_choice_and_what_that_opens(space: Space, seed: int) -> None:
    codes, rng = Codes(space), np.random.default_rng(seed)
    rows = codes.uniform(rng, 20)
    for row, moved in zip(rows, codes.neighbours(rows, rng, 1), strict=True):
        both = ~np.isnan(row) & ~np.isnan(moved)
        movable = any(c.can_move and not math.isnan(v) for c, v in zip(codes.columns, row, strict=True))
        assert (row[both] != moved[both]).sum() == (1 if movable else 0)


def test_choices_with_an_order_move_to_their_neighbours() -> None:
    width = Categorical("width", (16, 32, 64, 128), ordered=True)
    codes, rng = Codes(Space("one", (width, Integer("steps", 1, 3), Real("rate", 1e-4, 1.0, log=True)))), None
    rng = np.random.default_rng(0)
    rows = np.repeat(codes.rows([Candidate({"width": 16, "steps": 2, "rate": 0.01})]), 400, 0)
    moved = codes.neighbours(rows, rng, 1)
    assert set(moved[:, 0]) == {0.0, 1.0}
    assert set(moved[:, 1]) == {1.0, 2.0, 3.0}
    rates = moved[moved[:, 2] != 0.01, 2]
    assert np.median(np.abs(np.log10(rates) + 2)) < 1  # of four powers of ten


@settings(max_examples=100, deadline=None)
@given(spaces(), SEEDS)
def test_distances_are_of_kernels(space: Space, seed: int) -> None:
    """One block adds at most 1, and the kernel of any rows is positive definite, whatever is inactive."""
    codes, rng = Codes(space), np.random.default_rng(seed)
    features = Features(codes)
    x = features.of(codes.uniform(rng, 30))
    by_block = features.distances(x)
    assert by_block.shape == (len(features.blocks), 30, 30)
    assert by_block.max(initial=0) <= 1 + 1e-9
    np.testing.assert_allclose(by_block.sum(0), squared(x, x), atol=1e-9)
    assert np.linalg.eigvalsh(np.exp(-by_block.sum(0))).min() > -1e-9


def test_what_a_candidate_does_not_have_stands_in_the_middle() -> None:
    below = (Categorical("width", (1, 2, 3), ordered=True),)
    space = Space("branch", (Categorical("kind", ("with", "without"), {"with": below}),))
    codes = Codes(space)
    rows = codes.rows(
        [Candidate({"kind": "with", "width": w}) for w in (1, 3)] + [Candidate({"kind": "without"})]
    )
    distances = Features(codes).distances(Features(codes).of(rows))
    assert distances[1, 0, 1] == pytest.approx(1.0)
    assert distances[1, 0, 2] == pytest.approx(0.25)
    assert distances[1, 1, 2] == pytest.approx(0.25)


def test_zero_has_no_sign_in_a_row() -> None:
    """Rows are the same by their bytes: what has been tried would be proposed again and again."""
    (column,) = Codes(Space("one", (Integer("n", -3, 3),))).columns
    assert not np.signbit(column.at(np.array([0.45, 0.5, 0.55]))).any()


@pytest.mark.parametrize("rate", [Real("rate", 1e-4, 1.0, log=True), Integer("rate", 1, 10**8, log=True)])
def test_on_a_log_scale_powers_are_evenly_apart(rate: Real | Integer) -> None:
    features = Features(codes := Codes(Space("one", (rate,))))
    low, high = rate.low, rate.high
    middle = type(low)((low * high) ** 0.5)
    x = features.of(codes.rows([Candidate({"rate": value}) for value in (low, middle, high)]))
    (distances,) = features.distances(x)
    np.testing.assert_allclose(distances[0], [0, 0.5, 1], atol=0.01)
