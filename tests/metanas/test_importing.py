"""A foreign Optuna study, over the same names, for a study of ours to learn from."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import create_trial

from controllers.interface import candidates_of, fitness
from metanas.cli.importing import import_trials
from search_spaces import Candidate, Categorical, Space
from storage import Store

Run = Callable[..., Any]
optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture
def folder(tmp_path: Path, searched: Any) -> Path:
    """With a store of ours, and one of a plain Optuna study over our names: three trials fit, two do not."""
    shutil.copy(searched.folder / "metanas.db", tmp_path)
    with Store.open(str(tmp_path / "metanas.db")) as store:
        space = Space.from_json(store.settings("sinusoid")["space"])
    study = optuna.create_study(study_name="theirs", storage=f"sqlite:///{tmp_path}/theirs.db")
    rng = np.random.default_rng(0)
    for _ in range(3):
        study.enqueue_trial(dict(space.sample(rng)))
        trial = study.ask()
        space.suggest(trial)
        trial.suggest_float("something_else", 0, 1)
        study.tell(trial, 0.5)
    study.optimize(lambda trial: trial.suggest_float("rate", 0, 1), n_trials=2)
    study.ask()  # still running
    return tmp_path


def replaced_values(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    found = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    for trial in found:
        trial.value = 0.25
    return found


def test_what_fits_is_taken_once_and_proposed_from(metanas: Run, folder: Path, tmp_path: Path) -> None:
    with Store.open(str(folder / "metanas.db")) as store:
        space = Space.from_json(store.settings("sinusoid")["space"])
        before = len(candidates_of(optuna.load_study(study_name="sinusoid", storage=store.optuna), space))
    ran = metanas("study", "import", "sinusoid", "theirs.db")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "3 trials taken into study sinusoid, 2 left out: no points of its space\n"
    assert "0 trials taken" in metanas("study", "import", "sinusoid", "theirs.db").out
    with Store.open(str(folder / "metanas.db")) as store:
        study = optuna.load_study(study_name="sinusoid", storage=store.optuna)
        assert len(candidates_of(study, space)) == before + 3
        assert {t.user_attrs["imported from"] for t in study.trials[-3:]} == {
            f"theirs, trial {number}" for number in range(3)
        }
    again = optuna.create_study(study_name="theirs", storage=f"sqlite:///{tmp_path}/elsewhere.db")
    again.add_trials(  # another machine's, which called its study alike
        replaced_values(optuna.load_study(study_name="theirs", storage=f"sqlite:///{tmp_path}/theirs.db"))
    )
    assert "3 trials taken" in metanas("study", "import", "sinusoid", "elsewhere.db").out
    assert "0 trials taken" in metanas("study", "import", "sinusoid", "elsewhere.db").out
    board = metanas("leaderboard", "sinusoid", "--json").json
    ran = metanas(
        "search",
        "sinusoid",
        "--trials",
        2,
        "--rung",
        3,
        "--space",
        "closed-form",
        "--execution",
        "vmap",
        "--json",
    )
    assert ran.code == 0, ran.err
    assert len(metanas("leaderboard", "sinusoid", "--json").json) > len(board)


def test_a_trial_counts_as_trained_to_the_end(metanas: Run, folder: Path) -> None:
    """Else the best of them would rank below the worst of ours that got to the first rung."""
    assert metanas("study", "import", "sinusoid", "theirs.db").code == 0
    with Store.open(str(folder / "metanas.db")) as store:
        study = optuna.load_study(study_name="sinusoid", storage=store.optuna)
        last = store.settings("sinusoid")["rungs"][-1]
    taken = [fitness(t, study) for t in study.trials if "imported from" in t.user_attrs]
    assert taken == [(last, -0.5)] * 3


def test_trials_with_other_values_of_what_is_fixed_or_left_out_here(tmp_path: Path) -> None:
    """One value of a choice is no other; what a candidate does not have says nothing, whatever its value."""
    fixed = Categorical("norm", ("none",))
    depth = Categorical("depth", (1, 2), {1: (), 2: (Categorical("width", (8, 16)),)})
    space = Space("ours", (fixed, depth))
    theirs = optuna.create_study(study_name="theirs", storage=f"sqlite:///{tmp_path}/theirs.db")
    for params in ({"norm": "layer", "depth": 1, "width": 8}, {"norm": "none", "depth": 1, "width": 512}):
        ranges = {
            "norm": CategoricalDistribution(("none", "layer")),
            "depth": CategoricalDistribution((1, 2)),
            "width": CategoricalDistribution((8, 512)),
        }
        theirs.add_trial(create_trial(value=0.5, params=params, distributions=ranges))
    with Store.open(str(tmp_path / "ours.db")) as store:
        store.save_study("ours", {"space": space.to_json(), "rungs": [10, 30]})
        study = optuna.create_study(study_name="ours", storage=store.optuna)
        assert import_trials(store, "ours", f"{tmp_path}/theirs.db") == (1, 1)
        (trial,) = study.trials
        assert trial.params == {"norm": "none", "depth": 1}
        assert candidates_of(study, space) == [Candidate({"norm": "none", "depth": 1})]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("sinusoid", "nowhere.db"), "nowhere.db"),
        (("sinusoid", "text.db"), "text.db"),
        (("sinusoid", "theirs.db", "--name", "others"), "no study called 'others'"),
        (("sinusoid", "two.db"), "say which with --name"),
        (("sinusoid", "up.db"), "another direction"),
        (("no such study", "theirs.db"), "no such study"),
    ],
)
def test_what_cannot_be_imported_is_one_line(
    metanas: Run, folder: Path, arguments: tuple[str, ...], says: str
) -> None:
    (folder / "text.db").write_text("not a database" * 100)
    for name in ("a", "b"):
        optuna.create_study(study_name=name, storage=f"sqlite:///{folder}/two.db")
    optuna.create_study(study_name="up", direction="maximize", storage=f"sqlite:///{folder}/up.db")
    ran = metanas("study", "import", *arguments)
    assert ran.code == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert not (folder / "nowhere.db").exists()


def test_a_database_without_studies_is_left_as_it_is(metanas: Run, folder: Path) -> None:
    with closing(sqlite3.connect(folder / "wear.db")) as connection, connection:
        connection.execute("CREATE TABLE wear (machine TEXT)")
    ran = metanas("study", "import", "sinusoid", "wear.db")
    assert ran.code == 2
    assert "wear.db holds no Optuna studies" in ran.err
    with closing(sqlite3.connect(folder / "wear.db")) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("wear",)]
