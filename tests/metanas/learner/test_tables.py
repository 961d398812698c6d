"""CSV files and folders in, predictions out; and the command over them."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from metanas.cli.adapt import command
from metanas.learner import Learner
from metanas.learner.folders import adapt_folders
from metanas.learner.tables import Answers, adapt_csv
from metanas.testing.learners import PICTURES, REGRESSION, SPECIES, Written, candidate, written
from search_spaces.errors import DataError, MetanasError

SUPPORT = "time,dose,level\n0,1,2\n1,0,3\n2,2,1.5\n"
QUERY = "time,dose\n0.5,0.5\n1e0, 2 \n"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def regression(tmp_path: Path) -> Written:
    return written(tmp_path, candidate("mlp", "ridge"), REGRESSION)


@pytest.fixture
def species(tmp_path: Path) -> Written:
    return written(tmp_path, candidate("mlp", "prototype"), SPECIES)


@pytest.fixture
def pictures(tmp_path: Path) -> Written:
    return written(tmp_path, candidate("conv", "prototype"), PICTURES)


def put(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def adapted(made: Written, support: str | bytes, query: str | bytes) -> Answers:
    folder = made.path.parent
    return adapt_csv(made.load(), put(folder / "s.csv", support), put(folder / "q.csv", query))


def values(answers: Answers) -> list[float]:
    return [row[answers.columns.index("prediction")] for row in answers.rows]


def test_predictions_are_those_of_the_program(regression: Written) -> None:
    answers = adapted(regression, SUPPORT, QUERY)
    model = regression.load().adapt([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]], [2.0, 3.0, 1.5])
    np.testing.assert_allclose(values(answers), model.predict([[0.5, 0.5], [1.0, 2.0]]), rtol=1e-6)
    assert answers.columns == ["time", "dose", "prediction"]
    assert answers.rows[1][:2] == ["1e0", "2"]
    assert (answers.support, answers.score) == (3, None)


@pytest.mark.parametrize(
    ("support", "query"),
    [
        ("level,who,dose,time\n2,a,1,0\n3,b,0,1\n1.5,c,2,2\n", "dose,id,time\n0.5,x,0.5\n2,y,1\n"),  # by name
        ("a,b,c\n0,1,2\n1,0,3\n2,2,1.5\n", "a,b\n0.5,0.5\n1,2\n"),  # by position
        ("a,b,c\n0,1,2\n1,0,3\n2,2,1.5\n", "p,q\n0.5,0.5\n1,2\n"),  # other names in the query
        ("a,b,c\n0,1,2\n1,0,3\n2,2,1.5\n", "c,b,a\n9,0.5,0.5\n9,2,1\n"),  # the support's names in the query
        ("time,dose,temperature\n0,1,2\n1,0,3\n2,2,1.5\n", QUERY),  # features by name, target last
        ("temperature,time,dose\n2,0,1\n3,1,0\n1.5,2,2\n", QUERY),  # the last that is no feature
        ("Level,DOSE,Time,who\n2,1,0,7\n3,0,1,8\n1.5,2,2,9\n", "dose,TIME\n0.5,0.5\n2,1\n"),  # in capitals
        ("a,b,level\n0,1,2\n1,0,3\n2,2,1.5\n", "dose,time\n0.5,0.5\n2,1\n"),  # the query by name alone
        ("level,a,b\n2,0,1\n3,1,0\n1.5,2,2\n", "a,b\n0.5,0.5\n1,2\n"),  # target by name
        (
            "\ufeff" + SUPPORT.replace("\n", "\r\n"),
            '"time","dose"\r\n"0.5","0.5"\r\n\r\n1,2',
        ),  # of a spreadsheet
        ("time;dose;level\n0;1;2\n1;0;3\n2;2;1,5E0\n", "time;dose\n,5;0,5\n1;2\n"),  # of a European one
        (",time,dose,level\n7,0,1,2\n8,1,0,3\n9,2,2,1.5\n", ",time,dose\n3,0.5,0.5\n4,1,2\n"),  # of pandas
    ],
)
def test_columns_are_found_by_name_else_by_position(regression: Written, support: str, query: str) -> None:
    expected = values(adapted(regression, SUPPORT, QUERY))
    assert values(adapted(regression, support, query)) == pytest.approx(expected, rel=1e-4)


def test_a_query_with_targets_is_scored(regression: Written) -> None:
    answers = adapted(regression, SUPPORT, "time,dose,level\n0.5,0.5,1\n1,2,\n2,2,2\n")
    found = np.array(values(answers))[[0, 2]]
    assert answers.score == {
        "metric": "mse",
        "value": pytest.approx(((found - [1, 2]) ** 2).mean(), rel=1e-5),
        "rows": 2,
    }
    assert adapted(regression, SUPPORT, "time,dose,level\n0.5,0.5,\n").score is None
    assert adapted(regression, SUPPORT, "time,dose,level\n0.5,0.5,NA\n").score is None  # as R writes it


def test_classes_have_probabilities(species: Written) -> None:
    support = "length,width,species\n0,9,setosa\n0,8,setosa\n9,0,07\n-9,-9,7\n"
    answers = adapted(species, support, "length,width,species\n0,9,setosa\n9,0,7\n")
    assert answers.columns == ["length", "width", "species", "prediction", "probability"]
    assert [row[3] for row in answers.rows] == ["setosa", "07"]
    assert all(1 / 3 < row[4] <= 1 for row in answers.rows)
    assert answers.score == {"metric": "accuracy", "value": 0.5, "rows": 2}


@pytest.mark.parametrize(
    ("support", "query", "words"),
    [
        ("", QUERY, r"s\.csv is empty"),
        ("\n\n", QUERY, r"s\.csv is empty"),
        ("time,dose,level\n", QUERY, "no rows"),
        ("0,1,2\n1,0,3\n", QUERY, "name the columns"),
        ("time,time,level\n0,1,2\n", QUERY, "'time'"),
        ("time,,level\n0,1,2\n", QUERY, r"lacks the column 'dose': add it \(it has time, column 2, level\)"),
        ("time,level\n0,2\n", QUERY, "lacks the column 'dose'"),
        ("a,b\n0,2\n", QUERY, r"1 feature columns \(a\), the learner takes 2: time, dose"),
        ("a,b,c,d\n0,2,3,4\n", QUERY, "3 feature columns"),
        ("time,dose\n0,2\n", QUERY, "no column for the target"),
        ("time,dose,y,id\n0,1,2,3\n", QUERY, r"no column level: call the target so \(it has y, id\)"),
        ("time,dose,level\n0,1,2\n1,x,3\n", QUERY, r"s\.csv, line 3: column 'dose' is 'x'"),
        ("time,dose,level\n0,1,2\n1,,3\n", QUERY, r"line 3: column 'dose' is empty"),
        ("time,dose,level\n0,1,2\n1,1,nan\n", QUERY, r"line 3: column 'level' is 'nan'"),
        ("time,dose,level\n0,1,2\n1,1,1_0\n", QUERY, r"column 'level' is '1_0'"),
        ('time,dose,level\n0,1,2\n1,"1,5",3\n', QUERY, "decimal point"),
        ("time,dose,level\n0,1,2\n1,2\n", QUERY, "line 3: 2 cells for 3 columns"),
        ('time,dose,level\n0,"1,2\n', QUERY, "not CSV"),
        (b"time,dose,level\n0,1,\xff\n", QUERY, "not UTF-8"),
        (SUPPORT, "time\n1\n", r"q\.csv lacks the column 'dose'"),
        (SUPPORT, "a\n1\n", r"q\.csv has 1 feature columns"),
        (SUPPORT, "a,b,c\n1,2,3\n", r"q\.csv has 3 feature columns"),
        (SUPPORT, "time,dose\n0,1\n0,inf\n", r"q\.csv, line 3: column 'dose' is 'inf'"),
        (SUPPORT, "time,dose\n0,1e200\n", "row 0"),
        (SUPPORT, "time,dose,level\n0,1,much\n", "column 'level' is 'much'"),
        (
            "time,dose,level\n0,1,2\n1,0,NA\n",
            "time,dose\n0,1\n",
            "column 'level' is 'NA', which says nothing",
        ),
        (SUPPORT, "time,dose,prediction\n0,1,2\n", "already"),
        (SUPPORT, "", r"q\.csv is empty"),
    ],
)
def test_csv_that_cannot_be_used(
    regression: Written, support: str | bytes, query: str | bytes, words: str
) -> None:
    with pytest.raises(DataError, match=words) as caught:
        adapted(regression, support, query)
    assert "\n" not in str(caught.value)


def test_labels_that_are_missing_are_said(species: Written) -> None:
    with pytest.raises(DataError, match="line 3: column 'species' is empty"):
        adapted(species, "length,width,species\n0,9,a\n0,8,\n", "length,width\n0,9\n")
    with pytest.raises(DataError, match="two classes"):
        adapted(species, "length,width,species\n0,9,a\n0,8,a\n", "length,width\n0,9\n")


def draw(folder: Path, rng: np.random.Generator, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shade = 40 if "dark" in name else 220
        Image.fromarray((shade + rng.integers(0, 20, (12, 10, 3))).astype(np.uint8)).save(folder / name)


@pytest.fixture
def photos(tmp_path: Path, rng: np.random.Generator) -> Path:
    draw(
        tmp_path / "support",
        rng,
        ["dark/a.png", "dark/b.jpg", "set/light/a.png", ".hidden/a.png", "dark/.c.png"],
    )
    (tmp_path / "support" / "notes.txt").write_text("not an image")
    draw(tmp_path / "query", rng, ["z-dark.png", "deep/er/x.png", "__MACOSX/a.png"])
    return tmp_path


def test_folders_of_images(pictures: Written, photos: Path) -> None:
    answers = adapt_folders(pictures.load(), photos / "support", photos / "query")
    assert answers.columns == ["path", "prediction", "probability"]
    expected = [
        (str(photos / "query/deep/er/x.png"), "set/light"),
        (str(photos / "query/z-dark.png"), "dark"),
    ]
    assert [tuple(row[:2]) for row in answers.rows] == expected
    assert answers.support == 3
    linked = photos / "linked"
    linked.mkdir()
    for one_class in (photos / "support").iterdir():
        if one_class.is_dir():
            (linked / one_class.name).symlink_to(one_class)
    (linked / "loop").symlink_to(linked)
    assert adapt_folders(pictures.load(), linked, photos / "query").rows == answers.rows
    os.mkfifo(photos / "query/pipe.png")
    with pytest.raises(DataError, match=r"pipe.png is not an ordinary file"):
        adapt_folders(pictures.load(), photos / "support", photos / "query")
    (photos / "query/pipe.png").unlink()
    one = adapt_folders(pictures.load(), photos / "support", photos / "query/z-dark.png")
    assert one.rows == answers.rows[1:]


def test_folders_that_cannot_be_used(pictures: Written, regression: Written, photos: Path) -> None:
    learner = pictures.load()
    support, query = photos / "support", photos / "query"

    def refused(learner: Learner, support: Path, query: Path, words: str) -> None:
        with pytest.raises(DataError, match=words):
            adapt_folders(learner, support, query)

    refused(learner, photos / "none", query, "none does not exist")
    refused(learner, support, photos / "none", "none does not exist")
    refused(learner, support / "dark", query, "no class folder")
    refused(learner, support / "set", query, "two classes")
    refused(learner, support / "notes.txt", query, "is a file")
    refused(learner, support, support / "notes.txt", "notes.txt")
    (photos / "empty").mkdir()
    refused(learner, support, photos / "empty", "holds no images")
    refused(regression.load(), support, query, "two CSV files")
    (query / "broken.png").write_bytes((query / "z-dark.png").read_bytes()[:60])
    refused(learner, support, query, "broken.png")
    with pytest.raises(DataError, match="does not take tables"):
        adapt_csv(learner, support, query)


def columns(folder: Path, load: str = "load", mode: str = "mode") -> Learner:
    """A learner of a number and a category."""
    made = written(folder, candidate("mlp", "ridge"), REGRESSION)
    features = [
        {"name": load, "kind": "number", "mean": 0.0, "std": 1.0, "missing": False},
        {"name": mode, "kind": "category", "values": ["a"]},
    ]
    target = {"name": "wear", "mean": 0.0, "std": 1.0}
    known = {"kind": "columns", "features": features, "target": target}
    return Learner(replace(made.manifest, preprocessing=known), made.program, made.meta, made.buffers)


def test_what_a_cell_should_be_is_said_with_its_line(tmp_path: Path) -> None:
    learner = columns(tmp_path)
    support = put(tmp_path / "s.csv", "load,mode,wear\n1,a,1\n2,b,2\n3,a,3\n")
    query = put(tmp_path / "q.csv", "load,mode\n1,a\nmuch,a\n")
    with pytest.raises(DataError, match=r"q.csv, line 3: column 'load' is 'much', not a number"):
        adapt_csv(learner, support, query)
    put(query, "load,mode\nInf,a\n#NA,b\n-nan,a\n")
    assert len(adapt_csv(learner, support, query).rows) == 3


def test_a_first_row_is_not_taken_for_names(tmp_path: Path) -> None:
    learner = columns(tmp_path)
    support = put(tmp_path / "s.csv", "load,mode,wear\n1,a,1\n2,b,2\n3,a,3\n")
    with pytest.raises(DataError, match=r"q.csv has numbers in its first line"):
        adapt_csv(learner, support, put(tmp_path / "q.csv", "1,a\n2,b\n"))
    with pytest.raises(DataError, match=r"q.csv has numbers in its first line"):
        adapt_csv(learner, support, put(tmp_path / "q.csv", "1,1\n2,3\n"))


def test_columns_may_be_called_by_numbers(tmp_path: Path) -> None:
    """As of a spectrum: those that training had."""
    learner = columns(tmp_path, load="400", mode="410")
    support = put(tmp_path / "s.csv", "400,410,wear\n1,a,1\n2,b,2\n3,a,3\n")
    assert len(adapt_csv(learner, support, put(tmp_path / "q.csv", "400,410\n1,a\n")).rows) == 1


def run(*arguments: object) -> Result:
    return CliRunner(catch_exceptions=False).invoke(command, [str(argument) for argument in arguments])


@pytest.fixture
def files(regression: Written, tmp_path: Path) -> tuple[object, ...]:
    support, query = (
        put(tmp_path / "s.csv", SUPPORT),
        put(tmp_path / "q.csv", "time,dose,level\n0.5,0.5,1\n1,2,2\n"),
    )
    return regression.path, "--support", support, "--query", query


def test_the_command_prints_csv_for_machines(files: tuple[object, ...]) -> None:
    done = run(*files)
    assert done.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["time"] for row in rows] == ["0.5", "1"]
    assert all(np.isfinite(float(row["prediction"])) for row in rows)
    assert "mse" in done.stderr


def test_the_command_says_what_it_took_for_what(files: tuple[object, ...], tmp_path: Path) -> None:
    assert "taken" not in run(*files).stderr
    put(tmp_path / "s.csv", "a,b,c\n0,1,2\n1,0,3\n2,2,1.5\n")
    done = run(*files)
    assert "note: the support's c taken for the target, level" in done.stderr
    assert "note: the support's a, b taken for time, dose, in that order" in done.stderr
    assert "the query's" not in done.stderr, "its columns have the learner's names"


def test_the_command_prints_json(files: tuple[object, ...]) -> None:
    (line,) = run(*files, "--json").stdout.splitlines()
    found = json.loads(line)
    assert (found["support"], found["queries"], found["score"]["rows"]) == (3, 2, 2)
    assert isinstance(found["rows"][0]["prediction"], float)


def test_the_command_writes_a_file(files: tuple[object, ...], tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    done = run(*files, "-o", out)
    assert done.stdout == ""
    assert "2 predictions" in done.stderr
    assert out.read_text() == run(*files).stdout


def test_the_command_shows_a_person_a_table(
    files: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metanas.cli.adapt._is_terminal", lambda: True)
    assert "prediction" in run(*files).stdout


def test_the_command_with_images(pictures: Written, photos: Path) -> None:
    done = run(pictures.path, "--support", photos / "support", "--query", photos / "query")
    assert [row["prediction"] for row in csv.DictReader(io.StringIO(done.stdout))] == ["set/light", "dark"]


def test_the_command_leaves_nothing_half_written(files: tuple[object, ...], tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    for target in (tmp_path, tmp_path / "none" / "out.csv", files[2], files[0]):
        with pytest.raises(MetanasError):
            run(*files, "-o", target)
    put(tmp_path / "q.csv", "time,dose\n0,x\n")
    with pytest.raises(MetanasError):
        run(*files, "-o", tmp_path / "out.csv")
    assert sorted(tmp_path.iterdir()) == before
