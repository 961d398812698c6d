"""``metanas report``: one page that needs nothing else and says what ``--json`` says."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from metanas.report import facts
from metanas.report.layers import boxes
from search_spaces import Candidate, Record, Score, Signature
from storage import Store

Run = Callable[..., Any]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
VOID = {"meta", "link", "img", "br"}


class Tags(HTMLParser):
    """Checks that tags are closed in order; collects text and what is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.sources: list[str] = []
        self.figures: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        self.figures += [str(value) for name, value in attrs if (tag, name) == ("data", "value")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture
def folder(tmp_path: Path, searched: Any) -> Path:
    for path in searched.folder.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture
def report(metanas: Run, folder: Path) -> Path:
    ran = metanas("report", "sinusoid", "-o", "report.html")
    assert (ran.code, ran.err, ran.out) == (0, "", "Saved report.html\n")
    return folder / "report.html"


def read(path: Path) -> Tags:
    tags = Tags()
    tags.feed(path.read_text(encoding="utf-8"))
    tags.close()
    assert tags.open == []
    return tags


def test_the_page_needs_nothing_else_and_is_small(report: Path) -> None:
    tags = read(report)
    assert report.stat().st_size < 6_000_000
    assert all(source.startswith("data:") for source in tags.sources)
    assert "http" not in re.sub(r"arxiv.org\S+", "", " ".join(tags.text))


def test_its_figures_are_those_of_json(metanas: Run, report: Path, searched: Any) -> None:
    tags, found = read(report), metanas("report", "sinusoid", "--json").json
    ended, board = searched.ran.lines[-1], metanas("leaderboard", "sinusoid", "--json").json
    assert {key: found[key] for key in ended if key != "seconds"} == {
        key: value for key, value in ended.items() if key != "seconds"
    }
    assert [row["trial"] for row in found["leaderboard"]] == [row["trial"] for row in board]
    shown = {float(value) for value in tags.figures}
    rows = [found["test"], *found["baselines"], *found["leaderboard"], *found["by_shots"]]
    expected = [row[key] for row in rows for key in ("value", "ci95")]
    expected += [row["value"] for row in found["learning_curve"]] + list(found["importance"].values())
    expected += [value for value in found["costs"].values() if value is not None]
    assert len(expected) > 20
    assert set(expected) <= shown
    assert shown <= set(numbers(found)), "the page has no figure that --json has not"
    text = " ".join(" ".join(tags.text).split())
    assert found["verdict"]["sentence"] in text
    assert f"Trial {found['best']['trial']}: {found['best']['architecture']}" in text
    for heading in ("New tasks as the winner sees them", "With fewer and more", "Using it"):
        assert heading in text


def numbers(value: Any) -> Iterator[float]:
    """Every number in plain data."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for inner in inside:
        yield from numbers(inner)
    if isinstance(value, (int, float)):
        yield float(value)


def test_what_the_last_run_could_not_compare_with_is_said(metanas: Run, folder: Path) -> None:
    with Store.open(str(folder / "metanas.db")) as store:
        last = store.results("sinusoid")[-1]
        for name in "AB":
            left_out = [f"baseline {name} is left out: it is slow"]
            store.save_result("sinusoid", last | {"left_out": left_out})
    found = metanas("report", "sinusoid", "--json", "-o", "page.html").json
    assert found["left_out"] == ["baseline B is left out: it is slow"]
    text = " ".join(read(folder / "page.html").text)
    assert "baseline B is left out" in text
    assert "baseline A" not in text


def test_what_a_later_run_said_before_it_was_stopped_is_not_of_this_winner(
    metanas: Run, folder: Path
) -> None:
    before = metanas("report", "sinusoid", "--json", "-o", "page.html").json
    with Store.open(str(folder / "metanas.db")) as store:
        store.log("sinusoid", "score by shots", "[]")
    assert metanas("report", "sinusoid", "--json", "-o", "page.html").json == before


def test_json_alone_writes_no_page(metanas: Run, folder: Path) -> None:
    assert metanas("report", "sinusoid", "--json").code == 0
    assert not (folder / "sinusoid.html").exists()
    assert metanas("report", "sinusoid", "--json", "-o", "both.html").json["study"] == "sinusoid"
    assert (folder / "both.html").exists()


def test_names_of_the_users_are_text_not_markup(metanas: Run, folder: Path) -> None:
    name = "<script>alert(1)</script> & more"
    with Store.open(str(folder / "metanas.db")) as store:
        store.save_study(name, store.settings("sinusoid"))
        store.save_result(name, {**store.results("sinusoid")[-1], "study": name})
    assert metanas("report", name, "-o", "odd.html").code == 0
    tags = read(folder / "odd.html")
    assert name in "".join(tags.text)
    assert "<script" not in (folder / "odd.html").read_text()


def test_there_is_nothing_to_report_yet(metanas: Run, folder: Path) -> None:
    with Store.open(str(folder / "metanas.db")) as store:
        store.save_study("begun", store.settings("sinusoid"))
    ran = metanas("report", "begun")
    assert ran.code == 2
    assert "no verdict yet" in ran.err
    assert not (folder / "begun.html").exists()
    assert metanas("report", "unknown").code == 2


def test_a_network_is_drawn_layer_by_layer() -> None:
    images = Signature("classification", (3, 32, 32), 5, 1)
    conv = {
        "depth": 3,
        "width": 64,
        "kernel": 5,
        "activation": "relu",
        "norm": "running",
        "downsample": "pool",
    }
    chosen = {f"architecture.conv.{k}": v for k, v in {**conv, "residual": True}.items()}
    found = boxes(Candidate({"architecture": "conv", "rule": "ridge", **chosen}), images)
    assert [box.name for box in found] == ["example", *["convolution"] * 3, "ridge"]
    assert found[0].details == ("3 × 32 × 32",)
    assert found[1].details == ("5 × 5", "64 channels", "norm: running", "max-pool 2 × 2", "relu")
    assert found[2].details[-1] == "+ its input"
    mlp = {"depth": 2, "width_1": 40, "width_2": 20, "activation": "tanh", "norm": "none"}
    chosen = {f"architecture.mlp.{k}": v for k, v in mlp.items()}
    found = boxes(Candidate({"architecture": "mlp", "rule": "gradient", **chosen}), images)
    assert [box.details for box in found[1:3]] == [("40 units", "tanh"), ("20 units", "tanh")]
    assert not any(box.adapts for box in found[:-1]), "what it adapts is not said"
    for scope, adapts in (("all", [False, True, True, True]), ("head", [False, False, False, True])):
        scoped = Candidate(
            {"architecture": "mlp", "rule": "gradient", "rule.gradient.scope": scope, **chosen}
        )
        assert [box.adapts for box in boxes(scoped, images)] == adapts
    chain = {"architecture": "mlp", "rule": "chain", "rule.chain.steps": 3, **chosen}
    reptile = boxes(Candidate({**chain, "rule.chain.loss": "distance"}), images)
    assert [box.adapts for box in reptile] == [False, True, True, True], "its steps change everything"
    cavia = boxes(Candidate({**chain, "rule.chain.scope": "context", "rule.chain.head": "rows"}), images)
    assert [(box.name, box.adapts) for box in cavia if box.adapts] == [("code of the task", True)]
    head = boxes(Candidate({**chain, "rule.chain.scope": "body", "rule.chain.head": "prototype"}), images)
    assert [box.adapts for box in head] == [False, True, True, True], "a head of prototypes is the task's"
    strange = boxes(
        Candidate({"architecture": "theirs", "rule": "ridge", "architecture.theirs.heads": 3}), images
    )
    assert (strange[1].name, strange[1].details) == ("theirs", ("heads 3",))
    many = {"architecture": "theirs", "rule": "ridge", **{f"architecture.theirs.c{i}": i for i in range(20)}}
    assert boxes(Candidate(many), images)[1].details[-1] == "and 12 more"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_shows_it_without_a_word(report: Path, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    done = subprocess.run(
        [
            CHROMIUM or "",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--window-size=1200,2600",
            f"--screenshot={picture}",
            report.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert picture.stat().st_size > 50_000, done.stderr
    assert "CONSOLE" not in done.stderr


def test_trials_that_came_after_the_verdict_are_told_apart(metanas: Run, folder: Path, searched: Any) -> None:
    """Those of a later run that was stopped: seconds are of the runs that ended, trials of all."""
    store = Store.open(f"sqlite:///{folder / 'metanas.db'}")
    last = store.records("sinusoid")[-1]
    number = len(store.records("sinusoid"))
    ours = replace(last, number=number, state="running", parent=None, weights=None, score=None)
    store.start(ours)
    store.finish(replace(ours, state="failed", reason="interrupted"))
    store.close()
    told = metanas("report", "sinusoid", "--json").json
    assert (told["added"], told["runs"]) == (1, 1)
    assert sum(told["trials"].values()) == number + 1
    metanas("report", "sinusoid", "-o", "again.html")
    text = " ".join("".join(read(folder / "again.html").text).split())
    assert "1 of them was added since, by what has no verdict yet" in text
    assert "1 trial has been added since this verdict" in metanas("show", "sinusoid").out


def test_commands_on_the_page_can_be_typed(quickly_in: Run, tmp_path: Path) -> None:
    """Names of studies may have spaces."""
    options = ("--study", "my study", "--trials", "1", "--rung", "1", "--store", "a b.db")
    ran = quickly_in(tmp_path, "search", "sinusoid", *options)
    assert ran.code == 0, ran.err
    ran = quickly_in(tmp_path, "report", "my study", "--store", "a b.db", "-o", "page.html")
    assert ran.code == 0, ran.err
    assert "metanas adapt 'my study.metanas' --support" in "".join(read(tmp_path / "page.html").text)


def test_a_learning_curve_goes_on_where_the_weights_came_from() -> None:
    """A trial that goes on counts its own meta-steps; those of its parent beyond its best led nowhere."""
    score = Score("mse", 1.0, 0.1, 8, "valid")
    parent = Record("s", 0, Candidate({}), "complete", rung=300, score=score)
    parent = replace(parent, valid_curve=((100, 3.0), (300, 2.0), (900, 2.5)))
    child = replace(parent, number=1, parent=0, rung=900, valid_curve=((180, 1.9), (900, 1.0)))
    study = facts.Study("s", {}, [parent, child], [{"best": {"trial": 1}}])
    assert facts.learning_curve(study) == [(100, 3.0), (300, 2.0), (480, 1.9), (1200, 1.0)]
    alone = facts.Study("s", {}, [parent, child], [{"best": {"trial": 0}}])
    assert facts.learning_curve(alone) == [(100, 3.0), (300, 2.0), (900, 2.5)]
