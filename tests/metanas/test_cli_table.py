"""A table from ``metanas search`` to the learner's predictions for a machine that nobody saw."""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import metanas as package
from metanas.learner.card import card
from metanas.testing.tables import COLUMNS, labelled, rows, write
from storage import Store

Run = Callable[..., Any]
QUICK = ("--trials", 2, "--rung", 5, "--space", "closed-form", "--execution", "vmap", "--json")
WEAR = ("--task", "machine", "--target", "wear")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds a table of 60 machines."""
    found = tmp_path_factory.mktemp("table")
    write(found / "wear.csv", rows(machines=60, sites=10))
    return found


@pytest.fixture(scope="module")
def result(metanas_in: Run, folder: Path) -> Any:
    ran = metanas_in(folder, "search", "table", "wear.csv", *WEAR, *QUICK)
    assert ran.code == 0, ran.err
    return ran.lines[-1]


def test_the_verdict_counts_tasks(result: Any, folder: Path) -> None:
    """12 of 60 machines are for the test, however many episodes are drawn from them."""
    assert result["test"]["tasks"] == 12
    assert result["folds"] == 1
    names = {rival["name"] for rival in result["baselines"]}
    assert {"task mean", "Gaussian process per task", "pooled model + task intercept", "MAML"} <= names
    assert result["verdict"]["outcome"] in ("better", "no difference", "worse")
    assert (folder / "table.png").stat().st_size > 10_000
    card = zipfile.ZipFile(folder / "table.metanas").read("card.md").decode()
    assert re.search(
        r"Scores are of wear standardised: .*mean, 1\d\.\d+, where its standard deviation is", card
    )


def test_a_new_machine(metanas_in: Run, folder: Path, result: Any) -> None:
    """Columns are found by name; cells may be empty; predictions are in the target's own units."""
    new = rows(machines=1, each=30, seed=9)
    order = ["wear", "load", "mode", "day", "site"]
    lines = [[line[COLUMNS.index(name)] for name in order] for line in new]
    lines[12][1] = ""
    lines[11][2], lines[15][2], lines[15][1] = "turbo", "idle", "NA"
    write(folder / "support.csv", lines[:10], order)
    write(folder / "query.csv", [line[1:] for line in lines[10:]], order[1:])
    ran = metanas_in(
        folder, "adapt", "table.metanas", "--support", "support.csv", "--query", "query.csv", "-o", "out.csv"
    )
    assert ran.code == 0, ran.err
    assert "note: the query's column mode has 'idle' and 1 more, unknown in training" in ran.err
    assert "support" not in ran.err
    with open(folder / "out.csv", newline="") as handle:
        found = [float(row["prediction"]) for row in csv.DictReader(handle)]
    assert len(found) == 20
    assert 0 < np.mean(found) < 20, "wear is about 11"

    learner = package.load(folder / "table.metanas")
    support, query = pd.read_csv(folder / "support.csv"), pd.read_csv(folder / "query.csv")
    same = learner.adapt(support, support["wear"].to_numpy()).predict(query)
    np.testing.assert_allclose(same, found, rtol=1e-5)
    # as Parquet and SQL give them, with missing values that do not even differ from themselves
    nullable = learner.adapt(support.convert_dtypes(), support["wear"].to_numpy()).predict(
        query.convert_dtypes()
    )
    np.testing.assert_allclose(nullable, found, rtol=1e-5)


def test_text_in_a_column_of_numbers(metanas_in: Run, folder: Path, result: Any) -> None:
    write(
        folder / "s.csv",
        [["much", "eco", "2024-01-11", "site 1", 3]],
        ["load", "mode", "day", "site", "wear"],
    )
    write(folder / "q.csv", [[1, "eco", "2024-01-11", "site 1"]], ["load", "mode", "day", "site"])
    ran = metanas_in(folder, "adapt", "table.metanas", "--support", "s.csv", "--query", "q.csv")
    assert ran.code == 2
    assert "column 'load' is 'much', not a number" in ran.err


@pytest.mark.long
def test_few_tasks_are_cross_validated(metanas_in: Run, tmp_path: Path) -> None:
    write(tmp_path / "few.csv", rows(machines=12))
    ran = metanas_in(tmp_path, "search", "table", "few.csv", *WEAR, *QUICK)
    assert ran.code == 0, ran.err
    assert ran.lines[-1]["test"]["tasks"] == 12, "each is a test one once"
    assert ran.lines[-1]["folds"] == 5
    assert any("12 tasks are few" in line.get("text", "") for line in ran.lines)
    with Store.open(f"{tmp_path}/metanas.db") as store:
        assert len(store.studies()) == 5
    assert (
        "They are few: each was a test one once, in 5 searches."
        in metanas_in(tmp_path, "verdict", "table").out
    )
    said = "on test tasks, each by the learner of the one of 5 searches that never saw it"
    assert said in card(package.load(tmp_path / "table.metanas").manifest), (
        "its own learned from most of them"
    )


@pytest.mark.long
def test_folds_that_are_opened_later_are_searched_as_the_first_one(
    metanas_in: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the first; whoever goes on need not say seed and limits again."""
    write(tmp_path / "few.csv", rows(machines=12))
    words = ("search", "table", "few.csv", *WEAR, *QUICK)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("metanas.folds.compare", stopped)
        assert metanas_in(tmp_path, *words, "--seed", 7, "--max-params", 20000).code == 130
    assert metanas_in(tmp_path, *words).code == 0
    with Store.open(f"{tmp_path}/metanas.db") as store:
        known = [(study.settings["seed"], study.settings["limits"]) for study in store.studies()]
    assert known == [(7, {"parameters": 20000})] * 5


@pytest.mark.long
def test_classes(metanas_in: Run, tmp_path: Path) -> None:
    labelled(tmp_path / "t.csv", machines=60)
    words = ("--task", "machine", "--target", "state", "--shots", 3)
    ran = metanas_in(tmp_path, "search", "table", "t.csv", *words, *QUICK)
    assert ran.code == 0, ran.err
    assert ran.lines[-1]["test"]["metric"] == "accuracy"
    write(tmp_path / "s.csv", [[1, 0, "worn"], [0, 1, "fine"], [-1, 0, "fine"]], ["a", "b", "state"])
    write(tmp_path / "q.csv", [[1, 1]], ["a", "b"])
    answer = metanas_in(
        tmp_path, "adapt", "table.metanas", "--support", "s.csv", "--query", "q.csv", "--json"
    )
    assert answer.json["rows"][0]["prediction"] in ("worn", "fine")


def test_a_study_goes_on_only_with_the_same_table(metanas_in: Run, folder: Path, result: Any) -> None:
    write(folder / "other.csv", rows(machines=60, sites=10, seed=1))
    ran = metanas_in(folder, "search", "table", "other.csv", *WEAR, *QUICK)
    assert ran.code == 2
    assert "other data" in ran.err
