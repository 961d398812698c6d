"""The command line as a user meets it: help, lists, and the commands that read what a search left."""

from __future__ import annotations

import csv
import io
import re
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

import metanas as package
from metanas.cli.summary import wide_console
from search_spaces import plugins
from storage import Store

Run = Callable[..., Any]
COMMANDS = (
    "search",
    "leaderboard",
    "show",
    "why",
    "verdict",
    "report",
    "debug",
    "export",
    "adapt",
    "dashboard",
    "doctor",
)
GROUPS = ("study", "family", "architecture", "rule", "controller", "space")
LISTS = {
    "family": {"harmonics", "images", "sinusoid"},
    "architecture": {"conv", "mlp"},
    "rule": {"chain", "gradient", "prototype", "ridge", "symbolic"},
    "controller": {"evolution", "learned", "random", "tpe"},
    "space": {"closed-form", "default", "gradient", "gradient-methods", "symbolic"},
}


@pytest.fixture
def folder(tmp_path: Path, searched: Any) -> Path:
    """A copy of what a search left."""
    for path in searched.folder.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


def test_help_names_every_command_and_shows_how_it_is_used(metanas: Run) -> None:
    ran = metanas("--help")
    assert (ran.code, ran.err) == (0, "")
    for name in (*COMMANDS, *GROUPS):
        assert re.search(rf"^  {name} +\w", ran.out, re.MULTILINE)
    assert "\n    metanas search sinusoid --budget 2m        search, and write sinusoid.metanas\n" in ran.out
    assert metanas().out == ran.out  # no command at all
    assert metanas("-h").out == ran.out


