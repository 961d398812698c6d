"""``benchmarks/controllers.py`` and ``transfer.py`` on a table of a conditional space."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
DIMENSIONS = [
    {"name": "rule", "choices": ["ridge", "gradient"]},
    {"name": "strength", "choices": [0.1, 1.0, 10.0]},  # of ridge
    {"name": "steps", "choices": [1, 2, 3, 4, 5]},  # of gradient
    {"name": "width", "choices": [16, 32, 64, 128]},
]


def rows() -> np.ndarray:
    """``(32, 4)``: every configuration but one."""
    ridge = [(0, strength, -1, width) for strength, width in product(range(3), range(4))]
    gradient = [(1, -1, steps, width) for steps, width in product(range(5), range(4))]
    return np.array([*ridge, *gradient][:-1], dtype=np.int16)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    configs = rows()
    path = tmp_path_factory.mktemp("tables") / "toy.npz"
    good = (
        -((configs[:, 3] - 2) ** 2)
        - (configs[:, 2] - 3.0) ** 2 * (configs[:, 0] == 1)
        - 5 * (configs[:, 0] == 0)
    )
    last = np.stack([good, good + 0.1 * configs[:, 3]]).astype(np.float32)
    np.savez(
        path,
        space=json.dumps(DIMENSIONS),
        configs=configs,
        tasks=np.array(["first", "second"]),
        valid=np.stack([last - 1, last], 2),
        test=last,
        cost=np.ones_like(last),
        rungs=np.array([10, 30]),
    )
    return path


def test_what_is_kept_takes_no_time_in_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(BENCHMARKS)])  # a file there is called as our package is
    spec = importlib.util.spec_from_file_location("compared", BENCHMARKS / "controllers.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    now = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    for each, _ in module.told("abcd", "wxyz", [False, False, True, True]):
        now += 120.0 * (each in "cd")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["3 of 4 searches, about 2 min left", "4 of 4 searches, about 0 min left"]


def run(*words: object, script: str = "controllers.py") -> Any:
    command = [sys.executable, BENCHMARKS / script, *map(str, words), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_space_of_a_table_is_conditional_as_the_table_is(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import recorded

    read = recorded.read(table)
    assert read.space.size == 32
    assert [choice.name for choice in read.space.choices] == ["rule", "width"]
    assert {v: [c.name for c in below] for v, below in read.space.flat["rule"].branches.items()} == {  # type: ignore[union-attr]
        "ridge": ["strength"],
        "gradient": ["steps"],
    }
    assert read.space.flat["width"].ordered  # type: ignore[union-attr]
    for row in range(31):
        candidate = read.candidate(row)
        read.space.validate(candidate)
        assert read.row(candidate) == row
    rng = np.random.default_rng(0)
    assert {read.row(read.space.sample(rng)) for _ in range(1000)} == {*range(31), None}


@pytest.mark.long
def test_rows_and_ratios(table: Path) -> None:
    words = ("--controllers", "learned,learned-cold,random,tpe-warm", "--seeds", 3, "--evaluations", 20)
    found = run("--table", table, "--task", "second", *words, "--warm-from", "all")
    names = ["learned", "learned-cold", "random", "tpe-warm", "tpe"]
    assert [row["controller"] for row in found["rows"]] == names
    assert set(found["ratios"]["learned"]) == {
        "vs_tpe_at_100",
        "vs_tpe_warm_at_100",
        "vs_learned_cold_at_100",
    }
    for name, ratios in found["ratios"].items():
        assert all(ratio["low"] <= ratio["point"] <= ratio["high"] for ratio in ratios.values()), name
    learned, cold, _, warm, _ = found["rows"]
    assert learned["rank"]["10"] == 1
    assert learned["evaluations_to"]["99.9"] <= cold["evaluations_to"]["99.9"]
    assert warm["evaluations_to"]["99.9"] <= 10  # it begins with the best of the other task
    assert set(learned["best"]) == {"10", "20"}
    assert learned["ms"] > 0


@pytest.mark.parametrize("words", [("--task", "third"), ("--controllers", "learnt")])
def test_what_is_not_there_is_said_in_one_line(table: Path, words: tuple[str, str]) -> None:
    command = [sys.executable, BENCHMARKS / "controllers.py", "--table", table, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: no {words[0][2:].removesuffix('s')} ")
    assert done.stderr.count("\n") == 1


def test_what_was_replayed_is_kept_and_what_is_broken_is_replayed_anew(table: Path, tmp_path: Path) -> None:
    words: tuple[object, ...] = ("--table", table, "--task", "first", "--seeds", 1, "--evaluations", 8)
    words += ("--keep", tmp_path / "kept")
    first = run(*words, "--controllers", "random")
    kept = sorted((tmp_path / "kept").iterdir())
    assert len(kept) == 2  # random, and tpe
    for path in kept:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"milliseconds": 1234.0}))
    kept[0].write_text(kept[0].read_text()[:-20])
    again = run(*words, "--controllers", "random", "--warm-from", "all")  # which changes nothing for these
    assert sorted(row["ms"] == 1234.0 for row in again["rows"]) == [False, True]
    assert [row["best"] for row in again["rows"]] == [row["best"] for row in first["rows"]]
    assert sorted((tmp_path / "kept").iterdir()) == kept
    run(*words, "--controllers", "random", "--first-seed", 1)
    assert len(list((tmp_path / "kept").iterdir())) == 4


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_replayed(
    table: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, BENCHMARKS / "controllers.py", "--table", table]
    done = subprocess.run([*command, "--keep", tmp_path / "file" / "kept"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: --keep ")
    assert done.stderr.count("\n") == 1


@pytest.mark.long
def test_what_knows_the_same_task_elsewhere_finds_its_best_at_once(table: Path, tmp_path: Path) -> None:
    arrays = dict(np.load(table))
    arrays |= {name: arrays[name][[0, 1, 1]] for name in ("valid", "test", "cost")}
    arrays["tasks"] = np.array(["first", "second", "third"])
    path = tmp_path / "three.npz"
    np.savez(path, **arrays)
    found = run("--table", path, "--seeds", 1, "--evaluations", 10, script="transfer.py")
    assert [row["controller"] for row in found["rows"]] == ["tpe", "evolution-20-warm", "learned", "knowing"]
    assert found["rows"][3]["rank"] == {"10": 1.0}
    for ratio in found["ratios"]["knowing"].values():
        assert ratio["low"] <= ratio["point"] <= ratio["high"]
        assert ratio["never"] <= ratio["point"], "one that never gets there counts with its budget"
    arrays["valid"] = arrays["valid"].copy()
    arrays["valid"][2, 5:] = np.nan  # too few results to be told
    np.savez(path, **arrays)
    assert run("--table", path, "--seeds", 1, "--evaluations", 10, script="transfer.py")["rows"]


@pytest.mark.parametrize("script", ["controllers.py", "transfer.py"])
@pytest.mark.parametrize("junk", [b"", b"junk", b"PK\x03\x04junk"])
def test_what_is_no_table_is_said_in_one_line(script: str, junk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "junk.npz"
    path.write_bytes(junk)
    command = [sys.executable, BENCHMARKS / script, "--table", path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {path} is no table of recorded results")
    assert done.stderr.count("\n") == 1


def test_two_tasks_are_too_few_to_tell_what_one_can_learn(table: Path) -> None:
    command = [sys.executable, BENCHMARKS / "transfer.py", "--table", table]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "has 2 tasks: three are needed" in done.stderr


def test_what_is_nearest_does_not_depend_on_where_in_the_file_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a file that is sorted by its results hands the best ones to whoever asks for what it lacks."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import recorded

    dimensions = [{"name": f"d{i}", "choices": list("abcd")} for i in range(6)]
    rng = np.random.default_rng(0)
    configs = np.unique(rng.integers(4, size=(60, 6)), axis=0)

    def table(order: np.ndarray) -> Any:
        values = np.zeros((1, len(configs), 1))
        return recorded.Table("t", dimensions, configs[order], ["a"], values, values[..., 0], [])

    one, other = table(np.arange(len(configs))), table(rng.permutation(len(configs)))
    for _ in range(30):
        asked = one.space.sample(rng)
        assert one.candidate(one.nearest(asked, [])) == other.candidate(other.nearest(asked, []))


def test_numbers_written_as_text_are_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import recorded

    dimensions = [{"name": "width", "choices": ["16", "1e1", "8"]}, {"name": "act", "choices": ["a", "1"]}]
    values = np.arange(6.0)[None]
    np.savez(
        tmp_path / "t.npz",
        space=json.dumps(dimensions),
        configs=np.array(list(product(range(3), range(2)))),
        tasks=np.array([b"a"]),
        valid=values,
        test=values,
    )
    table = recorded.read(tmp_path / "t.npz")
    width, act = (table.space.flat[name] for name in ("width", "act"))
    assert (width.values, width.ordered, act.ordered) == (("8", "1e1", "16"), True, False)
    assert table.tasks == ["a"]
    assert table.valid[0, table.row(table.candidate(0)), 0] == values[0, 0]
    assert dict(table.candidate(0)) == {"width": "16", "act": "a"}


def test_a_table_with_gaps_is_searched_by_who_proposes_the_same_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Optuna's TPE is not told what the table lacks: it would propose it for ever."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import optuna
    import recorded
    from replay import replay

    dimensions = [{"name": f"d{i}", "choices": list("abcd")} for i in range(3)]
    configs = np.array([row for row in product(range(4), repeat=3) if sum(row) % 4 == 0])
    values = -configs.sum(1)[None, :, None].astype(float)
    table = recorded.Table("t", dimensions, configs, ["a"], values, values[..., 0], [])

    class Stubborn(optuna.samplers.RandomSampler):
        def sample_independent(self, *asked: Any) -> str:
            return "b"

    found = replay(table, 0, Stubborn(0), 16, 0)
    assert sorted(found.found) == list(range(16))
