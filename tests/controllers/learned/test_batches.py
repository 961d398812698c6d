"""What the learned controller asks for at the same time, and begins a search with: not one network again."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import optuna
import pytest

from controllers import learned
from controllers.learned.codes import Codes
from search_spaces import Candidate, Record, Score, Signature, catalogue
from search_spaces.record import Costs

SPACE = catalogue.space("default", Signature("regression", (1,), 1, 5))
CODES = Codes(SPACE)
SAME = 0.2


def error(candidate: Candidate) -> float:
    """Wide networks and ridge are good; how they are trained says little."""
    wide = sum(float(v) for k, v in candidate.items() if "width" in k) / 256
    return float(
        np.exp(-wide - 2 * (candidate["rule"] == "ridge") - 0.01 * np.log(candidate["outer.learning_rate"]))
    )


def records() -> list[Record]:
    """Of another study."""
    rng = np.random.default_rng(0)
    found = [SPACE.sample(rng) for _ in range(60)]
    scores = [Score("mse", error(candidate), 0.0, 9, "valid") for candidate in found]
    return [
        Record("other", i, c, "complete", rung=10, score=score, valid_curve=((10, score.value),))
        for i, (c, score) in enumerate(zip(found, scores, strict=True))
    ]


def asked(count: int, told: int = 0, **memory: Any) -> list[np.ndarray]:
    """Rows of what is asked for at the same time, after so many results."""
    study = optuna.create_study(sampler=learned.build(SPACE, 0, **memory))
    for _ in range(told):
        trial = study.ask()
        study.tell(trial, error(SPACE.suggest(trial)))
    trials = [study.ask() for _ in range(count)]
    return list(CODES.rows([SPACE.suggest(trial) for trial in trials]))


@pytest.mark.parametrize("memory", [{}, {"records": records()}])
def test_what_is_asked_for_at_the_same_time_differs_clearly(memory: dict[str, list[Record]]) -> None:
    for one, other in combinations(asked(8, 16, **memory), 2):
        assert CODES.differing(one, other[None], SAME)[0] >= 2


def test_what_was_passed_over_for_what_is_running_is_told() -> None:
    study = optuna.create_study(sampler=learned.build(SPACE, 0))
    for _ in range(16):
        trial = study.ask()
        study.tell(trial, error(SPACE.suggest(trial)))
    reasons = [json.loads(study.sampler.why(study.ask().number)) for _ in range(6)]  # type: ignore[attr-defined]
    passed = [reason["passed"] for reason in reasons]
    assert passed[0] == 0
    assert max(passed) > 0
    assert all(reason["passed"] < reason["compared"] for reason in reasons)


def test_a_search_begins_with_good_ones_that_differ_in_much_and_goes_on_as_one_without_a_store() -> None:
    rows = asked(12, records=records())
    good = [error(CODES.candidate(row)) for row in rows]
    assert np.median(good[:4]) < np.median(good[6:])
    for one, other in combinations(rows[:4], 2):
        assert CODES.differing(other, one[None], SAME)[0] >= (~np.isnan(other)).sum() // 3
    parts = [CODES.candidate(row)["rule"] for row in rows[6:]]
    assert len(set(parts)) > 1


def test_where_time_is_short_a_search_begins_with_what_came_far_in_little_of_it_elsewhere() -> None:
    def width(rows: list[np.ndarray]) -> float:
        return float(
            np.mean([np.nansum([v for k, v in CODES.candidate(r).items() if "width" in k]) for r in rows])
        )

    def seconds(r: Record) -> float:
        return float(np.exp(sum(v for k, v in r.candidate.items() if "width" in k) / 64))

    def curve(r: Record) -> tuple[tuple[int, float], ...]:
        assert r.score is not None
        return (10, 9 * r.score.value), (90, r.score.value)

    dear = [replace(r, costs=Costs(seconds=seconds(r)), rung=90, valid_curve=curve(r)) for r in records()]
    free = [replace(r, costs=Costs(seconds=1.0)) for r in dear]
    assert width(asked(4, records=dear, timed=True)) < 0.7 * width(asked(4, records=free, timed=True))
    np.testing.assert_array_equal(asked(4, records=dear), asked(4, records=free))
