"""What the command says of images and tables that cannot be used."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from metanas.testing.drawings import draw_class, draw_classes
from metanas.testing.tables import COLUMNS, rows, write
from tests.metanas.refused import Make, Run, assert_says, wrong


def broken_zip(folder: Path) -> Sequence[object]:
    (folder / "data.zip").write_bytes(b"PK\x03\x04 and then nothing")
    return ("data.zip",)


def zip_slip(folder: Path) -> Sequence[object]:
    with zipfile.ZipFile(folder / "data.zip", "w") as archive:
        archive.writestr("../outside/a.png", b"")
    return ("data.zip",)


def lone_images(folder: Path) -> Sequence[object]:
    draw_classes(folder / "data", [f"c{i}" for i in range(12)], images=3)
    draw_class(folder / "data/alone", 1)
    return ("data", "--ways", 2)


def pictures(*options: object) -> Make:
    def make(folder: Path) -> Sequence[object]:
        draw_classes(folder / "data", [f"c{i}" for i in range(12)], images=3)
        return ("data", *options)

    return make


IMAGES: list[tuple[Make, str]] = [
    (broken_zip, r"data\.zip"),
    (zip_slip, r"data\.zip.*outside"),
    (lone_images, r"alone.*(1|one) image"),
    (pictures("--ways", 40), r"40"),
    (pictures("--ways", 1), r"--ways should be at least 2, not 1"),
    (pictures("--ways", 2, "--shots", 3), r"3"),
    (pictures("--ways", 2, "--shots", 1, "--queries", 9), r"9"),
    (pictures("--ways", 2, "--splits", "gone.txt"), r"gone\.txt"),
    (pictures("--ways", 2, "--test-data", "gone"), r"gone"),
    (pictures("--image-size", 2), r"2 is not in the range"),
]


@pytest.mark.parametrize(("make", "said"), IMAGES)
def test_images_that_cannot_be_used(metanas: Run, tmp_path: Path, make: Make, said: str) -> None:
    assert_says(said, wrong(metanas, tmp_path, "search", "images", *make(tmp_path)))


def table(edit: Callable[[list[Any]], object], *options: object, lines: int | None = None) -> Make:
    """A table of 40 machines, each row of it edited, and the command line for it."""

    def make(folder: Path) -> Sequence[object]:
        found = rows(machines=40)
        for row in found[:lines]:
            edit(row)
        write(folder / "t.csv", found)
        return ("t.csv", *(options or WEAR))

    return make


def put(column: str, value: str) -> Callable[[list[Any]], object]:
    return lambda row: row.__setitem__(COLUMNS.index(column), value)


WEAR = ("--task", "machine", "--target", "wear")
AS_IT_IS = put("site", "here")
TABLES: list[tuple[Make, str]] = [
    (
        table(AS_IT_IS, "--task", "engine", "--target", "wear"),
        r"t\.csv has no column 'engine' \(it has row, site",
    ),
    (table(AS_IT_IS, "--task", "machine", "--target", "war"), r"t\.csv has no column 'war'"),
    (table(AS_IT_IS, *WEAR, "--features", "speed"), r"t\.csv has no column 'speed'"),
    (
        table(AS_IT_IS, *WEAR, "--shots", 11),
        r"0 of 40 tasks are large enough .*: fewer --shots, or more rows",
    ),
    (table(put("machine", "m1")), r"column 'machine' has 1 value: every row is of one task"),
    (table(put("wear", "NaN")), r"column 'wear' is empty in every row: there is nothing to learn"),
    (table(put("wear", "4")), r"column 'wear' is the same in every row: there is nothing to learn"),
    (
        table(put("load", "much"), lines=1),
        r"t\.csv, row 1 below the header: column 'load' is 'much', where nearly",
    ),
    (
        table(put("wear", "much"), lines=1),
        r"t\.csv, row 1 below the header: column 'wear' is 'much', where nearly",
    ),
    (
        table(AS_IT_IS, "--task", "machine", "--target", "mode", "--kind", "regression"),
        r"t\.csv, row 1 below the header: column 'mode' is '\w+', not a number",
    ),
]


@pytest.mark.parametrize(("make", "said"), TABLES)
def test_tables_that_cannot_be_used(metanas: Run, tmp_path: Path, make: Make, said: str) -> None:
    assert_says(said, wrong(metanas, tmp_path, "search", "table", *make(tmp_path)))


def test_a_table_that_does_not_fit_says_what_would(
    metanas: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million rows of a thousand columns, as its first rows promise, on a machine of 8 GB."""
    monkeypatch.setattr("metanas.tasks.sheets._rows_of_csv", lambda path: 10**6)
    monkeypatch.setattr("metanas.tasks.sheets.free_memory", lambda: 8e9)
    names = ["machine", "wear", *(f"x{i}" for i in range(998))]
    write(tmp_path / "t.csv", [[0] * 1000], names)
    line = wrong(metanas, tmp_path, "search", "table", "t.csv", *WEAR)
    assert_says(
        r"about 1,000,000 rows of 1,000 columns, which need 24.0 GB .* about 166 columns fit; name", line
    )
