"""Families in a file of the user's: ten lines are enough, and what is wrong with them is said at once."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metanas as package
from metanas.tasks.content import digest
from metanas.tasks.family import Source, silent
from metanas.tasks.own import Own, load
from metanas.testing.tables import rows, write
from search_spaces.errors import DataError
from tests.metanas.own import Lines, Spots

Run = Callable[..., Any]
EXAMPLE = Path(__file__).parents[2] / "examples" / "own_family.py"


FROM_FILE = """
import torch


class Levels:
    def __init__(self, path):
        self.levels = torch.tensor([float(word) for word in path.read_text().split()])

    def sample(self, n_tasks, examples, generator):
        level = self.levels[torch.randint(3, (n_tasks, 1), generator=generator)]
        x = torch.rand(n_tasks, examples, 1, generator=generator)
        return x, level * x[..., 0]
"""


def family(**changes: Any) -> Own:
    return Own("here:Lines", type("Lines", (Lines,), changes)())


@pytest.mark.long
def test_the_example_is_as_short_as_it_says_and_runs(
    metanas: Run, quick: Sequence[object], tmp_path: Path
) -> None:
    lines = EXAMPLE.read_text().partition("class")[2].splitlines()
    assert len([line for line in lines if line.strip()]) <= 10
    shutil.copy(EXAMPLE, tmp_path)
    options = quick[2:]
    ran = metanas("search", "own_family:Decays", *options, "--json")
    assert ran.code == 0, ran.err
    assert ran.lines[-1]["study"] == "Decays"
    learner = package.load(tmp_path / "Decays.metanas")
    assert learner.adapt(np.zeros((5, 1)), np.ones(5)).predict(np.zeros((3, 1))).shape == (3,)
    assert metanas("search", "own_family:Decays", *options, "--json").code == 0, "goes on"


@pytest.mark.long
def test_another_definition_is_another_study(metanas: Run, quick: Sequence[object], tmp_path: Path) -> None:
    """What was scored on other tasks is not compared."""
    text = EXAMPLE.read_text()
    for name, body in (("cooling_one", text), ("cooling_two", text.replace("0.01", "0.5"))):
        (tmp_path / f"{name}.py").write_text(body)
    assert metanas("search", "cooling_one:Decays", *quick[2:]).code == 0
    ran = metanas("search", "cooling_two:Decays", *quick[2:])
    assert ran.code == 2
    assert "Decays" in ran.err


def test_what_stands_around_the_class_is_a_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    codes = set()
    for number, noise in enumerate(("0.1", "0.2")):
        text = EXAMPLE.read_text().replace("0.01", "NOISE") + f"\n\nNOISE = {noise}\n"
        (tmp_path / f"around_{number}.py").write_text(text)
        codes.add(load(f"around_{number}:Decays", Source()).facts()["code"])
    assert len(codes) == 2


@pytest.mark.long
def test_other_data_is_another_study(metanas: Run, quick: Sequence[object], tmp_path: Path) -> None:
    """Whatever the class makes of a file: scores on what it held before are not compared."""
    (tmp_path / "from_file.py").write_text(FROM_FILE)
    (tmp_path / "levels.txt").write_text("1 2 3")
    words = ("search", "from_file:Levels", "levels.txt", *quick[2:])
    assert metanas(*words).code == 0
    assert metanas(*words).code == 0, "goes on"
    (tmp_path / "levels.txt").write_text("1 2 4")
    ran = metanas(*words)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "other data" in ran.err


def test_a_folder_of_data_is_known_by_what_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one that we write to, nor by what programs leave behind."""
    folder = tmp_path / "data"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "a.txt").write_text("1")
    monkeypatch.chdir(tmp_path)
    first = digest(folder, silent)
    assert first is not None
    (folder / ".DS_Store").write_text("x")
    (folder / "__pycache__" / "c.pyc").write_text("x")
    assert digest(folder, silent) == first
    (folder / ".git/refs/heads").mkdir(parents=True)
    (folder / ".git/refs/heads/main").write_text("x")
    assert digest(folder, silent) == first
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/a.txt").write_text("1")
    assert digest(tmp_path / ".hidden", silent) == first
    (tmp_path / "large").mkdir()
    (folder / "linked").symlink_to(tmp_path / "large")
    assert digest(folder, silent) == first
    (tmp_path / "large/b.txt").write_text("x")
    assert digest(folder, silent) != first
    (tmp_path / "large/b.txt").unlink()
    (folder / "a.txt").write_text("2")
    second = digest(folder, silent)
    (folder / "a.txt").rename(folder / "b.txt")
    assert len({first, second, digest(folder, silent)}) == 3
    assert digest(tmp_path, silent) is None
    assert digest(Path("a word"), silent) is None


