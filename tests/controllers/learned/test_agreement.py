"""Whether earlier studies agree, and what a search makes of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import optuna
import pytest

from controllers import learned
from controllers.learned.agreement import USUAL, agreement
from metanas.testing.controllers import search, toy_space
from search_spaces import Record
from tests.controllers.learned.test_learned import records


def told(studies: int, right: float, count: int = 100, seed: int = 0) -> tuple[list, list]:
    """Results, and what is expected of them by studies that are ``right`` about so much of it."""
    rng = np.random.default_rng(seed)
    seen = [rng.normal(size=count) for _ in range(studies)]
    wrong = np.sqrt(1 - right**2)
    expected = [
        right * y[:, None] + wrong * rng.normal(size=(count, studies))  # of each study, its own errors
        for y in seen
    ]
    return seen, expected


def test_studies_that_tell_each_others_results_are_believed_and_others_are_not() -> None:
    believed, doubted = (agreement(*told(4, right), np.ones(4)) for right in (0.9, 0.0))
    assert believed.is_followed
    assert believed.trust > 0.8
    assert believed.alike == 1
    assert not doubted.is_followed
    assert doubted.trust < 0.2
    assert doubted.alike < 0.5


def test_less_than_two_studies_say_nothing_of_each_other() -> None:
    seen, expected = told(1, 0.0)
    assert agreement(seen, expected, np.ones(1)) == agreement([], [], np.ones(0)) == USUAL


def test_studies_that_contradict_each_other_are_trusted_least_but_no_less_than_that() -> None:
    seen, expected = told(3, 0.9)
    found = agreement([-y for y in seen], expected, np.ones(3))
    assert found.slope < 0 < found.trust < 0.1
    assert found.alike > 0


def test_what_a_far_study_says_of_a_near_one_counts_little() -> None:
    seen, expected = told(2, 0.0, count=60)
    assert not agreement(seen, expected, np.ones(2)).is_followed
    assert agreement(seen, expected, np.array([1.0, 0.05])).is_followed
    equally = [agreement(seen, expected, near * np.ones(2)) for near in (1.0, 0.1)]
    assert equally[0].slope == pytest.approx(equally[1].slope)


def alike(studies: int) -> list[Record]:
    return [record for seed in range(studies) for record in records(f"study {seed}", 60, seed)]


def opposed(studies: int) -> list[Record]:
    """The same, but what is best in one is worst in the next."""
    return [
        replace(r, score=replace(r.score, value=-r.score.value), valid_curve=((10, -r.score.value),))
        if r.score and int(r.study[-1]) % 2
        else r
        for r in alike(studies)
    ]


@pytest.mark.parametrize(("store", "how"), [(alike, "earlier"), (opposed, "spread")])
def test_a_search_begins_with_what_earlier_studies_rank_high_if_they_agree(
    store: Callable[[int], list[Record]], how: str
) -> None:
    sampler = learned.build(toy_space(), 0, store(4))
    study = optuna.create_study(sampler=sampler)
    assert isinstance(sampler, learned.Learned)
    list(search(study, toy_space(), 1, tell=False))
    assert f'"{how}"' in sampler.why(0)