@pytest.mark.parametrize("command", [*COMMANDS, *GROUPS, *(f"{group} list" for group in GROUPS)])
def test_every_command_explains_itself(metanas: Run, command: str) -> None:
    ran = metanas(*command.split(), "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"Usage: metanas {command} ")
    assert "\\b" not in ran.out
    assert all(len(line) <= 100 for line in ran.out.splitlines())


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_without_a_command_shows_its_help(metanas: Run, group: str) -> None:
    ran = metanas(group)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == metanas(group, "--help").out


def test_the_version_is_the_packages(metanas: Run) -> None:
    assert metanas("--version").out == f"metanas {package.__version__}\n"


@pytest.mark.parametrize("kind", list(LISTS))
def test_lists_say_what_there_is(metanas: Run, kind: str) -> None:
    ran = metanas(kind, "list", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert {part["name"] for part in ran.json} >= LISTS[kind]
    assert all(set(part) == {"name", "summary"} and part["summary"] for part in ran.json)
    shown = metanas(kind, "list").out
    assert all(part["name"] in shown and part["summary"] in shown for part in ran.json)


def test_commands_that_read_load_neither_torch_nor_what_draws() -> None:
    """They would take seconds to answer."""
    code = "import sys, importlib\n" + "\n".join(
        f"importlib.import_module('metanas.cli.{name}')"
        for name in ("study", "leaderboard", "show", "why", "verdict")
    )
    code += "\nassert not {'torch', 'sklearn', 'matplotlib', 'scipy.stats'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_doctor_finds_this_installation_sound(metanas: Run) -> None:
    ran = metanas("doctor", "--json")
    assert (ran.code, ran.err) == (0, "")
    found = {finding["what"]: finding for finding in ran.json}
    assert all(set(finding) == {"what", "found", "fine"} for finding in ran.json)
    assert found["torch"]["fine"] is True
    assert all(found[f"package {name}"]["fine"] for name in ("metanas", "search_spaces", "storage"))
    assert (found["store"]["fine"], found["store"]["found"][:8]) == (None, "no store")
    shown = metanas("doctor").out
    assert all(f"{what}: " in shown for what in found)


def test_doctor_reports_what_stands_before_our_packages(
    metanas: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.machinery import ModuleSpec

    from metanas.cli import doctor

    other = ModuleSpec("storage", None, origin=str(tmp_path / "storage/__init__.py"))
    find = doctor.find_spec
    monkeypatch.setattr(doctor, "find_spec", lambda name: other if name == "storage" else find(name))
    ran = metanas("doctor")
    assert ran.code == 1
    assert re.search(r"PROBLEM  package storage: .*another storage comes before ours", ran.out)


def test_doctor_tells_all_that_it_can_where_something_is_broken(
    metanas: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "storage"):  # as if they were not there
        monkeypatch.setitem(sys.modules, name, None)
    ran = metanas("doctor", "--json")
    assert ran.code == 1
    found = {finding["what"]: finding for finding in ran.json}
    assert not found["device"]["fine"]
    assert found["device"]["found"].startswith("torch cannot be loaded: ModuleNotFoundError")
    assert not found["store"]["fine"]
    assert "METANAS_DATA" in found


def test_doctor_reports_a_store_that_is_none_and_plugins_that_are_gone(
    metanas: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.db").write_text("no database " * 100)
    points = EntryPoints([EntryPoint("mine", "gone_module:part", "metanas.rules")])
    monkeypatch.setattr(plugins, "entry_points", lambda **wanted: points.select(**wanted))
    ran = metanas("doctor", "--store", tmp_path / "notes.db", "--json")
    assert ran.code == 1
    wrong = {finding["what"]: finding["found"] for finding in ran.json if finding["fine"] is False}
    assert wrong.keys() == {"store", "plug-in mine"}
    assert "not an SQLite database" in wrong["store"]
    assert "gone_module" in wrong["plug-in mine"]


def test_doctor_reports_a_store_that_a_search_would_refuse(metanas: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/other.db"
    optuna.create_study(storage=url)
    with Store.open(url):
        pass
    with closing(sqlite3.connect(tmp_path / "other.db")) as database, database:
        database.execute("update alembic_version set version_num = 'v99.0.0'")
    ran = metanas("doctor", "--store", url, "--json")
    (store,) = (finding for finding in ran.json if finding["what"] == "store")
    assert (ran.code, store["fine"]) == (1, False)
    assert "Optuna" in store["found"]


def test_doctor_knows_all_that_the_package_needs() -> None:
    from metanas.cli import doctor

    project = tomllib.loads((Path(package.__file__).parents[1] / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[^\w.-]", text)[0] for text in project["dependencies"]}
    assert needed - {"nni"} == set(doctor._NEEDED)


def test_doctor_reports_what_is_missing(metanas: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from metanas.cli import doctor

    monkeypatch.setattr(doctor, "_version", lambda name: None if name in ("torch", "nni") else "1.0")
    ran = metanas("doctor", "--json")
    assert ran.code == 1
    found = {finding["what"]: finding for finding in ran.json}
    assert found["torch"] == {"what": "torch", "found": "missing: run make setup", "fine": False}
    assert found["nni"]["fine"] is None


def test_doctor_knows_the_store(metanas: Run, folder: Path) -> None:
    found = {finding["what"]: finding["found"] for finding in metanas("doctor", "--json").json}
    assert found["store"] == "sqlite:///metanas.db, 1 studies"


TRIAL = {
    "trial": int,
    "state": str,
    "reason": str,
    "rung": int,
    "candidate": dict,
    "architecture": str,
    "rule": str,
    "seconds": float,
    "multiply_adds": int,
    "parameters": int,
    "adapt_ms": float,
    "peak_memory": int,
    "seed": int,
}


def test_the_leaderboard_is_sorted_by_validation_score(metanas: Run, folder: Path) -> None:
    ran = metanas("leaderboard", "sinusoid", "--json")
    assert (ran.code, ran.err) == (0, "")
    rows = ran.json
    values = [row["valid"]["value"] for row in rows]
    assert len(rows) == 5
    assert values == sorted(values)
    for row in rows:
        assert set(row) == set(TRIAL) | {"valid", "parent"}
        assert {key: type(row[key]) for key in TRIAL} == TRIAL
    assert metanas("leaderboard", "sinusoid", "--rows", 2, "--json").json == rows[:2]
    shown = metanas("leaderboard", "sinusoid", "--rows", 2).out
    assert all(f"{value:.4g}" in shown for value in values[:2])
    assert f"{values[2]:.4g}" not in shown


def test_show_a_study(metanas: Run, folder: Path, searched: Any) -> None:
    found = metanas("show", "sinusoid", "--json").json
    assert (found["study"], found["trials"]) == ("sinusoid", 5)
    assert (found["settings"]["shots"], found["settings"]["seed"]) == (5, 3)
    assert found["results"] == [searched.ran.lines[-1]]
    shown = metanas("show", "sinusoid").out
    assert found["results"][0]["verdict"]["sentence"] in shown
    assert "Saved: sinusoid.metanas, sinusoid.png, sqlite:///metanas.db" in shown


def test_show_a_trial(metanas: Run, folder: Path) -> None:
    found = metanas("show", "sinusoid", 4, "--json").json
    assert found["parent"] is not None
    assert found["rung"] in [step for step, _ in found["valid_curve"]], "the step of its best score"
    assert len(found["curve"]) == 27
    shown = metanas("show", "sinusoid", 4).out
    assert shown.startswith("trial 4 complete (went on from trial")
    assert f"went on from trial {found['parent']}" in shown
    assert f"architecture: {found['candidate']['architecture']}" in shown


def test_show_a_study_that_has_not_ended(metanas: Run, tmp_path: Path) -> None:
    with Store.open(f"{tmp_path}/metanas.db") as store:
        store.save_study("pumps", {"family": {"name": "sinusoid"}, "shots": 5, "seed": 0})
    shown = metanas("show", "pumps").out
    again = "give its command again, metanas search … --study "
    assert f"No run has ended with a verdict yet. To go on, {again}pumps\n" in shown
    with Store.open(f"{tmp_path}/others.db") as store:
        store.save_study("my study", {"family": {"name": "a + b", "mixed": []}, "shots": 5, "seed": 0})
    for command in ("show", "verdict", "report"):
        ran = metanas(command, "my study", "--store", "others.db")
        assert f"{again}'my study' --store sqlite:///others.db" in ran.out + ran.err
    assert metanas("leaderboard", "pumps", "--json").json == []


def test_numbers_that_json_does_not_have_are_null(metanas: Run, folder: Path) -> None:
    from dataclasses import replace

    with Store.open(f"{folder}/metanas.db") as store:
        (first, *_) = store.records("sinusoid")
        store.start(replace(first, number=50, state="running"))
        store.finish(replace(first, number=50, curve=((1, float("inf")), (2, float("nan")))))
    assert metanas("show", "sinusoid", 50, "--json").json["curve"] == [[1, None], [2, None]]


def test_the_studies_of_a_store(metanas: Run, folder: Path) -> None:
    (found,) = metanas("study", "list", "--json").json
    assert found.pop("created").startswith("20")
    counts = {"complete": 2, "pruned": 3, "failed": 0, "running": 0}
    assert found == {"study": "sinusoid", "family": "sinusoid", **counts}
    assert "sinusoid" in metanas("study", "list").out


def test_a_store_may_be_named_by_an_option_or_the_environment(metanas: Run, folder: Path) -> None:
    (folder / "metanas.db").rename(folder / "other.db")
    assert metanas("study", "list").code == 2
    for ran in (
        metanas("study", "list", "--store", "other.db"),
        metanas("study", "list", METANAS_STORE="other.db"),
        metanas("study", "list", "--store", "sqlite:///other.db", METANAS_STORE="another.db"),
    ):
        assert (ran.code, ran.err) == (0, "")


def test_the_best_is_exported_and_learns_a_task(metanas: Run, folder: Path) -> None:
    ran = metanas("export", "sinusoid", "-o", "mine.metanas", "--json")
    best = metanas("leaderboard", "sinusoid", "--json").json[0]["trial"]
    assert ran.json == {"study": "sinusoid", "trial": best, "saved": "mine.metanas"}
    learner, first = (package.load(folder / name) for name in ("mine.metanas", "sinusoid.metanas"))
    x, y, q = np.array([[0.0], [1.0], [2.0]]), np.array([0.0, 0.8, 0.9]), np.array([[0.5], [1.5]])
    np.testing.assert_array_equal(learner.adapt(x, y).predict(q), first.adapt(x, y).predict(q))
    assert learner.manifest.scorecard["verdict"] == first.manifest.scorecard["verdict"]


def test_any_trial_with_weights_is_exported(metanas: Run, folder: Path) -> None:
    pruned = next(
        row["trial"] for row in metanas("leaderboard", "sinusoid", "--json").json if row["state"] == "pruned"
    )
    winner = (folder / "sinusoid.metanas").read_bytes()
    ran = metanas("export", "sinusoid", "--trial", pruned)
    name = f"sinusoid_{pruned}.metanas"
    assert (ran.code, ran.out) == (0, f"wrote {name}: trial {pruned} of study sinusoid\n")
    assert (folder / "sinusoid.metanas").read_bytes() == winner, "with its test score and verdict"
    learner = package.load(folder / name)
    assert learner.manifest.provenance["trial"] == pruned
    assert "verdict" not in learner.manifest.scorecard  # that was of another trial


def test_adapt_writes_predictions_and_scores_them(metanas: Run, folder: Path) -> None:
    (folder / "s.csv").write_text("x,y\n0,0\n1,0.8\n2,0.9\n")
    (folder / "q.csv").write_text("x,y\n0.5,0.5\n1.5,1.0\n")
    ran = metanas("adapt", "sinusoid.metanas", "--support", "s.csv", "--query", "q.csv", "-o", "out.csv")
    assert (ran.code, ran.out) == (0, "")
    assert re.search(r"^wrote out\.csv: 2 predictions\n.*on 2 rows of the query", ran.err)
    rows = list(csv.DictReader(io.StringIO((folder / "out.csv").read_text())))
    assert len(rows) == 2
    as_json = metanas("adapt", "sinusoid.metanas", "--support", "s.csv", "--query", "q.csv", "--json").json
    assert as_json["score"]["metric"] == "mse"
    printed = metanas("adapt", "sinusoid.metanas", "--support", "s.csv", "--query", "q.csv").out
    assert list(csv.DictReader(io.StringIO(printed))) == rows


def test_the_dashboard_is_optunas_on_our_store(
    metanas: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys
    from types import ModuleType

    served: list[Any] = []

    def run_server(storage: Any, host: str, port: int, artifact_store: Any) -> None:
        served.append(([study.study_name for study in storage.get_all_studies()], host, port))

    module = ModuleType("optuna_dashboard")
    module.run_server = run_server  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "optuna_dashboard", module)
    ran = metanas("dashboard", "--port", 8123)
    assert ran.code == 0
    assert served == [(["sinusoid"], "127.0.0.1", 8123)]
    assert "http://127.0.0.1:8123/" in ran.err


def test_the_verdict_again(metanas: Run, folder: Path, searched: Any) -> None:
    result = searched.ran.lines[-1]
    found = metanas("verdict", "sinusoid", "--json").json
    assert found == {key: result[key] for key in ("study", "test", "baselines", "verdict", "looks")}
    shown = metanas("verdict", "sinusoid").out
    assert result["verdict"]["sentence"] in " ".join(shown.split())
    assert all(baseline["name"] in shown for baseline in result["baselines"])
    assert "looked at once" in shown


def test_no_verdict_yet(metanas: Run, folder: Path) -> None:
    with Store.open(str(folder / "metanas.db")) as store:
        store.save_study("begun", store.settings("sinusoid"))
    ran = metanas("verdict", "begun")
    assert ran.code == 2
    assert "no verdict yet" in ran.err


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """rich knows markup and emoji; a module may be called as one of these is."""
    wide_console().print("metanas adapt s.metanas --architecture nni:m:Net, [bold] columns")
    assert capsys.readouterr().out == "metanas adapt s.metanas --architecture nni:m:Net, [bold] columns\n"