def test_check_goes_through_the_suite(metanas: Run, tmp_path: Path) -> None:
    shutil.copy(EXAMPLE, tmp_path / "checked_family.py")
    ran = metanas("family", "check", "checked_family:Decays")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("ok ") == len(ran.out.splitlines()) > 10
    (tmp_path / "same_family.py").write_text(
        EXAMPLE.read_text()
        .replace("torch.rand(2, n_tasks, 1, 1, generator=generator)", "0.5, 0.5")
        .replace(
            "5 * torch.rand(n_tasks, examples, 1, generator=generator)", "torch.ones(n_tasks, examples, 1)"
        )
        .replace("0.01 * torch.randn(time.shape, generator=generator)", "0.0")
    )
    ran = metanas("family", "check", "same_family:Decays")
    assert ran.code == 2
    assert "NO " in ran.out
    assert "fails" in ran.err


def test_check_takes_the_columns_of_a_table(metanas: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", rows(machines=60))
    ran = metanas("family", "check", "table", path, "--task", "machine", "--target", "wear", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.json) > 10
    assert all(one["ok"] for one in ran.json)


def test_classes_have_an_axis_of_their_own() -> None:
    found = Own("here:Spots", Spots())
    assert (found.kind, found.limits.ways) == ("classification", {"train": 8, "valid": 8, "test": 8})
    assert found.preprocessing["features"] == ["left", "right"]
    drawn = found.sample(3, "test", torch.Generator().manual_seed(0), shots=2, ways=4, queries=1)
    assert drawn["support_y"][0].argmax(-1).tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert (drawn["support_x"].round() == drawn["support_x"][:, :4].round().repeat(1, 2, 1)).all()
    assert drawn["support_x"].min() > 15, "the split is passed on"


def nan(self: Any, n_tasks: int, examples: int, generator: torch.Generator) -> Any:
    x = torch.rand(n_tasks, examples, 1, generator=generator)
    return x, x / 0 - x / 0


def few(self: Any, n_tasks: int, examples: int, generator: torch.Generator) -> Any:
    return torch.rand(n_tasks, 2, 1, generator=generator), torch.rand(n_tasks, 2, generator=generator)


def alone(self: Any, n_tasks: int, examples: int, generator: torch.Generator) -> Any:
    return torch.rand(n_tasks, examples, 1, generator=generator)


def unseeded(self: Any, n_tasks: int, examples: int, generator: torch.Generator) -> Any:
    x = torch.rand(n_tasks, examples, 1)
    return x, x


def words(self: Any, n_tasks: int, examples: int, generator: torch.Generator) -> Any:
    return "x", "y"


def raising(self: Any, n_tasks: int, examples: int, generator: torch.Generator) -> Any:
    raise KeyError("depth")


def greedy(self: Any, n_tasks: int, examples: int, generator: torch.Generator, colour: str) -> Any: ...


def narrow(self: Any, n_tasks: int, generator: torch.Generator) -> Any: ...


def test_names_of_columns_are_as_many_as_there_are(tmp_path: Path) -> None:
    """Else a learner could not be saved at the end of the search."""
    assert Own("here:Spots", Spots()).preprocessing["targets"] == ["y"], "a class is one column"
    for wrong in (["one"], ["a", "a"], ["a", 1]):
        with pytest.raises(DataError, match="it should be 2 different names"):
            family(features=wrong)
    with pytest.raises(DataError, match="has targets = "):
        family(targets=["only one"])


CLASSES = """
import torch


class Clouds:
    def sample(self, n_tasks, ways, examples, generator):
        if examples > 20:
            raise ValueError("there are 20 examples of each class")
        means = torch.randn(n_tasks, ways, 1, 2, generator=generator)
        return means + 0.1 * torch.randn(n_tasks, ways, examples, 2, generator=generator)
"""


def test_classes_are_searched_saved_and_adapted_to(
    metanas: Run, quick: Sequence[object], tmp_path: Path
) -> None:
    """Of few examples, too: with more shots than there are it is scored as far as they go."""
    (tmp_path / "clouds.py").write_text(CLASSES)
    ran = metanas("search", "clouds:Clouds", "--ways", 3, *quick[2:], "--json")
    assert (ran.code, ran.err) == (0, "")
    learner = package.load(tmp_path / "Clouds.metanas")
    x = np.array([[0.0, 0.0], [5.0, 5.0], [-5.0, 5.0]])
    assert learner.adapt(x, ["a", "b", "c"]).predict(x).tolist() == ["a", "b", "c"]


def noisy(self: Any, n_tasks: int, examples: int, generator: torch.Generator) -> Any:
    x = torch.rand(n_tasks, examples, 1, generator=generator)
    return x, x[..., 0] + torch.randn(n_tasks, examples)


def test_numbers_may_be_held_in_any_way() -> None:
    """Made by a network that could be trained, turned around, in another byte order, in more digits."""

    def sample(self: Any, n_tasks: int, examples: int, generator: torch.Generator) -> Any:
        x = torch.rand(n_tasks, examples, 2, generator=generator)
        y = torch.nn.functional.linear(x, torch.ones(1, 2, requires_grad=True))
        return x.numpy()[..., ::-1].astype(">f4"), y

    drawn = family(sample=sample).sample(3, "train", torch.Generator(), shots=2, ways=1, queries=2)
    assert not any(tensor.requires_grad for tensor in drawn.values())  # type: ignore[attr-defined]
    assert drawn["support_x"].dtype == torch.float32
    close = drawn["support_x"].sum(-1, keepdim=True) - drawn["support_y"]
    assert float(close.abs().max()) < 1e-6


def labelled(self: Any, n_tasks: int, examples: int, generator: torch.Generator) -> Any:
    return torch.rand(n_tasks, examples, 1, generator=generator), np.full((n_tasks, examples), "good")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"classes": {"train": 64, "valid": 16}}, "has classes = .* how many each split has"),
        ({"classes": 1}, "2 or more"),
        ({"classes": 4}, "has classes, and its sample does not take split"),
        ({"features": None}, "has features = None: it should be 2 different names"),
        ({"targets": "y"}, "has targets = 'y': it should be"),
    ],
)
def test_attributes_that_are_wrong_are_said(changed: Any, says: str) -> None:
    with pytest.raises(DataError, match=f"^family here:Lines .*{says}"):
        family(**changed)


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        (nan, "drew y with NaN"),
        (few, r"returned x \(4, 2, 1\) where \(4, 3, …\) was asked for"),
        (alone, "should return x and y"),
        (unseeded, "draw from generator= alone"),
        (noisy, "draw from generator= alone"),
        (labelled, "returned ndarray as y"),
        (words, "returned str as x"),
        (raising, "could not draw tasks: KeyError: 'depth'"),
        (greedy, "also wants colour"),
        (narrow, "does not take examples"),
        (None, "has no method sample"),
    ],
)
def test_what_is_wrong_is_said(sample: Any, says: str) -> None:
    with pytest.raises(DataError, match=f"^family here:Lines .*{says}") as caught:
        family(sample=sample)
    assert "\n" not in str(caught.value)


def test_the_line_of_their_file_is_named(metanas: Run, tmp_path: Path) -> None:
    code = EXAMPLE.read_text().replace("noise =", "noise = start.no_such_thing #")
    (tmp_path / "faulty_family.py").write_text(code)
    line = 1 + code.splitlines().index(next(text for text in code.splitlines() if "no_such_thing" in text))
    ran = metanas("search", "faulty_family:Decays", "--budget", "5s")
    assert ran.code == 2
    assert f"no attribute 'no_such_thing' (faulty_family.py line {line})" in ran.err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no_such_module:A", "ModuleNotFoundError"),
        ("json:NoClass", "AttributeError"),
        ("json:", "cannot make"),
    ],
)
def test_what_is_not_there_is_one_line(metanas: Run, name: str, says: str) -> None:
    ran = metanas("search", name, "--budget", "5s")
    assert ran.code == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert importlib.util.find_spec("no_such_module") is None
