"""Which families a command line asks for, what they are called, and whose an option is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metanas.cli.asking import OWN_OPTIONS, Asked, parse, source, study_of
from metanas.tasks.family import silent

KNOWN = ("harmonics", "images", "sinusoid", "table")
GIVEN: dict[str, Any] = dict.fromkeys(OWN_OPTIONS) | {"image_size": 28}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("sinusoid", [("sinusoid", "sinusoid", None)]),
        ("table a.csv", [("table", "table", "a.csv")]),
        ("sinusoid harmonics", [("sinusoid", "sinusoid", None), ("harmonics", "harmonics", None)]),
        ("sinusoid table a.csv", [("sinusoid", "sinusoid", None), ("table", "table", "a.csv")]),
        ("table a.csv table b.csv", [("a", "table", "a.csv"), ("b", "table", "b.csv")]),
        ("table a.csv x/b.csv", [("a", "table", "a.csv"), ("b", "table", "x/b.csv")]),
        ("table x/a.csv y/a.csv", [("a", "table", "x/a.csv"), ("a-2", "table", "y/a.csv")]),
        ("table table", [("table", "table", None), ("table-2", "table", None)]),
        ("table b.csv images b", [("table", "table", "b.csv"), ("images", "images", "b")]),
        ("mine:Lines sinusoid", [("Lines", "mine:Lines", None), ("sinusoid", "sinusoid", None)]),
        ("sinusoid harmonic", [("sinusoid", "sinusoid", None), ("harmonic", "harmonic", None)]),  # a slip
        ("sinusoid photos.zip", [("sinusoid", "sinusoid", "photos.zip")]),
        ("unknown", [("unknown", "unknown", None)]),
    ],
)
def test_families_and_their_paths(words: str, found: list[tuple[str, str, str | None]]) -> None:
    asked = parse(words.split(), KNOWN)
    assert [(one.name, one.family, str(one.path) if one.path else None) for one in asked] == found


def test_a_file_that_is_called_like_a_family_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "image").mkdir()
    (one,) = parse(["images", "image"], KNOWN)
    assert one.path == Path("image")
    (tmp_path / "images").mkdir()
    (one,) = parse(["images", "images"], KNOWN)
    assert one.path == Path("images")
    (tmp_path / "harmonics").mkdir()
    assert [one.path for one in parse(["sinusoid", "harmonics"], KNOWN)] == [None, None]


def test_a_study_is_called_as_its_families_are() -> None:
    assert study_of(parse(["sinusoid", "table", "a.csv", "b.csv"], KNOWN)) == "sinusoid-a-b"


def options(name: str, words: str, **given: Any) -> dict[str, Any]:
    asked = parse(words.split(), KNOWN)
    (one,) = (one for one in asked if one.name == name)
    return one.options(GIVEN | given, [other for other in asked if other is not one])


def test_columns_are_for_tables_and_test_data_for_images() -> None:
    given: dict[str, Any] = {
        "task_column": "m",
        "target": "y",
        "test_data": Path("t"),
        "splits": Path("s"),
        "shots": 3,
    }
    words = "sinusoid table a.csv images b"
    table, images, curves = (options(name, words, **given) for name in ("table", "images", "sinusoid"))
    assert (table["task_column"], table["target"], table["test_data"], table["splits"]) == (
        "m",
        "y",
        None,
        Path("s"),
    )
    assert (images["task_column"], images["test_data"], images["splits"]) == (None, Path("t"), Path("s"))
    assert {curves[name] for name in ("task_column", "target", "test_data", "splits")} == {None}
    assert {table["shots"], images["shots"], curves["shots"]} == {3}


def test_an_option_that_none_can_use_is_refused_by_the_families() -> None:
    """Dropping it in silence would search something else than was asked for."""
    assert options("sinusoid", "sinusoid harmonics", task_column="m")["task_column"] == "m"


def test_what_a_family_has_of_its_own_goes_before_what_is_for_all() -> None:
    one = Asked("wear", "table", Path("w.csv"), {"shots": 10, "features": ("a", "b,c")})
    found = one.options(GIVEN | {"shots": 5, "target": "y"}, [])
    assert (found["shots"], found["target"]) == (10, "y")
    made = source(one, found, silent)
    assert (made.path, made.shots, made.features) == (Path("w.csv"), 10, ("a", "b,c"))
    assert source(one, found | {"features": " a, b ,"}, silent).features == ("a", "b")
    assert source(one, found | {"features": '"load, rel. (%)", b'}, silent).features == (
        "load, rel. (%)",
        "b",
    )
