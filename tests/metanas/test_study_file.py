"""Study files: what they say of a search, and that what is wrong is named with its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from metanas.cli.asking import Asked
from metanas.cli.search import command
from metanas.cli.study_file import StudyFile, read
from search_spaces.errors import DataError, MetanasError

GOOD = """\
budget = "90s"      # of everything
trials = 4
mix = true
shots = 5
image-size = 16
space = "small.toml"

[families.sinusoid]

[families.wear]
family = "table"
path = "data/wear.csv"
task = "machine"
target = "wear"
features = ["load", "a, b"]
splits = "splits.csv"
shots = 10
kind = "regression"
"""


def given(folder: Path, text: str) -> StudyFile:
    path = folder / "mine.toml"
    path.write_text(text)
    return read(path, command.params)


def test_options_and_families(tmp_path: Path) -> None:
    """Files lie beside the study file; options are called as the command calls its parameters."""
    found = given(tmp_path, GOOD)
    assert found.options == {
        "study": "mine",
        "budget_text": "90s",
        "trials": 4,
        "mix": True,
        "shots": 5,
        "image_size": 16,
        "space": str(tmp_path / "small.toml"),
    }
    own = {
        "task_column": "machine",
        "target": "wear",
        "features": ("load", "a, b"),
        "splits": tmp_path / "splits.csv",
        "shots": 10,
        "kind": "regression",
    }
    wear = Asked("wear", "table", tmp_path / "data/wear.csv", own)
    assert found.families == [Asked("sinusoid", "sinusoid"), wear]


def test_every_option_of_the_search_but_two_can_stand_in_a_file(tmp_path: Path) -> None:
    names = [p.opts[0].removeprefix("--") for p in command.params if isinstance(p, click.Option)]
    for name in names:
        with pytest.raises(DataError) as caught:
            given(tmp_path, f"{name} = [1]\n[families.sinusoid]\n")
        assert ("no option is called" in str(caught.value)) == (name == "json"), name


@pytest.mark.parametrize("text", ["'mlp'", "['mlp']"])
def test_an_option_that_may_be_given_several_times_may_be_a_list(tmp_path: Path, text: str) -> None:
    found = given(tmp_path, f"architecture = {text}\n[families.sinusoid]\n")
    assert found.options["architecture"] == ("mlp",)


ROWS = "[families.wear]\nfamily = 'table'\n"
WRONG = [
    ("", r"line 1: name at least one family: \[families.sinusoid\], say"),
    ("families = 3\n", r"line 1: name at least one family"),
    ("[families]\nwear = 'table'\n", r"line 2: families.wear should be a table: \[families.wear\]"),
    ("\n[families.sinus]\n", r"line 2: no family called 'sinus'; did you mean sinusoid\? \(known: .*table"),
    ("[families.a]\n\nfamily = 'tabel'\n", r"line 3: no family called 'tabel'; did you mean table"),
    ("[families.a]\nfamily = 3\n", r"line 2: families.a.family should be text, not 3"),
    (
        "budgt = '2m'\n[families.sinusoid]\n",
        r"line 1: no option is called budgt \(did you mean budget\? known: ",
    ),
    (
        ROWS + "taks = 'm'\n",
        r"line 3: no option is called taks \(did you mean task\? known: family, features",
    ),
    (ROWS + "budget = '2m'\n", r"line 3: no option is called budget"),
    (ROWS + "path = 1\n", r"line 3: families.wear.path should be text, not 1"),
    (ROWS + "shots = '5'\n", r"line 3: families.wear.shots should be a whole number, not \"5\""),
    (ROWS + "shots = true\n", r"line 3: families.wear.shots should be a whole number, not true"),
    (ROWS + "features = ['a', 1]\n", r"line 3: families.wear.features should be text, not 1"),
    (ROWS + "kind = 'ranking'\n", r"line 3: families.wear.kind: 'ranking' is not one of 'regression'"),
    (ROWS + "image_size = 2\n", r"line 3: families.wear.image_size: 2 is not in the range"),
    ("mix = 1\n[families.sinusoid]\n", r"line 1: mix should be true or false, not 1"),
    ("trials = 2.5\n[families.sinusoid]\n", r"line 1: trials should be a whole number, not 2.5"),
    ("[families.sinusoid]\n[families.sinusoid]\n", r"is not TOML: .*\(at line 2"),
    ("from = 'default'\n[families.sinusoid]\n", r"line 1: no option is called from"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        given(tmp_path, text)
    assert str(tmp_path / "mine.toml") in str(caught.value)
    assert "\n" not in str(caught.value) or "is not TOML" in said


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MetanasError, match=r"cannot read .*gone.toml: No such file"):
        read(tmp_path / "gone.toml", command.params)


def test_the_one_in_the_readme(tmp_path: Path) -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    (text,) = (
        block for block in re.findall(r"```toml\n(.*?)```", readme, re.DOTALL) if "[families." in block
    )
    found = given(tmp_path, text)
    assert [one.name for one in found.families] == ["sinusoid", "wear"]
    assert found.families[1].own["shots"] == 10


@pytest.mark.parametrize("start", ["", "sqlite:///"])
def test_its_store_is_beside_it(tmp_path: Path, start: str) -> None:
    """As all its files are: from another folder it would be another store, and the study begin anew."""
    found = given(tmp_path, f"store = '{start}runs.db'\n[families.sinusoid]\n")
    assert (
        found.options["store_url" if "store_url" in found.options else "store"]
        == f"{start}{tmp_path / 'runs.db'}"
    )
    for far in ("postgresql://me@host/runs", "/data/runs.db", "sqlite:////data/runs.db"):
        found = given(tmp_path, f"store = '{far}'\n[families.sinusoid]\n")
        assert far in found.options.values()


def test_its_store_comes_before_that_of_the_environment(
    metanas: Callable[..., Any], quick: Sequence[object], tmp_path: Path
) -> None:
    """Which holds where nothing else is said; the command line has the last word."""
    (tmp_path / "mine.toml").write_text("store = 'mine.db'\n[families.sinusoid]\n")
    for more, made in (((), "mine.db"), (("--store", "said.db"), "said.db")):
        ran = metanas("search", "mine.toml", *quick[2:], *more, "--json", METANAS_STORE="team.db")
        assert ran.code == 0, ran.err
        assert (tmp_path / made).exists()
        assert not (tmp_path / "team.db").exists()
