"""Where trials stand on several families: by ranks, whatever the scales of their scores."""

from __future__ import annotations

import math

import pytest

from metanas.standings import best_of, position, standings, supersedes
from search_spaces import Candidate, Record, Score

CANDIDATE = Candidate({"rule": "ridge"})


def score(value: float, metric: str = "mse") -> Score:
    return Score(metric, value, 0.1, 10, "valid")


def trial(number: int, value: float = 0.5) -> Record:
    return Record(
        "all", number, CANDIDATE, "complete", score=score(value, "rank"), seed=100 + number, weights="w"
    )


def on(family: str, values: dict[int, float], metric: str = "mse", shift: int = 0) -> list[Record]:
    """The trials that follow those of these numbers; their own numbers are shifted."""
    return [
        Record(
            f"all/{family}",
            n + shift,
            CANDIDATE,
            "complete",
            score=score(v, metric),
            seed=100 + n,
            weights="w",
        )
        for n, v in values.items()
    ]


def test_the_mean_rank_decides_not_the_mean_score() -> None:
    """On one family the scores are a thousand times as large: that does not weigh."""
    families = {
        "small": on("small", {0: 0.1, 1: 0.2, 2: 0.3}),
        "large": on("large", {0: 900.0, 1: 100.0, 2: 800.0}),
    }
    found = standings([trial(n) for n in range(3)], families)
    assert [(one.trial.number, one.rank) for one in found] == [(1, 1.5), (0, 2.0), (2, 2.5)]
    assert [(place.family, place.rank, place.of) for place in found[1].places] == [
        ("small", 1, 3),
        ("large", 3, 3),
    ]
    assert [one.worst.family for one in found] == ["small", "large", "small"]


def test_accuracies_are_better_if_they_are_higher_and_go_with_errors() -> None:
    families = {"a": on("a", {0: 0.9, 1: 0.5}, "accuracy"), "b": on("b", {0: 0.1, 1: 0.2})}
    assert [one.trial.number for one in standings([trial(0), trial(1)], families)] == [0, 1]


def test_in_a_tie_the_better_worst_case_is_first() -> None:
    families = {"a": on("a", {0: 1.0, 1: 2.0, 2: 3.0}), "b": on("b", {0: 3.0, 1: 2.0, 2: 1.0})}
    found = standings([trial(n) for n in range(3)], families)
    assert [one.rank for one in found] == [2.0, 2.0, 2.0]
    assert [one.trial.number for one in found] == [1, 0, 2]


def test_equal_scores_share_their_ranks() -> None:
    found = standings([trial(n) for n in range(3)], {"a": on("a", {0: 1.0, 1: 1.0, 2: 2.0})})
    assert [one.rank for one in found] == [1.5, 1.5, 3.0]


def test_only_what_was_scored_on_every_family_is_ranked() -> None:
    """One follows another by its seed: it may have another number, and what went on from it is no other."""
    gone_on = Record("all/b", 9, CANDIDATE, "complete", score=score(0.0), seed=102, parent=5, weights="w")
    families = {"a": on("a", {0: 1.0, 1: 2.0, 2: 3.0}), "b": [*on("b", {1: 5.0, 0: 6.0}, shift=4), gone_on]}
    found = standings([trial(n) for n in range(3)], families)
    assert [(one.trial.number, one.places[1].record.number) for one in found] == [(0, 4), (1, 5)]
    assert {place.of for one in found for place in one.places} == {2}


def test_nothing_scored_is_nothing_ranked() -> None:
    assert standings([trial(0)], {"a": [], "b": on("b", {0: 1.0})}) == []


@pytest.mark.parametrize(
    ("metric", "value", "others", "expected"),
    [
        ("mse", 1.0, [1.0], 0.5),
        ("mse", 1.0, [1.0, 2.0, 3.0, 4.0], 0.125),
        ("mse", 4.0, [1.0, 2.0, 3.0, 4.0], 0.875),
        ("mse", 2.0, [2.0, 2.0, 2.0], 0.5),
        ("accuracy", 0.9, [0.9, 0.5], 0.25),
        ("accuracy", 0.5, [0.9, 0.5], 0.75),
    ],
)
def test_a_position_is_between_best_and_worst(
    metric: str, value: float, others: list[float], expected: float
) -> None:
    assert position(score(value, metric), others) == expected


def test_positions_of_a_batch_are_spread_whatever_their_scores() -> None:
    values = [math.exp(n) for n in range(10)]
    assert [position(score(v), values) for v in values] == pytest.approx([0.05 + 0.1 * n for n in range(10)])


def test_of_ranks_the_last_counts_of_scores_the_better() -> None:
    assert supersedes(score(0.9, "rank"), score(0.1, "rank"))
    assert not supersedes(score(0.9), score(0.1))
    assert best_of([trial(0, 0.3), trial(1, 0.2), trial(2, 0.4)]).number == 1  # type: ignore[union-attr]
