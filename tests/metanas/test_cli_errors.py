"""Wrong input: one line that says what to do, exit code 2, and nothing written."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from metanas.search import Searching
from search_spaces import Record
from storage import Store
from tests.metanas.refused import Make, Run, assert_says, wrong

HERE = "sinusoid.metanas"


@pytest.fixture
def folder(tmp_path: Path, searched: Any) -> Path:
    """With a store ``metanas.db`` of a study ``sinusoid``, and its learner."""
    for name in ("metanas.db", HERE):
        shutil.copy(searched.folder / name, tmp_path)
    return tmp_path


def trial(folder: Path, number: int, state: Any) -> None:
    with Store.open(f"{folder}/metanas.db") as store:
        (first, *_) = store.records("sinusoid")
        store.start(Record("sinusoid", number, first.candidate))
        store.finish(Record("sinusoid", number, first.candidate, state=state, reason="diverged: at once"))


SEARCH = [
    (("sinus",), r"no family called 'sinus'; did you mean sinusoid\? \(known: .*images, sinusoid, table"),
    (
        ("sinusoid", "--controller", "ga"),
        r"no controller called 'ga' .*known: evolution, learned, nni-evolution, nni-tpe, random, tpe",
    ),
    (("sinusoid", "--space", "all"), r"no space called 'all' \(known: default, gradient, closed-form"),
    (("sinusoid", "--budget", "0"), r"--budget should be a time such as 90s, 10m or 2h, not '0'"),
    (("sinusoid", "--budget", "soon"), r"--budget should be a time such as 90s, 10m or 2h, not 'soon'"),
    (("sinusoid", "--budget", ""), r"--budget should be a time"),
    (("sinusoid", "--trials", 0), r"--trials should be at least 1, not 0"),
    (("sinusoid", "--trials", "few"), r"'few' is not a valid integer"),
    (("sinusoid", "--shots", 0), r"--shots should be at least 1, not 0"),
    (("sinusoid", "--queries", 0), r"--queries should be at least 1, not 0"),
    (("sinusoid", "--objective", "latency"), r"--objective latency is without the score: say score,latency"),
    (("sinusoid", "--objective", "score,size"), r"no objective called 'size' \(known: score, latency, param"),
    (
        ("sinusoid", "harmonics", "--objective", "score,latency"),
        r"several objectives are for one family: leave --objective out, search each alone, or --mix them",
    ),
    (("sinusoid", "--max-params", "few"), r"'few' is not a valid integer"),
    (
        ("sinusoid", "--max-latency", "soon"),
        r"--max-latency should be a time such as 5ms or 0\.2s, not 'soon'",
    ),
    (("sinusoid", "--max-params", 1), r"nothing is within --max-params 1: the smallest of .* has \d+ param"),
    (("sinusoid", "--ways", 3), r"sinusoid is regression: it has no classes, leave --ways out"),
    (("sinusoid", "photos.zip"), r"sinusoid makes its own tasks: leave path, columns and"),
    (("sinusoid", "--image-size", 56), r"sinusoid makes its own tasks: leave path, columns and --image-size"),
    (("table", "t.csv", "--image-size", 56), r"table has no images: leave --image-size out"),
    (("sinusoid", "--mix"), r"--mix takes several families"),
    (("sinusoid", "--start", " , "), r"--start names nothing to begin with: see metanas rule recipes"),
    (("sinusoid", "--device", "tpu"), r"--device should be auto, cpu, cuda or cuda:n, not 'tpu'"),
    (("sinusoid", "--execution", "eager"), r"--execution should be one of auto, sequential, vmap, replay"),
    (("sinusoid", "--precision", "half"), r"--precision should be one of auto, float32, bfloat16"),
    (("sinusoid", "--study", "a\nb"), r"a study's name should be 1 to 512 printable characters"),
    (("sinusoid", "--study", "n" * 300), r"cannot write n+…: File name too long"),
    (("sinusoid", "--fast"), r"No such option:? '?--fast'?.* \(see metanas search --help\)"),
    ((), r"Missing argument 'FAMILY"),
    (("sinusoid", "--store", "nowhere/runs.db"), r"no folder nowhere for the store; make it first"),
    (("sinusoid", "--store", "mysql://localhost/x"), r"a store is not kept in 'mysql'"),
    (("sinusoid", "--store", "postgresql://localhost:1/x"), r"localhost:1/x"),
    (("table",), r"table needs a file: metanas search table FILE\.csv --task COLUMN --target COLUMN"),
    (("table", "t.csv"), r"table needs --task COLUMN"),
    (("table", "gone.csv", "--task", "a", "--target", "b"), r"cannot read gone\.csv: there is no such file"),
    (("images", "--task", "a"), r"images has no columns"),
    (("images",), r"images needs a zip or a folder of class folders: metanas search images PATH"),
    (("images", "gone.zip"), r"gone\.zip does not exist"),
]


@pytest.mark.parametrize(("arguments", "said"), SEARCH)
def test_a_search_that_cannot_be(
    metanas: Run, tmp_path: Path, arguments: Sequence[object], said: str
) -> None:
    assert_says(said, wrong(metanas, tmp_path, "search", *arguments))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there(metanas: Run, tmp_path: Path) -> None:
    line = wrong(metanas, tmp_path, "search", "sinusoid", "--device", "cuda")
    assert_says(r"cuda is not there: torch sees 0 CUDA devices; try --device cpu", line)


def newer(folder: Path) -> Sequence[object]:
    with sqlite3.connect(folder / "metanas.db") as database:
        database.execute("UPDATE metanas_alembic_version SET version_num = '9999'")
    database.close()
    return ("leaderboard", "sinusoid")


def no_database(folder: Path) -> Sequence[object]:
    (folder / "metanas.db").write_text("shopping list: milk, eggs\n" * 50)
    return ("search", "sinusoid")


def no_store(command: str, *arguments: object) -> Make:
    def make(folder: Path) -> Sequence[object]:
        (folder / "metanas.db").unlink()
        return (command, *arguments)

    return make


def given(*arguments: object) -> Make:
    return lambda folder: arguments


def failed_trial(folder: Path) -> Sequence[object]:
    trial(folder, 77, "failed")
    return ("export", "sinusoid", "--trial", 77)


def taken(name: str, *arguments: object) -> Make:
    def make(folder: Path) -> Sequence[object]:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()
        return arguments

    return make


READ_ONLY = "sqlite:///file:metanas.db?mode=ro&uri=true"
STORES: list[tuple[Make, str]] = [
    (given("leaderboard", "pumps"), r"no study 'pumps' in the store; known: sinusoid"),
    (given("show", "pumps"), r"no study 'pumps'"),
    (given("show", "sinusoid", 99), r"no trial 99 in study 'sinusoid'; metanas leaderboard lists those"),
    (given("show", "sinusoid", "best"), r"'best' is not a valid integer"),
    (given("export", "pumps"), r"no study 'pumps'"),
    (given("export", "sinusoid", "--trial", 99), r"no trial 99"),
    (given("export", "sinusoid", "-o", "nowhere/a.metanas"), r"cannot write .*: there is no folder nowhere"),
    (failed_trial, r"trial 77 \(failed: diverged: at once\) has no weights to export"),
    (no_store("leaderboard", "sinusoid"), r"no store at sqlite:///metanas\.db; metanas search makes one"),
    (no_store("export", "sinusoid"), r"no store at sqlite:///metanas\.db"),
    (no_store("study", "list"), r"no store at sqlite:///metanas\.db"),
    (newer, r"newer"),
    (no_database, r"not an SQLite database"),
    (given("search", "sinusoid", "--store", READ_ONLY), r"it is read-only"),
    (taken(HERE, "search", "sinusoid"), r"cannot write sinusoid\.metanas: it is a folder"),
    (taken("sinusoid.png", "search", "sinusoid"), r"cannot write sinusoid\.png: it is a folder"),
    (taken(HERE, "export", "sinusoid"), r"cannot write sinusoid\.metanas: it is a folder"),
    (given("leaderboard", "sinusoid", "--rows", 0), r"0 is not in the range"),
    (given("study", "remove"), r"No such command '?remove'?"),
    (given("dashboard", "--port", 0), r"0 is not in the range"),
]


@pytest.mark.parametrize(("make", "said"), STORES)
def test_a_store_that_cannot_be_used(metanas: Run, folder: Path, make: Make, said: str) -> None:
    arguments = make(folder)
    assert_says(said, wrong(metanas, folder, *arguments))


def changed(change: Callable[[bytes], bytes], file: str = HERE) -> Make:
    def make(folder: Path) -> Sequence[object]:
        path = folder / HERE
        path.write_bytes(change(path.read_bytes()))
        return write_tables(folder, "x,y\n1,2\n2,3\n", "x\n1\n")

    return make


def write_tables(folder: Path, support: str, query: str) -> Sequence[object]:
    (folder / "s.csv").write_text(support)
    (folder / "q.csv").write_text(query)
    return (HERE, "--support", "s.csv", "--query", "q.csv")


def tables(support: str, query: str, *more: object) -> Make:
    return lambda folder: (*write_tables(folder, support, query), *more)


def altered(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


GOOD = ("x,y\n1,2\n2,3\n", "x\n1\n")
ADAPT: list[tuple[Make, str]] = [
    (changed(lambda data: data[: len(data) // 2]), r"learner file sinusoid\.metanas"),
    (changed(altered), r"learner file sinusoid\.metanas"),
    (changed(lambda data: b"\x93NUMPY" + data), r"learner file sinusoid\.metanas"),
    (changed(lambda data: b""), r"learner file sinusoid\.metanas"),
    (
        tables("a,b,y\n1,2,3\n4,5,6\n", "a,b\n1,2\n"),
        r"s\.csv has 2 feature columns \(a, b\), the learner takes 1: x",
    ),
    (tables("x,y\n1,2\n", "a,b\n1,2\n"), r"q\.csv"),
    (tables("x,y\n1,many\n", "x\n1\n"), r"s\.csv.*many"),
    (tables("", "x\n1\n"), r"s\.csv"),
    (tables(*GOOD, "-o", "nowhere/out.csv"), r"cannot write nowhere/out\.csv"),
    (tables(*GOOD, "-o", "s.csv"), r"s\.csv is one of the inputs"),
    (tables(*GOOD, "--device", "tpu"), r"--device should be"),
    (given("gone.metanas", "--support", "s.csv", "--query", "q.csv"), r"gone\.metanas"),
    (given(HERE, "--support", "gone.csv", "--query", "gone.csv"), r"gone\.csv"),
    (given(HERE, "--support", "s.csv"), r"Missing option '--query'"),
]


@pytest.mark.parametrize(("make", "said"), ADAPT)
def test_an_adaptation_that_cannot_be(metanas: Run, folder: Path, make: Make, said: str) -> None:
    arguments = make(folder)
    assert_says(said, wrong(metanas, folder, "adapt", *arguments))


def test_a_dashboard_that_is_not_installed(
    metanas: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    assert "pip install 'metanas[dashboard]'" in wrong(metanas, folder, "dashboard")


@pytest.mark.parametrize("arguments", [("--fast",), ("serach",), ("family", "ls")])
def test_a_command_that_is_not_there(metanas: Run, tmp_path: Path, arguments: Sequence[object]) -> None:
    assert_says(r"No such (command|option)", wrong(metanas, tmp_path, *arguments))


@pytest.mark.parametrize("arguments", [("--json",), ()])
def test_wrong_input_looks_the_same_to_machines(
    metanas: Run, tmp_path: Path, arguments: Sequence[object]
) -> None:
    wrong(metanas, tmp_path, "search", "sinusoid", "--budget", "soon", *arguments)


class TestOurFailure:
    """Exit code 1 and one line; a traceback only if it is asked for."""

    @pytest.fixture(autouse=True)
    def _fail(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise ZeroDivisionError("first line\nsecond line")

        monkeypatch.setattr(Searching, "run", fail)

    def test_is_one_line(self, metanas: Run) -> None:
        ran = metanas("search", "sinusoid", "--json")
        assert (ran.code, ran.out) == (1, "")
        assert ran.err == (
            "metanas: our failure, please report it: ZeroDivisionError: first line "
            "(metanas --debug shows where)\n"
        )

    def test_is_shown_whole_to_who_debugs(self, metanas: Run) -> None:
        ran = metanas("--debug", "search", "sinusoid", "--json")
        assert (ran.code, ran.out) == (1, "")
        assert "Traceback (most recent call last)" in ran.err
        assert "in fail" in ran.err
        assert ran.err.splitlines()[-1].startswith("metanas: our failure")


def test_debugging_a_mistake_keeps_its_exit_code(metanas: Run) -> None:
    ran = metanas("--debug", "search", "sinus")
    assert ran.code == 2
    assert "Traceback" in ran.err
    assert ran.err.splitlines()[-1].startswith("metanas: no family called 'sinus'")


def test_if_nothing_can_be_scored_it_is_our_failure(
    metanas: Run, quick: Sequence[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    from metanas.evaluator import Evaluator

    def fail(*_: object, **__: object) -> None:
        raise ArithmeticError("no such thing")

    monkeypatch.setattr(Evaluator, "_train_and_score", fail)
    ran = metanas(*quick, "--json")
    assert ran.code == 1
    assert ran.err == (
        "metanas: none of 2 trials could be scored; most often: error: ArithmeticError: no such thing\n"
    )
    assert [line["state"] for line in ran.lines if line["event"] == "trial"] == ["failed", "failed"]


def test_a_reader_that_has_gone_is_no_failure_of_ours(metanas: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("metanas.cli.parts.print_json", gone)
    ran = metanas("family", "list", "--json")
    assert (ran.code, ran.err) == (1, "")


def test_a_picture_that_cannot_be_written_costs_no_verdict(
    metanas: Run, quick: Sequence[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("metanas.saving.draw", full)
    ran = metanas(*quick, "--json")
    assert (ran.code, ran.err) == (2, "metanas: cannot write sinusoid.png: No space left on device\n")
    assert len(metanas("show", "sinusoid", "--json").json["results"]) == 1
    assert (tmp_path / "sinusoid.metanas").is_file()
