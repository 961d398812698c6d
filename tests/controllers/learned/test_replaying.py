"""Replays: a snapshot that helps is told from one that does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import optuna
import pytest

from controllers.learned import Snapshot, fitting, replaying
from controllers.learned.fitting import Told
from metanas.testing.controllers import toy_space
from search_spaces import Candidate, Record, Space
from search_spaces.errors import DataError
from tests.controllers.learned.test_learned import records

optuna.logging.set_verbosity(optuna.logging.WARNING)
STUDIES = {f"study {seed}": records(f"study {seed}", 30, seed) for seed in range(6)}


def tables(studies: dict[str, list[Record]]) -> list[replaying.Recorded]:
    found = [replaying.recorded(toy_space(), name, rows) for name, rows in studies.items()]
    return [table for table in found if table is not None]


@pytest.fixture(scope="module")
def told() -> list[Told]:
    return fitting.told(toy_space(), STUDIES)


def flipped(space: Space, studies: Sequence[Told]) -> Snapshot:
    snapshot = fitting.fit(space, studies)
    return replace(snapshot, prior=-snapshot.prior)


def test_what_studies_have_in_common_is_a_gain_and_a_planted_bad_snapshot_is_none(told: list[Told]) -> None:
    left = []

    def fit(space: Space, studies: Sequence[Told]) -> Snapshot:
        left.append({one.name for one in told} - {one.name for one in studies})
        return fitting.fit(space, studies)

    gain = replaying.gain(toy_space(), tables(STUDIES), told, fit)
    assert gain.is_clear
    assert gain.low < gain.mean < gain.high
    assert gain.by_study.keys() == STUDIES.keys()
    assert left == [{name} for name in STUDIES], "each without its own"
    bad = replaying.gain(toy_space(), tables(STUDIES), told, flipped)
    assert bad.mean < 0
    assert not bad.is_clear
    assert bad.without == gain.without


def test_parts_of_one_search_are_left_out_together(told: list[Told]) -> None:
    seen = []

    def fit(space: Space, studies: Sequence[Told]) -> Snapshot:
        seen.append(len(studies))
        return replace(fitting.fit(space, studies))

    together = {"study 0": "whole", "study 1": "whole", "study 2": "whole"}
    few = [replace(table, records=table.records[:16], ranks=table.ranks[:16]) for table in tables(STUDIES)]
    replaying.gain(toy_space(), few, told, fit, together)
    assert seen == [3, 3, 3, 5, 5, 5]


def test_a_replay_proposes_each_recorded_candidate_once_and_finds_the_best() -> None:
    (table,) = tables({"study 0": STUDIES["study 0"][:16]})
    found = replaying.replayed(toy_space(), table, seed=0)
    assert len(set(found)) == table.evaluations == 8
    assert 0.5 < replaying.figure(found) < table.ranks.max() < 1
    assert found.tolist() == replaying.replayed(toy_space(), table, seed=0).tolist(), "repeats"


def test_what_cannot_be_replayed_is_passed_over() -> None:
    rows = STUDIES["study 0"]
    strangers = [replace(r, candidate=Candidate({"other": 1})) for r in rows]
    again = [replace(r, candidate=rows[0].candidate) for r in rows]
    for useless in (rows[:15], strangers, again, [replace(r, score=None) for r in rows]):
        assert replaying.recorded(toy_space(), "study", useless) is None


def test_few_studies_judge_nothing(told: list[Told]) -> None:
    with pytest.raises(DataError, match="it takes 5 studies"):
        replaying.gain(toy_space(), tables(STUDIES)[:4], told)


def test_no_difference_at_all_is_not_clear() -> None:
    gain = replaying.gain_of(dict.fromkeys("abcde", 0.0), 0.9)
    assert (gain.mean, gain.low, gain.high, gain.is_clear) == (0, 0, 0, False)
    assert np.isclose(replaying.gain_of({"a": 0.0, "b": 1.0}, 0.5).high, 0.5 + 12.706 * 0.5, atol=1e-3)
