"""Non-dominated sorting, against a brute force."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metanas.pareto import ends, first, fronts, order

VALUES = st.sampled_from([0.0, 1.0, 2.0, 3.5, 1e-9, 1e9, math.inf, math.nan])  # few, so that there are ties
ROWS = st.integers(1, 3).flatmap(lambda d: st.lists(st.lists(VALUES, min_size=d, max_size=d), max_size=12))


def table(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows).reshape(len(rows), len(rows[0]) if rows else 2)


def beats(a: list[float], b: list[float]) -> bool:
    """Whether the first is nowhere worse than the second, and better somewhere."""
    pairs = [tuple(math.inf if math.isnan(v) else v for v in pair) for pair in zip(a, b, strict=True)]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


@given(ROWS)
def test_a_front_is_what_nothing_left_beats(rows: list[list[float]]) -> None:
    left = list(range(len(rows)))
    for front in fronts(table(rows)):
        free = [i for i in left if not any(beats(rows[j], rows[i]) for j in left)]
        assert front.tolist() == free
        left = [i for i in left if i not in free]
    assert left == []


@given(ROWS)
def test_the_first_front_alone_is_that_of_all(rows: list[list[float]]) -> None:
    found = fronts(table(rows))
    assert first(table(rows)).tolist() == (found[0].tolist() if found else [])


def test_the_first_front_of_many_is_found_without_comparing_all_pairs() -> None:
    """A table of all pairs of these would take 20 GB."""
    line = np.arange(100_000.0)
    assert first(np.stack([line, line], 1)).tolist() == [0]


@given(ROWS)
def test_fronts_come_in_order_and_the_ends_before_all(rows: list[list[float]]) -> None:
    losses = table(rows)
    found, sorted_fronts = order(losses), fronts(losses)
    assert sorted(found) == list(range(len(rows)))
    place = {i: number for number, front in enumerate(sorted_fronts) for i in front.tolist()}
    assert [place[i] for i in found] == sorted(place.values())
    if rows:
        known = np.where(np.isnan(losses), np.inf, losses)
        corners = ends(losses)
        assert known[corners, np.arange(losses.shape[1])].tolist() == known.min(0).tolist()
        assert set(found[: len(set(corners))]) == set(corners)
        assert known[found[0], 0] == known[:, 0].min(), "the best in the first respect is the first"


def test_within_a_front_those_come_first_beside_which_there_is_most_room() -> None:
    """What lies between counts, in any front, not the distance: scores span decades."""
    rows = [[1, 9], [2, 8], [2.1, 7.9], [2.2, 7.8], [6, 4], [9, 1]]
    between = [[2.05, 20 + i] for i in range(9)]  # from 2 to 2.1
    found = order(rows + between)
    assert found[:2] == [0, 5]
    assert set(found[2:4]) == {1, 2}
    assert set(found[4:6]) == {3, 4}
