"""``benchmarks/live.py``: what it reads from the store of a search, hands to another, and tells of both."""

from __future__ import annotations

import importlib
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import optuna
import pytest

from search_spaces import Candidate, Record, Score, Signature
from search_spaces.fingerprint import Fingerprint
from storage import Store

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    # behind our packages, one of which is called as a benchmark is
    monkeypatch.setattr(sys, "path", [*sys.path, str(BENCHMARKS)])
    return importlib.import_module("live")


def search(path: Path) -> Path:
    """A store with a study of three trials, the last of which goes on from the one before."""
    with Store.open(str(path)) as store:
        store.save_study("waves", {"family": {"name": "waves"}})
        study = optuna.create_study(study_name="waves", storage=store.optuna, direction="minimize")
        for number, (parent, errors) in enumerate([(None, [3.0, 2.0]), (None, [4.0]), (1, [0.5, 0.7])]):
            trial = study.ask()
            record = Record("waves", number, Candidate({"rule": "ridge"}), parent=parent)
            store.start(record)
            for rung, error in enumerate(errors):
                trial.report(error, rung)
            study.tell(trial, min(errors))
            score = Score("mse", min(errors), 0.1, 10, "valid")
            sha = store.put(b"weights", "weights")
            store.finish(replace(record, state="complete", score=score, weights=sha))
        store.save_fingerprint(
            "waves", "key", Fingerprint("waves", Signature("regression", (1,), 1, 5), {"linear": 0.9})
        )
    return path


def test_the_least_errors_are_read_while_a_search_runs(live: ModuleType, tmp_path: Path) -> None:
    assert live.least(tmp_path / "none.db", "waves") == {}
    (tmp_path / "empty.db").touch()
    assert live.least(tmp_path / "empty.db", "waves") == {}
    path = search(tmp_path / "store.db")
    assert live.least(path, "waves") == {"final": 0.5, "proposed": 2.0}
    assert live.least(path, "others") == {}


def test_a_warm_search_is_told_what_the_cold_one_of_another_family_found(
    live: ModuleType, tmp_path: Path
) -> None:
    source, target = search(tmp_path / "cold.db"), tmp_path / "warm.db"
    live.copy(source, target, "waves")
    with Store.open(str(source)) as old, Store.open(str(target)) as new:
        kept = [replace(record, weights=None) for record in old.records("waves")]
        assert new.records("waves") == kept
        assert new.settings("waves") == old.settings("waves")
        assert new.fingerprints() == old.fingerprints()


def row(seed: int, method: str, curve: list[tuple[float, float]]) -> dict[str, Any]:
    last = curve[-1][1]
    curves = {"final": curve, "proposed": curve}
    return {
        "family": "waves",
        "seed": seed,
        "method": method,
        "final": last,
        "proposed": last,
        "curves": curves,
        "test": last,
        "trials": 9,
        "wall_seconds": 90.0,
    }


def test_seconds_to_the_last_score_of_a_cold_search(live: ModuleType) -> None:
    rows = [
        row(0, "tpe", [(5.0, 4.0)]),
        row(0, "cold", [(5.0, 4.0), (60.0, 2.0)]),
        row(0, "warm", [(6.0, 3.0), (15.0, 1.0)]),
        row(1, "tpe", [(5.0, 1.0)]),
        row(1, "cold", [(40.0, 1.0)]),
        row(1, "warm", [(80.0, 2.0)]),  # it never gets there
        row(2, "cold", [(40.0, 1.0)]),  # its other searches are not done yet
    ]
    final, proposed, every, _ = live.summary(rows)
    assert (final["kind"], proposed["kind"], final["seeds"]) == ("final", "proposed", 2)
    assert (final["seconds_cold"], final["seconds_warm"]) == (50.0, math.inf)
    assert final["cold_to_tpe"] == every["cold_to_tpe"] == 0.75
    assert live.summary(rows[:3])[0]["seconds_ratio"] == 0.25
    assert "| waves | final | 1 | 4 | 2 | 1 | 0.50 | 60 | 15 | 0.25 | 0.75 | 0.25 | 0.50 |" in live.text(
        rows[:3]
    )
    assert final["warm_to_cold_12_s"] == 0.75  # of one seed: in the other neither had a score yet
    assert live.summary([row for row in rows if row["seed"] == 1])[0]["warm_to_cold_12_s"] is None
