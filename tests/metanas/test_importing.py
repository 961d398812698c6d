"""A foreign Optuna study, over the same names, for a study of ours to learn from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from controllers.interface import candidates_of
from search_spaces import Space
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


def test_what_fits_is_taken_once_and_proposed_from(metanas: Run, folder: Path) -> None:
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
