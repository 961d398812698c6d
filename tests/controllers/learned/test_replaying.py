"""Replays: a snapshot that helps is told from one that does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import optuna

from controllers.learned import replaying
from metanas.testing.controllers import toy_space
from search_spaces import Candidate, Record
from tests.controllers.learned.test_learned import records

optuna.logging.set_verbosity(optuna.logging.WARNING)
STUDIES = {f"study {seed}": records(f"study {seed}", 30, seed) for seed in range(6)}


def tables(studies: dict[str, list[Record]]) -> list[replaying.Recorded]:
    found = [replaying.recorded(toy_space(), name, rows) for name, rows in studies.items()]
    return [table for table in found if table is not None]


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


def test_no_difference_at_all_is_not_clear() -> None:
    gain = replaying.gain_of(dict.fromkeys("abcde", 0.0), 0.9)
    assert (gain.mean, gain.low, gain.high, gain.is_clear) == (0, 0, 0, False)
    assert np.isclose(replaying.gain_of({"a": 0.0, "b": 1.0}, 0.5).high, 0.5 + 12.706 * 0.5, atol=1e-3)
