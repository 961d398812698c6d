"""Our recorded table, and searches on it: ``benchmarks/record_table.py`` and ``benchmarks/joint.py``."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import optuna
import pytest
from click.testing import CliRunner

from search_spaces import Candidate, Signature, catalogue

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TINY = ("--families", "sinusoid", "--limit", "3", "--rungs", "1,2,3")

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Imports a benchmark by name."""
    # behind our packages, one of which is called as a benchmark is
    monkeypatch.setattr(sys, "path", [*sys.path, str(BENCHMARKS)])
    return importlib.import_module


def call(module: ModuleType, *words: object) -> str:
    """What a command of a benchmark prints."""
    done = CliRunner().invoke(module.main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


def whole_table(grid: ModuleType, path: Path, good: Callable[[Candidate], float]) -> Path:
    """A table of the whole grid, two families, with planted results."""
    points = grid.points()
    test = np.array([[good(point) for point in points]] * 2, dtype=np.float32)
    np.savez(
        path,
        space=json.dumps(grid.dimensions()),
        configs=np.array([grid.config(point) for point in points], dtype=np.int16),
        tasks=np.array(["first", "second"]),
        valid=np.stack([test - 1, test - 0.5, test], 2),
        test=test,
        cost=np.ones_like(test),
        rungs=np.array([10, 30, 90]),
    )
    return path


def test_every_candidate_of_the_grid_can_be_searched_and_none_is_there_twice(
    load: Load, tmp_path: Path
) -> None:
    grid, recorded = load("grid"), load("recorded")
    points = grid.points()
    assert len(points) == grid.SPACE.size == len({grid.whole(point).id for point in points})
    signature = Signature("regression", (1,), 1, 5)
    usual, composed = (catalogue.space(name, signature) for name in ("default", "gradient-methods"))
    for point in points:
        (composed if point["rule"] == "chain" else usual).validate(grid.whole(point))
        catalogue.build(grid.whole(point), signature)
    table = recorded.read(whole_table(grid, tmp_path / "grid.npz", lambda point: 0.0))
    assert table.space.size == len(points)
    assert [table.candidate(row) for row in range(len(points))] == points
    assert sum({**point, **grid.MAML, **grid.NETWORK} == dict(point) for point in points) == 1


def test_a_table_goes_on_after_a_kill_is_read_and_searched(load: Load, tmp_path: Path) -> None:
    record, recorded, replay = load("record_table"), load("recorded"), load("replay")
    path, rows = tmp_path / "few.npz", tmp_path / "few.jsonl"
    call(record, *TINY, "--out", path)
    first, lines = dict(np.load(path)), rows.read_bytes().splitlines(keepends=True)
    assert first["valid"].shape == (1, len(lines), 3)
    rows.write_bytes(b"".join(lines[:-1]) + lines[-1][:40])  # killed as it wrote the last one
    said = call(record, *TINY, "--out", path)
    assert said.startswith(f"{len(lines)} rows, ")
    second, again = dict(np.load(path)), rows.read_bytes().splitlines(keepends=True)
    assert again[: len(lines) - 1] == lines[:-1]  # none of these was done again
    for name in ("configs", "valid", "test", "seeds"):
        np.testing.assert_array_equal(second[name], first[name])
    assert np.isfinite(first["test"]).all()
    assert (first["cost"] > 0).all()
    table = recorded.read(path)
    assert table.rungs == [1, 2, 3]
    found = replay.replay(table, 0, optuna.samplers.RandomSampler(seed=0), 50, 0).found
    assert sorted(found) == list(range(len(lines)))


def test_rows_of_other_rungs_are_refused_in_one_line(load: Load, tmp_path: Path) -> None:
    record = load("record_table")
    row = {"family": "sinusoid", "id": "0", "rungs": [5, 15], "seed": 0}
    (tmp_path / "few.jsonl").write_text(json.dumps(row) + "\n")
    done = CliRunner().invoke(record.main, [*TINY, "--out", str(tmp_path / "few.npz")])
    assert done.exit_code == 1
    assert "--rungs 5,15 --seed 0" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_diverged_is_nan_and_tells_no_other_search(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, recording, replay = load("record_table"), load("recording"), load("replay")
    path, train = tmp_path / "few.npz", recording.record

    def diverging(work: Any) -> list[dict[str, Any]]:
        first, *others = train(work)
        return [{**first, "valid": [2.0, None, None], "test": None, "ended": "diverged"}, *others]

    monkeypatch.setattr(record, "record", diverging)
    said = call(record, *TINY, "--out", path)
    lost = np.isnan(np.load(path)["test"][0])
    assert f"without a score: {lost.sum()} diverged" in said
    assert 0 < lost.sum() < len(lost)
    store = replay.records(str(path), 0, 0, False, lambda table, seed: optuna.samplers.RandomSampler(seed))
    assert len(store) == (~lost).sum()


def test_searching_network_and_rule_finds_what_searching_one_of_them_cannot(
    load: Load, tmp_path: Path
) -> None:
    grid, joint = load("grid"), load("joint")

    def good(point: Candidate) -> float:  # one step from MAML's network, one from MAML, and better together
        network, rule = point["architecture.mlp.activation"] == "tanh", point["rule"] == "ridge"
        return 1.0 * network + 2.0 * rule + 0.5 * (network and rule)

    path = whole_table(grid, tmp_path / "grid.npz", good)
    found = json.loads(call(joint, "--table", path, "--seeds", 2, "--json"))
    one, other = found["gains"].values()
    assert [gain["all"]["point"] for gain in (one, other)] == [2.5, 1.5]
    assert {gain["low"] for gain in one.values()} == {2.5}
    assert [row["candidates"] for row in found["rows"][:3]] == [432, 24, 18]
