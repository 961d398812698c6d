"""Tables of recorded searches as others write them: checked, in one form, and searched as far as they go."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers import learned, random
from controllers.start import spread
from search_spaces import Candidate, Categorical, Space
from search_spaces.errors import DataError

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
DIMENSIONS = [{"name": "width", "choices": [64, 16, 32]}, {"name": "norm", "choices": ["none", "layer"]}]
CONFIGS = np.array([(i, j) for i in range(3) for j in range(2)])
VALID = np.arange(12, dtype=np.float32).reshape(2, 6)


@pytest.fixture(scope="module")
def modules() -> Any:
    """``recorded`` and ``replay``, behind our packages, one of which is called as a benchmark is."""
    before = list(sys.path)
    sys.path.append(str(BENCHMARKS))
    import recorded
    import replay

    yield recorded, replay
    sys.path[:] = before


@pytest.fixture(scope="module")
def recorded(modules: tuple[ModuleType, ModuleType]) -> ModuleType:
    return modules[0]


@pytest.fixture(scope="module")
def replay(modules: tuple[ModuleType, ModuleType]) -> ModuleType:
    return modules[1]


def write(path: Path, space: Any = DIMENSIONS, **changed: Any) -> Path:
    """A table of six configurations and two tasks, with whatever is given changed; None: left out."""
    usual = {"configs": CONFIGS, "tasks": np.array(["a", "b"]), "valid": VALID, "test": VALID}
    arrays = {"space": json.dumps(space), **usual, **changed}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def results(table: Any) -> dict[Candidate, float]:
    """Of its first task, by candidate."""
    return {table.candidate(row): float(table.valid[0, row, -1]) for row in range(len(table.configs))}


def all_are_reached(table: Any) -> None:
    rng = np.random.default_rng(0)
    for row in range(len(table.configs)):
        candidate = table.candidate(row)
        table.space.validate(candidate)
        assert table.row(candidate) == row
    drawn = {table.row(table.space.sample(rng)) for _ in range(50 * len(table.configs))}
    assert drawn >= set(range(len(table.configs)))


def test_numbers_are_neighbours_by_value_however_they_stand_there(
    recorded: ModuleType, tmp_path: Path
) -> None:
    table = recorded.read(write(tmp_path / "x.npz"))
    width = table.space.flat["width"]
    assert width.ordered
    assert width.values == (16, 32, 64)
    assert results(table)[Candidate({"width": 64, "norm": "layer"})] == 1.0
    assert results(table)[Candidate({"width": 16, "norm": "none"})] == 2.0


@pytest.mark.parametrize(
    ("choices", "values"),
    [
        ([None, 2, 4], ("null", 2, 4)),
        ([[50], [100], [50, 50]], ("[50]", "[100]", "[50, 50]")),
        ([0, False, "n"], ("0", "false", '"n"')),
        ([1, 1.0, 2], ("1", "1.0", "2")),
        ([float("nan"), 1.5, True], ("NaN", 1.5, True)),
    ],
)
def test_choices_of_any_kind_are_values(
    recorded: ModuleType, tmp_path: Path, choices: list[Any], values: tuple[Any, ...]
) -> None:
    space = [{"name": "odd", "choices": choices}, DIMENSIONS[1]]
    table = recorded.read(write(tmp_path / "x.npz", space))
    assert table.space.flat["odd"].values == values
    assert results(table)[Candidate({"odd": values[1], "norm": "none"})] == 2.0
    all_are_reached(table)


def test_what_is_not_finite_has_failed(recorded: ModuleType, replay: ModuleType, tmp_path: Path) -> None:
    valid = np.stack([VALID, VALID], 2)
    valid[0, 0, 1], valid[0, 1, 1], valid[0, 2, 1] = np.nan, np.inf, -np.inf
    valid[0, 3, 0] = np.nan  # it came through
    path = write(tmp_path / "x.npz", valid=valid, rungs=np.array([10, 30]))
    assert np.isnan(recorded.read(path).valid[0, :3, 1]).all()
    told = replay.records(str(path), 0, 0, False, _uniform)
    assert {r.score.value: r.valid_curve for r in told} == {
        3.0: ((30, 3.0),),
        4.0: ((10, 4.0), (30, 4.0)),
        5.0: ((10, 5.0), (30, 5.0)),
    }


@pytest.mark.parametrize(
    ("told", "steps", "last"),
    [([27, 9, 3], [3, 9, 27], 0), ([0.1, 0.3, 0.9], [1, 2, 3], 2), (None, [1, 2, 3], 2)],
)
def test_the_last_rung_is_the_highest(
    recorded: ModuleType, tmp_path: Path, told: list[float] | None, steps: list[int], last: int
) -> None:
    valid = np.stack([VALID, VALID + 10, VALID + 20], 2)
    rungs = None if told is None else np.array(told)
    table = recorded.read(write(tmp_path / "x.npz", valid=valid, rungs=rungs))
    assert table.rungs == steps
    assert results(table)[Candidate({"width": 64, "norm": "none"})] == 10.0 * last


def test_a_configuration_is_there_once(recorded: ModuleType, tmp_path: Path) -> None:
    path = write(tmp_path / "x.npz", configs=CONFIGS[[0, 1, 0, 2, 1, 3]])
    assert sorted(results(recorded.read(path)).values()) == [0.0, 1.0, 3.0, 5.0]


@pytest.mark.parametrize("both", [np.logical_and, np.logical_or])
def test_conditions_may_hang_on_several_dimensions(recorded: ModuleType, tmp_path: Path, both: Any) -> None:
    space = [
        {"name": name, "choices": [0, 1, 2][:count]}
        for name, count in (("a", 2), ("b", 2), ("p", 3), ("q", 2), ("idle", 2))
    ]
    every = np.array(list(np.ndindex(2, 2, 3, 2, 2)))
    every[~both(every[:, 0] == 0, every[:, 1] == 0), 2:4] = -1
    every[:, 4] = -1
    configs = np.unique(every, axis=0)
    valid = np.zeros((1, len(configs)))
    path = write(tmp_path / "x.npz", space, configs=configs, tasks=["a"], valid=valid, test=valid)
    table = recorded.read(path)
    assert set(table.space.flat) == {"a", "b", "p", "q"}
    all_are_reached(table)


@given(st.data())
def test_every_row_of_any_table_can_be_searched(
    recorded: ModuleType, tmp_path_factory: Any, data: Any
) -> None:
    counts = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    row = st.tuples(*(st.integers(-1, count - 1) for count in counts))
    configs = np.array(data.draw(st.lists(row, min_size=1, max_size=12)))
    number = st.one_of(st.integers(-9, 9), st.floats(), st.booleans(), st.none(), st.text(max_size=2))
    space = [
        {
            "name": f"d{i}",
            "choices": data.draw(st.lists(number, min_size=c, max_size=c, unique_by=json.dumps)),
        }
        for i, c in enumerate(counts)
    ]
    valid = np.arange(len(configs), dtype=float)[None]
    path = tmp_path_factory.mktemp("any") / "x.npz"
    if (configs < 0).all():
        configs[0, 0] = 0
    table = recorded.read(write(path, space, configs=configs, tasks=["a"], valid=valid, test=valid))
    assert len(table.configs) == len(np.unique(configs[:, (configs >= 0).any(0)], axis=0))
    for number in range(len(table.configs)):
        table.space.validate(table.candidate(number))
        assert table.row(table.candidate(number)) == number


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"space": {"width": [1]}}, "space should be a list"),
        ({"space": [{"name": "width", "choices": []}, DIMENSIONS[1]]}, "without choices"),
        ({"space": [DIMENSIONS[1], DIMENSIONS[1]]}, "two dimensions of one name"),
        ({"space": [*DIMENSIONS, {"name": "more", "choices": [1]}]}, "configs should have the shape"),
        ({"space": [{"name": "width", "choices": ["a", "a", "b"]}, DIMENSIONS[1]]}, "should be distinct"),
        ({"configs": CONFIGS + 0.5}, "configs should be whole numbers"),
        ({"configs": CONFIGS - 2}, "width has others"),
        ({"configs": CONFIGS + 1}, "width has others"),
        ({"configs": CONFIGS[:0]}, "configs should have the shape"),
        ({"configs": np.full((6, 2), -1)}, "no dimension is ever active"),
        ({"valid": VALID.T}, r"valid should have the shape \(2, 6, any\), not \(6, 2, 1\)"),
        ({"valid": VALID[0]}, "valid should have the shape"),
        ({"valid": VALID.astype(str)}, "valid should be numbers"),
        ({"valid": VALID * [[1], [np.nan]]}, "task b has no finite result"),
        ({"tasks": np.array(["a", "a"])}, "different names"),
        ({"tasks": np.array("a")}, "tasks should have the shape"),
        ({"tasks": np.array(["a", "b", "c"])}, "valid should have the shape"),
        ({"test": VALID[:, :4]}, "test should have the shape"),
        ({"test": None}, "it has no array test"),
        ({"rungs": np.array([1, 2])}, "rungs should have the shape"),
        ({"rungs": np.array(["hi"])}, "rungs should be numbers"),
    ],
)
def test_what_does_not_belong_together_is_said(
    recorded: ModuleType, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=f"x.npz is no table of recorded results: .*{said}") as caught:
        recorded.read(write(tmp_path / "x.npz", **changed))
    assert "\n" not in str(caught.value)


def test_a_table_that_lacks_most_combinations_is_searched_by_what_is_nearest(
    recorded: ModuleType, replay: ModuleType, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    space = [{"name": f"x{i}", "choices": list(range(10))} for i in range(12)]
    configs = rng.integers(10, size=(200, 12))
    valid = -np.abs(configs - 5.0).sum(1)[None]
    path = write(tmp_path / "x.npz", space, configs=configs, tasks=["a"], valid=valid, test=valid)
    table = recorded.read(path)
    assert table.is_sparse
    moved = Candidate(dict(table.candidate(7)) | {"x3": (table.candidate(7)["x3"] + 1) % 10})
    assert table.nearest(moved, []) == 7
    assert table.nearest(moved, [7]) != 7
    found = replay.replay(table, 0, learned.build(table.space, 0), 60, 0).found
    assert len(set(found)) == 60
    best = set(np.argsort(-table.valid[0, :, -1])[:10])
    assert len(best.intersection(found)) >= 6  # it is a search: of a lottery 3 were to be expected


def test_json_is_strict_where_most_has_failed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    space = [{"name": f"x{i}", "choices": list(range(6))} for i in range(3)]
    configs = np.array(list(np.ndindex(6, 6, 6)))
    valid = np.where(rng.random((1, 216)) < 0.95, -np.inf, 0.5)
    path = write(tmp_path / "x.npz", space, configs=configs, tasks=["a"], valid=valid, test=valid)
    words = ["--table", path, "--controllers", "random", "--seeds", "2", "--evaluations", "10"]
    for more in (["--json"], []):
        command = [sys.executable, BENCHMARKS / "controllers.py", *words, *more]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if more:
            json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_twenty_switches_combine_in_a_million_ways_and_a_start_is_still_found() -> None:
    below = {True: (Categorical("size", (1, 2, 3)),)}
    switches = [
        Categorical(f"switch{i}", (False, True), {True: (Categorical(f"size{i}", (1, 2)),)})
        for i in range(20)
    ]
    space, rng = (
        Space("switches", (*switches, Categorical("more", (False, True), below))),
        np.random.default_rng(0),
    )
    tried: list[Candidate] = []
    for _ in range(8):
        tried.append(spread(space, tried, rng))
        space.validate(tried[-1])
    assert len({tuple(one[f"switch{i}"] for i in range(20)) for one in tried}) == 8


def _uniform(table: Any, seed: int) -> Any:
    return random.build(table.space, seed)
