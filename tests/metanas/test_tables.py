"""A user's table: what is read, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metanas.tasks import sheets
from metanas.tasks.columns import encode, learn
from metanas.tasks.families import images, sinusoid, table
from metanas.tasks.family import Source
from metanas.tasks.headers import separator
from metanas.testing.tables import COLUMNS, MODES, rows, write
from search_spaces.errors import DataError
from tests.metanas.tabled import built, draw


def test_row_numbers_are_noticed_and_named(tmp_path: Path) -> None:
    family = built(write(tmp_path / "t.csv", rows()))
    assert any("row" in note and "number the rows" in note for note in family.notes)
    names = [feature["name"] for feature in family.preprocessing["features"]]
    assert names == ["site", "load", "mode", "day"]
    chosen = built(tmp_path / "t.csv", features=("row", "load"))
    assert [feature["name"] for feature in chosen.preprocessing["features"]] == ["row", "load"]


def shuffled(lines: list[list[Any]]) -> list[list[Any]]:
    return [lines[i] for i in np.random.default_rng(0).permutation(len(lines))]


def filtered(lines: list[list[Any]]) -> list[list[Any]]:
    return [line for line in lines if line[0] % 7]


def counted_from_1000(lines: list[list[Any]]) -> list[list[Any]]:
    return [[1000 + line[0], *line[1:]] for line in lines]


@pytest.mark.parametrize(
    ("edit", "name", "called"),
    [
        (shuffled, "row", "row"),
        (counted_from_1000, "key", "key"),
        (filtered, "", "column 1"),  # the index that pandas and R write
        (filtered, "Unnamed: 0", "Unnamed: 0"),
    ],
)
def test_row_numbers_of_tables_that_were_changed_since(
    tmp_path: Path, edit: Any, name: str, called: str
) -> None:
    family = built(write(tmp_path / "t.csv", edit(rows()), [name, *COLUMNS[1:]]))
    assert f"left out, only number the rows: {called} (--features takes them all the same)" in family.notes
    names = [feature["name"] for feature in family.preprocessing["features"]]
    assert names == ["site", "load", "mode", "day"]


def test_a_column_that_rises_is_no_row_number(tmp_path: Path) -> None:
    """Of a name, with gaps: it may be a time."""
    family = built(write(tmp_path / "t.csv", filtered(rows()), ["second", *COLUMNS[1:]]))
    assert family.preprocessing["features"][0]["name"] == "second"


def test_what_counts_anew_in_each_task_is_a_feature(tmp_path: Path) -> None:
    """Hours of a machine, of which there are more than a thousand for every one of 0."""
    lines = [[machine, hour, (machine + 1) * hour] for machine in range(3) for hour in range(1500)]
    names = ["machine", "hour", "wear"]
    family = built(write(tmp_path / "t.csv", lines, names))
    assert [feature["name"] for feature in family.preprocessing["features"]] == ["hour"]
    with pytest.raises(DataError, match="no column to learn from"):  # whereas these are numbers of rows
        built(write(tmp_path / "u.csv", [[m, 1500 * m + hour, y] for m, hour, y in lines], names))


@pytest.mark.parametrize(
    ("header", "row", "mark"),
    [
        ('"machine";"load (x, y, z, kN)";"wear"', "A;1.5;2", ";"),
        ("t\tacc (x, y, z)", "0\t1.5", "\t"),
        ("a,b;c", "1,2", ","),
        ("a;b", '"1,5;2";3', ";"),
        ('a,"b', "", ","),
    ],
)
def test_what_parts_the_cells_is_what_parts_those_of_the_first_row(header: str, row: str, mark: str) -> None:
    assert separator(header, row) == mark


def test_memory_that_the_system_keeps_of_files_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text(
        "MemTotal: 16000000 kB\nMemFree: 700000 kB\nMemAvailable: 12000000 kB\n"
    )
    monkeypatch.setattr(sheets, "_MEMORY", tmp_path / "meminfo")
    assert sheets.free_memory() == 12000000 * 1024
    monkeypatch.setattr(sheets, "_MEMORY", tmp_path / "none")
    assert sheets.free_memory() > 0


def test_decimal_commas_where_semicolons_part_the_cells(tmp_path: Path) -> None:
    """As a spreadsheet writes them in much of Europe."""
    lines = [[str(cell).replace(".", ",") for cell in line] for line in rows()]
    (tmp_path / "t.csv").write_text("\n".join(map(";".join, [COLUMNS, *lines])))
    commas, points = built(tmp_path / "t.csv"), built(write(tmp_path / "u.csv", rows()))
    assert commas.preprocessing == points.preprocessing
    torch.testing.assert_close(draw(commas)["query_y"], draw(points)["query_y"])


def test_kinds_of_columns(tmp_path: Path) -> None:
    family = built(write(tmp_path / "t.csv", rows()))
    kinds = {feature["name"]: feature["kind"] for feature in family.preprocessing["features"]}
    assert kinds == {"site": "category", "load": "number", "mode": "category", "day": "date"}
    assert set(next(f for f in family.preprocessing["features"] if f["name"] == "mode")["values"]) == set(
        MODES
    )
    assert family.kind == "regression"


def test_missing_cells(tmp_path: Path) -> None:
    lines = rows()
    for line in lines[::5]:
        line[3], line[4] = "", "NA"
    family = built(write(tmp_path / "t.csv", lines))
    load = next(f for f in family.preprocessing["features"] if f["name"] == "load")
    assert load["missing"]
    assert draw(family)["support_x"].isfinite().all()
    encoded = encode(load, np.array([np.nan, load["mean"]]))
    np.testing.assert_array_equal(encoded, [[0, 1], [0, 0]])


def test_a_category_never_seen_is_none_of_the_known(tmp_path: Path) -> None:
    column = learn("mode", np.array(["a", "b", "a"], dtype=object))
    assert column is not None
    encoded = encode(column, np.array(["b", "new", None], dtype=object))
    np.testing.assert_array_equal(encoded, [[0, 1], [0, 0], [0, 0]])


def test_truth_values_are_the_same_however_they_are_written() -> None:
    """pandas reads TRUE and true as booleans; a new task is read as text, or given by a program."""
    column = learn("on", np.array(["True", "False", "True"], dtype=object))
    assert column is not None
    expected = [[1, 0], [0, 1], [0, 0]]
    for yes, no in (("True", "False"), ("TRUE", "FALSE"), ("true", "false")):
        np.testing.assert_array_equal(encode(column, np.array([yes, no, None], dtype=object)), expected)
    np.testing.assert_array_equal(encode(column, np.array([1.0, 0.0, np.nan])), expected)


def test_booleans_of_npz_are_those_of_a_program(tmp_path: Path) -> None:
    on = np.arange(400) % 3 == 0
    named = np.array([f"m{i}" for i in np.arange(400) // 8])
    np.savez(tmp_path / "t.npz", x=on[:, None], y=np.arange(400.0), task=named)
    found = table.build(Source(tmp_path / "t.npz", task="task", target="y", shots=2))
    assert found.preprocessing["features"][0]["values"] == ["False", "True"]


def test_a_date_that_is_none_is_said(tmp_path: Path) -> None:
    """Written in another way by another program, it would be the mean of all without a word."""
    column = learn("day", np.array(["2024-01-15", "2024-01-17", None], dtype=object))
    assert column is not None
    with pytest.raises(DataError, match=r"row 1 .*column 'day' is '15/01/2024', not a date as in 2024-01-31"):
        encode(column, np.array(["2024-01-15", "15/01/2024"], dtype=object))
    assert encode(column, np.array([None], dtype=object)).tolist() == [[0, 1]]


def test_what_is_an_index_in_parquet_is_a_column(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.read_csv(write(tmp_path / "t.csv", rows())).set_index("machine")
    frame.to_parquet(tmp_path / "t.parquet")
    assert built(tmp_path / "t.parquet").tasks == built(tmp_path / "t.csv").tasks
    frame["wear"] = [np.inf, *frame["wear"][1:]]
    frame.to_parquet(tmp_path / "inf.parquet")
    with pytest.raises(DataError, match=r"row 1 .*column 'wear' is 'inf'"):
        built(tmp_path / "inf.parquet")


def test_a_date_that_is_none_is_said_before_a_search(tmp_path: Path) -> None:
    """Wherever it is: in a row of a test task, too, of which nothing is learned."""
    lines, day = rows(machines=60), COLUMNS.index("day")
    lines[700][day] = "unknown so far"
    with pytest.raises(DataError, match=r"t.csv, row 701 below the header: column 'day' .* are dates"):
        built(write(tmp_path / "t.csv", lines))


def test_an_index_without_a_name_is_no_feature(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.read_csv(write(tmp_path / "t.csv", rows())).sample(frac=0.9, random_state=0)
    frame.to_parquet(tmp_path / "t.parquet")
    features = [feature["name"] for feature in built(tmp_path / "t.parquet").preprocessing["features"]]
    assert features == [name for name in COLUMNS if name not in ("machine", "wear")]
    frame.index = pd.date_range("2024-01-01", periods=len(frame))
    frame.to_parquet(tmp_path / "dated.parquet")
    dated = built(tmp_path / "dated.parquet").preprocessing["features"]
    assert {"name": "__index_level_0__", "kind": "date"}.items() <= dated[-1].items()
    named = built(tmp_path / "t.parquet", features=("load", "__index_level_0__"))
    assert len(named.preprocessing["features"]) == 2


def test_what_a_table_does_not_have_is_refused(tmp_path: Path) -> None:
    """A verdict on other tasks than the user named would be believed."""
    path = write(tmp_path / "t.csv", rows())
    with pytest.raises(DataError, match="--splits, not --test-data"):
        built(path, test_path=path)
    for more in ({"group": "a"}, {"features": ("a",)}, {"kind": "regression"}):
        for build, given in ((images.build, {"path": tmp_path}), (sinusoid.build, {})):
            with pytest.raises(DataError, match="columns"):
                build(Source(**given, **more))  # type: ignore[arg-type]


def in_other_form(path: Path, ending: str) -> Path:
    """The same table as npz (numbers only), Parquet, with tabs, or as ``datasets`` saves one to a folder."""
    import pandas as pd

    frame, other = pd.read_csv(path), path.with_suffix(f".{ending}")
    if ending == "npz":
        x = np.column_stack([frame["load"]] * 5)
        np.savez(other, x=x, y=frame["wear"], task=frame["machine"].to_numpy(str))
    elif ending == "tsv":
        frame.to_csv(other, sep="\t", index=False)
    elif ending == "folder":
        arrow_folder(other, frame)
    elif ending == "parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(other)
    return other


def arrow_folder(folder: Path, frame: Any) -> None:
    """In two parts, beside what a map of it left behind."""
    pa = pytest.importorskip("pyarrow")
    folder.mkdir()
    whole = pa.Table.from_pandas(frame, preserve_index=False)
    for number, part in enumerate((whole.slice(0, 100), whole.slice(100))):
        name = str(folder / f"data-{number:05}-of-00002.arrow")
        with pa.OSFile(name, "wb") as sink, pa.ipc.new_stream(sink, whole.schema) as stream:
            stream.write_table(part)
    (folder / "state.json").write_text("{}")
    (folder / "cache-0123.arrow").write_bytes(b"of another table")


@pytest.mark.parametrize("ending", ["npz", "parquet", "tsv", "folder"])
def test_other_files_hold_the_same(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / "t.csv", rows())
    keys = {"task": "task", "target": "y"} if ending == "npz" else {}
    features = ("x0",) if ending == "npz" else ("load",)
    other = built(in_other_form(path, ending), features=features, **keys)
    plain = built(path, features=("load",))
    torch.testing.assert_close(draw(other)["support_x"], draw(plain)["support_x"])
    torch.testing.assert_close(draw(other)["query_y"], draw(plain)["query_y"])


def test_columns_that_have_a_type_of_their_own_are_read_as_text_would_be(tmp_path: Path) -> None:
    """Booleans, dates and categories of a Parquet file, some of them missing."""
    pytest.importorskip("pyarrow")
    import pandas as pd

    frame = pd.read_csv(write(tmp_path / "t.csv", rows()))
    frame["heavy"] = (frame["load"] > 0).astype("boolean").mask(frame.index % 5 == 0)
    frame["since"] = pd.to_datetime(frame["day"]).mask(frame.index % 7 == 0)
    frame["mode"] = frame["mode"].astype("category")
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    typed, text = (built(tmp_path / f"t.{ending}") for ending in ("parquet", "csv"))
    assert typed.preprocessing == text.preprocessing
    kinds = {feature["name"]: feature["kind"] for feature in typed.preprocessing["features"]}
    assert (kinds["heavy"], kinds["since"], kinds["mode"]) == ("category", "date", "category")
    torch.testing.assert_close(draw(typed)["support_x"], draw(text)["support_x"])


def change(column: str, value: str, every: int = 1) -> Any:
    def changed(lines: list[list[Any]]) -> list[list[Any]]:
        for line in lines[::every]:
            line[COLUMNS.index(column)] = value
        return lines

    return changed


def mistyped(lines: list[list[Any]]) -> list[list[Any]]:
    lines[41][3] = "3,1O"
    return lines


def decimal_commas(lines: list[list[Any]]) -> list[list[Any]]:
    for line in lines:
        line[6] = line[6].replace(".", ",")
    return lines


@pytest.mark.parametrize(
    ("edit", "options", "said"),
    [
        (None, {"task": "engine"}, r"t\.csv has no column 'engine' \(it has row, site, machine"),
        (None, {"features": ("load", "speed")}, r"has no column 'speed'"),
        (None, {"task": None}, r"--task COLUMN"),
        (None, {"target": None}, r"--target COLUMN"),
        (None, {"task": "wear"}, r"should name different columns"),
        (None, {"shots": 11}, r"0 of 24 tasks are large enough .*fewer --shots"),
        (
            None,
            {"kind": "regression", "target": "mode"},
            r"row 1 below the header: column 'mode' is '\w+', not a number",
        ),
        (change("machine", "m1"), {}, r"column 'machine' has 1 value: every row is of one task"),
        (
            change("site", "here"),
            {"group": "site"},
            r"column 'site' has 1 groups of large tasks: 3 are needed, .*leave --group out",
        ),
        (None, {"target": "war"}, r"no column 'war'; did you mean 'wear'\?"),
        (change("machine", ""), {}, r"column 'machine' is empty in every row: nothing tells tasks apart"),
        (change("wear", ""), {}, r"column 'wear' is empty in every row"),
        (change("wear", "4"), {}, r"column 'wear' is the same in every row"),
        (decimal_commas, {}, r"numbers are written with a decimal point, not as '\d+,\d+'"),
        (mistyped, {}, r"t\.csv, row 42 below the header: column 'load' is '3,1O', where nearly all others"),
    ],
)
def test_tables_that_cannot_be(tmp_path: Path, edit: Any, options: dict[str, Any], said: str) -> None:
    lines = rows() if edit is None else edit(rows())
    with pytest.raises(DataError, match=said):
        built(write(tmp_path / "t.csv", lines), **options)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("gone.csv", None, "there is no such file"),
        ("t.csv", b"", "is empty"),
        ("t.csv", b"machine,wear\n", "has no rows"),
        ("t.csv", b"machine,wear,wear\n1,2,3\n", "the column name 'wear' twice"),
        ("t.csv", b"machine,load,wear\n1,2\n1,2,3,4,5\n", "line 2: 2 cells for 3 columns"),
        ("t.csv", b"machine,wear\nm\xff,1\n", "is not UTF-8"),
        ("t.npz", b"PK\x03\x04 and then nothing", "is no npz file"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, data: bytes | None, said: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=said):
        built(tmp_path / name)


@pytest.mark.parametrize("ending", ["csv", "parquet", "npz", "folder"])
def test_a_table_larger_than_memory_says_what_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """Before any of it is read."""
    path = write(tmp_path / "t.csv", rows())
    path = path if ending == "csv" else in_other_form(path, ending)
    monkeypatch.setattr("metanas.tasks.sheets.free_memory", lambda: 25_000.0)
    keys = {"task": "task", "target": "y"} if ending == "npz" else {}
    with pytest.raises(
        DataError, match=r"28\d rows of [57] columns.*about 1 columns fit; name those you need"
    ):
        built(path, **keys)


def test_a_large_table_is_read_where_few_of_its_columns_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "t.csv", rows())
    monkeypatch.setattr("metanas.tasks.sheets.free_memory", lambda: 50_000.0)
    with pytest.raises(DataError, match="columns fit"):
        built(path)
    assert built(path, features=("load",)).tasks == 24


def test_names_of_parquet_are_kept_to_the_digit_and_without_space(tmp_path: Path) -> None:
    """Serial numbers that no float tells apart are tasks of their own."""
    pytest.importorskip("pyarrow")
    import pandas as pd

    frame = pd.read_csv(write(tmp_path / "t.csv", rows(machines=40)))
    order = {name: 1234567890123456700 + i for i, name in enumerate(sorted(set(frame["machine"])))}
    frame["machine"] = [order[name] for name in frame["machine"]]
    frame = frame.rename(columns={"wear": " wear"})
    frame.to_parquet(tmp_path / "t.parquet")
    members = built(tmp_path / "t.parquet").members
    assert {name for names in members.values() for name in names} == set(map(str, order.values()))
    frame["wear"] = 1.0
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="two columns 'wear': rename one"):
        built(tmp_path / "t.parquet")


def test_numbers_that_no_network_can_take_are_said() -> None:
    column = {"name": "load", "kind": "number", "mean": 3.0, "std": 2.0, "missing": False}
    assert np.isfinite(encode(column, np.array([1e30, np.nan]))).all()
    with pytest.raises(DataError, match=r"column 'load' has -1.7e[+]308, too far from all others"):
        encode(column, np.array([1.0, -1.7e308]))
