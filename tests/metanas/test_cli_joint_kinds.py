"""Several families of different kinds, of few tasks, or mixed, from ``metanas search`` to what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import metanas as package
from metanas import together
from metanas.cli import joint
from metanas.testing.tables import labelled, rows, write
from storage import Store
from tests.metanas.test_cli_joint import BOTH, QUICK
from tests.metanas.test_cli_search import RESULT, shape

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def run(quickly_in: Run) -> Run:
    return quickly_in


STUDY = """\
trials = 2
rung = 3
space = "closed-form"
execution = "vmap"
seed = 1

[families.curves]
family = "sinusoid"

[families.wear]
family = "table"
path = "wear.csv"
task = "machine"
target = "wear"
shots = 4

[families.state]
family = "table"
path = "state.csv"
task = "machine"
target = "state"
"""


@pytest.mark.long
def test_families_of_different_kinds_from_a_study_file(run: Run, tmp_path: Path) -> None:
    """Curves, a table of numbers and one of classes; the command line has the last word."""
    write(tmp_path / "wear.csv", rows(machines=60))
    labelled(tmp_path / "state.csv", machines=60)
    (tmp_path / "mine.toml").write_text(STUDY)
    ran = run(tmp_path, "search", "mine.toml", "--trials", 1, "--json")
    assert (ran.code, ran.err) == (0, "")
    result = ran.lines[-1]
    assert (result["study"], sum(result["trials"].values())) == ("mine", 1)
    metrics = [one["own"]["test"]["metric"] for one in result["families"]]
    assert metrics == ["mse", "mse", "accuracy"]
    wear = package.load(tmp_path / "mine-wear.metanas")
    assert wear.manifest.setting["shots"] == 4
    with Store.open(f"{tmp_path}/metanas.db") as store:
        assert [s.name for s in store.studies()] == ["mine/curves", "mine/wear", "mine/state", "mine"]
        assert store.settings("mine/curves")["shots"] == 5


@pytest.mark.long
def test_few_tasks_are_tested_once_each_in_searches_of_all_families(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "few.csv", rows(machines=3, each=14))
    words = ("search", "table", "few.csv", "--task", "machine", "--target", "wear", "sinusoid")
    ran = run(tmp_path, *words, *QUICK, "--trials", 1, "--shots", 2, "--json")
    assert (ran.code, ran.err) == (0, "")
    few, curves = ran.lines[-1]["families"]
    assert (few["folds"], few["own"]["test"]["tasks"]) == (3, 3)
    assert (curves["folds"], curves["own"]["test"]["tasks"]) == (1, 40)
    with Store.open(f"{tmp_path}/metanas.db") as store:
        names = {study.name for study in store.studies()}
    assert {"table-sinusoid", "table-sinusoid fold 2/table", "table-sinusoid fold 3"} <= names


@pytest.mark.long
def test_one_learner_has_two_verdicts_where_those_of_another_fold_differ(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compared = together._compared

    def differing(search: Any, *told: Any) -> Any:
        found = compared(search, *told)
        worse = replace(found.of_all, ours=found.of_all.ours + 1.0)
        return replace(found, of_all=worse) if " fold 2" in search.name else found

    monkeypatch.setattr(together, "_compared", differing)
    write(tmp_path / "few.csv", rows(machines=3, each=14))
    words = ("search", "table", "few.csv", "--task", "machine", "--target", "wear", "sinusoid")
    result = run(tmp_path, *words, *QUICK, "--trials", 1, "--shots", 2, "--json").lines[-1]
    few, curves = result["families"]
    assert few["own"]["trial"] == few["for_all"]["trial"]
    assert few["own"]["test"]["value"] == pytest.approx(few["for_all"]["test"]["value"] - 1 / 3, rel=1e-4)
    for name, learner in (("", "for_all"), ("-best", "own")):
        card = package.load(tmp_path / f"table-sinusoid-table{name}.metanas").manifest.scorecard
        assert card["verdict"] == few[learner]["verdict"]
    assert {**curves["own"], "saved": ""} == {**curves["for_all"], "saved": ""}
    joint.print_families(result)
    told = capsys.readouterr().out
    assert told.count("best for this family: the same") == 1
    assert all(few[learner]["saved"] in told for learner in ("for_all", "own"))


def test_a_mix_is_one_family_with_one_learner(run: Run, tmp_path: Path) -> None:
    ran = run(tmp_path, *BOTH, "--trials", 1, "--mix", "--json")
    assert (ran.code, ran.err) == (0, "")
    result = ran.lines[-1]
    assert shape(result) == RESULT
    assert result["saved"]["learner"] == "sinusoid-harmonics.metanas"
    learner = package.load(tmp_path / "sinusoid-harmonics.metanas")
    assert learner.manifest.provenance["family"]["name"] == "sinusoid + harmonics"
    again = run(tmp_path, *BOTH, "--trials", 1)  # the study is a mix: it does not go on as one of both
    assert (again.code, again.out) == (2, "")
    assert "family sinusoid + harmonics, now sinusoid harmonics" in again.err


def test_a_person_is_told_where_a_trial_stands(run: Run, tmp_path: Path) -> None:
    ran = run(tmp_path, *BOTH, "--trials", 1)
    assert ran.code == 0
    assert "mean rank 1, worst on sinusoid: sinusoid mean squared error" in ran.err
    assert "best for all is trial 0: 1 of 1 on sinusoid, 1 of 1 on harmonics" in ran.err
    assert "sinusoid: going on with trial 0" in ran.err
    for words in (
        "Leaderboard",
        "Best for all: trial 0",
        "harmonics:",
        "best for this family: the same",
        "Next:",
    ):
        assert words in ran.out
    assert "metanas report sinusoid-harmonics/sinusoid" in ran.out


REFUSED = [
    (("sinusoid", "harmonix"), r"no family called 'harmonix'; did you mean harmonics"),
    (("sinusoid", "harmonics", "photos.zip"), r"harmonics: harmonics makes its own tasks"),
    (("sinusoid", "harmonics", "--task", "m"), r"sinusoid: sinusoid makes its own tasks"),
    (("sinusoid", "table", "t.csv"), r"table: table needs --task COLUMN"),
    (("sinusoid", "table", "gone.csv", "--task", "a", "--target", "b"), r"table: cannot read gone\.csv"),
    (("sinusoid", "harmonics", "--ways", 3), r"sinusoid: sinusoid is regression: it has no classes"),
    (("sinusoid", "harmonics", "--shots", 0), r"sinusoid: --shots should be at least 1"),
    (("sinusoid", "harmonics", "--study", "n" * 300), r"cannot write n+…: File name too long"),
    (("sinusoid", "images", "--mix"), r"images needs a zip or a folder"),
    (("gone.toml",), r"cannot read gone\.toml: No such file or directory"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_what_cannot_be_is_said_in_one_line(
    metanas: Run, tmp_path: Path, words: tuple[object, ...], said: str
) -> None:
    ran = metanas("search", *words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(ran.err)
    assert list(tmp_path.iterdir()) == []


def test_a_mix_of_different_sizes_is_refused(metanas: Run, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text("mix = true\n[families.sinusoid]\nshots = 3\n[families.harmonics]\n")
    ran = metanas("search", "m.toml")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "--mix needs one number of shots for all families" in ran.err
