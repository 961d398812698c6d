"""A user's table: what is read, what is said of it, and the tasks that it makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metanas.tasks.columns import encode, learn
from metanas.tasks.families import images, sinusoid, table
from metanas.tasks.families.table import FEW, TOO_FEW
from metanas.tasks.family import Source
from metanas.tasks.table_tasks import SPLITS, Tables
from metanas.testing.tables import COLUMNS, MODES, labelled, rows, write
from metanas.verdict import FEWEST
from search_spaces.errors import DataError


def source(path: Path, **more: Any) -> Source:
    return Source(**{"path": path, "task": "machine", "target": "wear", "shots": 5} | more)


def built(path: Path, **more: Any) -> Tables:
    family = table.build(source(path, **more))
    assert isinstance(family, Tables)
    return family


def draw(family: Tables, split: Any = "train", tasks: int = 16, seed: int = 0, **more: Any) -> Any:
    asked = {"shots": 5, "ways": 1, "queries": 4} | more
    return family.sample(tasks, split, torch.Generator().manual_seed(seed), **asked)


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


def test_only_training_tasks_set_the_scale(tmp_path: Path) -> None:
    lines = rows()
    family = built(write(tmp_path / "t.csv", lines))
    train = [line for line in lines if line[2] in family.members["train"]]
    target = np.array([float(line[6]) for line in train])
    assert family.preprocessing["target"]["mean"] == pytest.approx(target.mean())
    assert family.preprocessing["target"]["std"] == pytest.approx(target.std())
    # what test tasks hold changes nothing
    for line in lines:
        if line[2] in family.members["test"]:
            line[6] = "1000"
    again = built(write(tmp_path / "u.csv", lines))
    assert again.preprocessing == family.preprocessing


def test_targets_and_features_belong_together(tmp_path: Path) -> None:
    """Every row of an episode is a row of one task of the split, load and wear side by side."""
    lines = rows()
    family = built(write(tmp_path / "t.csv", lines), features=("load",))
    load, target = family.preprocessing["features"][0], family.preprocessing["target"]
    where = {(round(float(line[3]), 3), round(float(line[6]), 3)): line[2] for line in lines}
    for split in SPLITS:
        episodes = draw(family, split)
        x = torch.cat([episodes["support_x"], episodes["query_x"]], 1)[..., 0] * load["std"] + load["mean"]
        y = (
            torch.cat([episodes["support_y"], episodes["query_y"]], 1)[..., 0] * target["std"]
            + target["mean"]
        )
        for task in range(len(x)):
            pairs = zip(x[task].tolist(), y[task].tolist(), strict=True)
            owners = [where[round(a, 3), round(b, 3)] for a, b in pairs]
            assert len(set(owners)) == 1
            assert owners[0] in family.members[split]


def test_no_row_is_support_and_query(tmp_path: Path) -> None:
    family = built(write(tmp_path / "t.csv", rows(each=9)), features=("load",))
    episodes = draw(family, tasks=40)
    x = torch.cat([episodes["support_x"], episodes["query_x"]], 1)[..., 0]
    assert all(len(set(task.tolist())) == 9 for task in x)


def test_small_tasks_are_masked_and_smaller_ones_left_out(tmp_path: Path) -> None:
    lines = rows(each=12)
    few = [line for line in lines if line[2] != "m00"]
    few += [line for line in lines if line[2] == "m00"][:6]  # 5 shots + 2 queries need 7
    few = [
        line for line in few if line[2] != "m01" or line[0] % 12 < 9
    ]  # 9 rows: masked where more are asked for
    family = built(write(tmp_path / "t.csv", few))
    assert "left out 1 of 24 tasks: fewer than 5 shots + 2 queries" in family.notes
    assert all("m00" not in names for names in family.members.values())
    split = next(split for split in SPLITS if "m01" in family.members[split])
    episodes = draw(family, split, tasks=64, queries=7)
    counts = set(episodes["query_mask"].sum(1).tolist())
    assert counts == {3, 7} or counts == {4, 7}
    assert "support_mask" not in episodes


def test_pairs_of_shots_leave_queries(tmp_path: Path) -> None:
    family = built(write(tmp_path / "t.csv", rows(each=9)))
    episodes = draw(family, shots=(2, 12), queries=5, tasks=64)
    shots, queries = episodes["support_mask"].sum(1), episodes["query_mask"].sum(1)
    assert set(shots.tolist()) <= set(range(2, 8)), "two rows are kept for queries"
    assert (queries >= 2).all()
    assert (shots + queries <= 9).all()


def test_valid_and_test_take_every_task_equally_often(tmp_path: Path) -> None:
    family = built(write(tmp_path / "t.csv", rows(machines=40)))
    have = len(family.members["test"])
    counts = draw(family, "test", tasks=3 * have)["cluster"].bincount()
    assert counts.tolist() == [3] * have


def test_groups_stay_whole(tmp_path: Path) -> None:
    family = built(write(tmp_path / "t.csv", rows(machines=40, sites=10)), group="site")
    sites = {split: {name.partition("/")[0] for name in family.members[split]} for split in SPLITS}
    assert not sites["train"] & sites["test"]
    assert not sites["train"] & sites["valid"]
    clusters = draw(family, "test", tasks=64)["cluster"]
    assert len(clusters.unique()) == len(sites["test"]), "an interval is taken over groups"


def test_few_groups_are_each_a_test_one_once_however_many_tasks_they_have(tmp_path: Path) -> None:
    """One split of them would test too few for any verdict."""
    family = built(write(tmp_path / "t.csv", rows(machines=60, sites=10)), group="site")
    folds = [family, *family.folds]
    tested = [{name.partition("/")[0] for name in fold.members["test"]} for fold in folds]
    assert sorted(site for sites in tested for site in sites) == [f"site {i}" for i in range(10)]
    assert "10 groups are few: each is a test one once, in 5 searches" in family.notes


def test_of_fewer_groups_than_a_verdict_needs_there_is_one_split(tmp_path: Path) -> None:
    """All of them would be too few, and the search would be done five times for it."""
    family = built(write(tmp_path / "t.csv", rows(machines=60, sites=TOO_FEW - 1)), group="site")
    assert not family.folds
    assert TOO_FEW == FEWEST


def test_the_learner_that_is_handed_back_learns_from_the_largest_group(tmp_path: Path) -> None:
    lines = rows(machines=60, sites=12)
    for large in (f"site {i}" for i in range(12)):
        own = [[*line] for line in lines]
        for line in own:
            if int(line[2][1:]) >= 36:
                line[1] = large
        family = built(write(tmp_path / "t.csv", own), group="site")
        assert family.folds
        assert any(name.startswith(f"{large}/") for name in family.members["train"])


def test_a_split_leaves_as_many_for_the_test_as_a_verdict_needs(tmp_path: Path) -> None:
    whole = built(write(tmp_path / "t.csv", rows(machines=FEW)))
    assert not whole.folds
    assert len(whole.members["test"]) >= FEWEST
    assert len(built(write(tmp_path / "few.csv", rows(machines=FEW - 1))).folds) == 4


def test_the_first_few_test_tasks_are_of_all_groups(tmp_path: Path) -> None:
    """Of many tasks a verdict sees a part, which should not be what comes first in the alphabet."""
    family = built(write(tmp_path / "t.csv", rows(machines=240, sites=60)), group="site")
    have = len({name.partition("/")[0] for name in family.members["test"]})
    assert len(draw(family, "test", tasks=have)["cluster"].unique()) == have
    alone = built(write(tmp_path / "u.csv", rows(machines=200)))
    assert list(alone.members["test"]) != sorted(alone.members["test"])


def test_groups_of_a_list_are_what_an_interval_is_taken_over(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", rows(machines=40, sites=2))
    listed = [f"m{i:02},{'train' if i < 20 else 'valid' if i < 30 else 'test'}" for i in range(40)]
    names = [f"site {i % 2}/{line}" for i, line in enumerate(listed)]
    (tmp_path / "splits.csv").write_text("\n".join(["class,split", *names]))
    family = built(path, group="site", splits=tmp_path / "splits.csv")
    assert len(draw(family, "test", tasks=64)["cluster"].unique()) == 2


def test_tasks_of_several_groups_are_several(tmp_path: Path) -> None:
    lines = rows(machines=40, sites=10)
    for line in lines:
        line[2] = f"m{int(line[2][1:]) // 10}"
    family = built(write(tmp_path / "t.csv", lines), group="site")
    assert family.tasks == 40
    assert "4 values of machine are in several values of site: each pair is a task of its own" in family.notes


def test_folds_test_every_task_once(tmp_path: Path) -> None:
    family = built(write(tmp_path / "t.csv", rows()))
    folds = [family, *family.folds]
    assert len(folds) == 5
    tested = [name for fold in folds for name in fold.members["test"]]
    assert sorted(tested) == sorted(name for names in family.members.values() for name in names)
    for fold in folds:
        assert not set(fold.members["test"]) & set(fold.members["train"])
        assert fold.members["valid"]


def test_classes(tmp_path: Path) -> None:
    family = built(labelled(tmp_path / "t.csv"), target="state", shots=2)
    assert family.kind == "classification"
    assert family.signature(None, 2).outputs == 2
    episodes = draw(family, shots=2, ways=2, queries=3, tasks=32)
    assert (episodes["support_y"].sum(1) == 2).all(), "two shots of each class"
    assert family.preprocessing["target"]["classes"] == ["fine", "worn"]
    assert family.limits.ways == {"train": 2, "valid": 2, "test": 2}, (
        "no training on more classes than there are"
    )


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


def test_tasks_with_too_few_classes_are_counted(tmp_path: Path) -> None:
    """Most machines never broke: of three classes they have two."""
    lines = []
    for machine in range(60):
        for row in range(15):
            state = ("fine", "worn", "broken")[row % (3 if machine % 4 == 0 else 2)]
            lines.append([f"m{machine:02}", row + 0.5 * machine, state])
    family = built(write(tmp_path / "t.csv", lines, ["machine", "load", "state"]), target="state", shots=1)
    said = (
        "left out 45 of 60 tasks: fewer than 3 classes of 1 shots + 2 queries (--ways 2 takes more of them)"
    )
    assert family.told(3, 1)[-1] == said
    assert family.told(2, 1) == family.notes


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
    monkeypatch.setattr("metanas.tasks.sheets._free_memory", lambda: 25_000.0)
    keys = {"task": "task", "target": "y"} if ending == "npz" else {}
    with pytest.raises(
        DataError, match=r"28\d rows of [57] columns.*about 1 columns fit; name those you need"
    ):
        built(path, **keys)


def test_a_large_table_is_read_where_few_of_its_columns_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "t.csv", rows())
    monkeypatch.setattr("metanas.tasks.sheets._free_memory", lambda: 50_000.0)
    with pytest.raises(DataError, match="columns fit"):
        built(path)
    assert built(path, features=("load",)).tasks == 24
