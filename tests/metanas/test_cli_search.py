"""``metanas search`` to its end: what it writes, that it repeats, and that it goes on."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from PIL import Image

import metanas as package
from metanas import judging
from metanas.budget import Budget
from metanas.cli import wiring
from metanas.cli.search import too_short
from metanas.testing.drawings import draw_classes
from metanas.trained import MetaLearner
from search_spaces.errors import EvaluationError
from storage import Store

Run = Callable[..., Any]

SCORE = {"metric": str, "value": float, "ci95": float}
# the result, as those who read it with a program rely on it
RESULT = {
    "study": str,
    "trials": {"complete": int, "pruned": int, "failed": int},
    "seconds": float,
    "best": {"trial": int, "candidate": dict, "architecture": str, "rule": str, "valid": SCORE},
    "test": SCORE | {"tasks": int, "of": str, "transductive": bool},
    "baselines": [{"name": str, "value": float, "ci95": float}],
    "verdict": {"outcome": str, "against": str, "difference": float, "ci95": float, "sentence": str},
    "looks": int,
    "folds": int,
    "saved": {"learner": str, "picture": str, "store": str},
}
OUTCOMES = {"better", "no difference", "worse", "too few tasks"}
MEASURED = ("seconds", "adapt_ms", "peak_memory")  # that differ from run to run


def shape(value: Any) -> Any:
    """Types in place of values; the candidate, whose keys are the space's, stays whole."""
    if isinstance(value, dict):
        return {key: dict if key == "candidate" else shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        (one,) = {json.dumps(shape(inner), default=str): shape(inner) for inner in value}.values()
        return [one]
    return type(value)


def trials(ran: Any) -> list[dict[str, Any]]:
    """The trials that a search told of, without what was measured of them."""
    found = [line for line in ran.lines if line.get("event") == "trial"]
    return [{key: value for key, value in line.items() if key not in MEASURED} for line in found]


def weights(path: Path) -> bytes:
    """Of a learner file."""
    with zipfile.ZipFile(path) as archive:
        return archive.read("weights.safetensors")


def test_the_result_is_as_agreed(searched: Any) -> None:
    *events, result = searched.ran.lines
    assert searched.ran.err == ""
    phases = [line["text"] for line in events if line["event"] == "phase"]
    assert {line["event"] for line in events} == {"trial", "phase"}
    assert phases[0].startswith("rung 1 of 3"), "something is said before the first trial has ended"
    assert phases[-2:] == ["scoring by shots", "writing the learner and the picture"]
    assert shape(result) == RESULT
    assert result["study"] == "sinusoid"
    assert result["trials"] == {"complete": 2, "pruned": 3, "failed": 0}
    assert len(events) - len(phases) == sum(result["trials"].values())
    assert result["best"]["trial"] == 4
    assert (result["test"]["tasks"], result["test"]["transductive"]) == (40, False)
    assert [score["metric"] for score in (result["best"]["valid"], result["test"])] == ["mse", "mse"]
    names = {"MAML", "training mean", "task mean", "ridge per task", "k-nearest neighbours"}
    names |= {"Gaussian process per task", "pooled network, fine-tuned"}
    assert {baseline["name"] for baseline in result["baselines"]} == names
    verdict = result["verdict"]
    assert verdict["outcome"] in OUTCOMES
    assert verdict["against"] == result["baselines"][0]["name"]  # the best on validation comes first
    assert verdict["difference"] == pytest.approx(
        result["baselines"][0]["value"] - result["test"]["value"], rel=1e-6
    )
    assert verdict["sentence"].endswith("paired by task).")
    assert result["saved"] == {
        "learner": "sinusoid.metanas",
        "picture": "sinusoid.png",
        "store": "sqlite:///metanas.db",
    }


def test_it_leaves_a_learner_a_picture_and_a_store(searched: Any) -> None:
    folder, result = searched.folder, searched.ran.lines[-1]
    assert {path.name for path in folder.iterdir()} == {"metanas.db", "sinusoid.metanas", "sinusoid.png"}
    with Image.open(folder / "sinusoid.png") as picture:
        assert min(picture.size) > 500
    learner = package.load(folder / "sinusoid.metanas")
    assert dict(learner.manifest.candidate) == result["best"]["candidate"]
    assert learner.manifest.scorecard["verdict"] == result["verdict"]
    x = np.linspace(-5, 5, 5)[:, None]
    assert learner.adapt(x, np.sin(x)).predict(x).shape == (5, 1)


def test_optuna_has_the_same_trials(searched: Any, tmp_path: Path) -> None:
    shutil.copy(searched.folder / "metanas.db", tmp_path)
    with Store.open(f"{tmp_path}/metanas.db") as store:
        study = optuna.load_study(study_name="sinusoid", storage=store.optuna)
        assert [name.value for name in [study.direction]] == [1]  # minimised
        assert study.metric_names == ["validation mse"]
        theirs = {trial.number: trial for trial in study.get_trials()}
    for line in trials(searched.ran):
        trial = theirs[line["trial"]]
        assert trial.state.name.lower() == line["state"]
        assert trial.user_attrs["architecture"] == line["architecture"]
        assert trial.intermediate_values[line["rung"]] == line["valid"]["value"]


@pytest.mark.long
def test_a_person_is_told_the_same(metanas: Run, quick: tuple[object, ...], tmp_path: Path) -> None:
    ran = metanas(*quick, "--study", "first try", "--store", "runs.db")
    assert ran.code == 0
    assert re.search(
        r"^ +\d+\.\d s  trial \d (complete|pruned) \(rung 1 of 3\): mean squared error", ran.err, re.M
    )
    assert re.search(r"going on with trial \d\n.*baseline 1 of 7: training mean\n", ran.err, re.DOTALL)
    for words in ("Leaderboard", "Winner: trial", "Test:   mean squared error", "MAML: mean squared error"):
        assert words in ran.out
    assert re.search(r"^Verdict: (Better|Worse|No difference)", ran.out, re.MULTILINE)
    saved = "Saved first try.metanas (the learner), first try.png (what happened), sqlite:///runs.db"
    assert saved in ran.out
    commands = [line.strip() for line in ran.out.partition("Next:\n")[2].splitlines()]
    assert commands[1:] == [
        "metanas report 'first try' --store sqlite:///runs.db",
        "metanas leaderboard 'first try' --store sqlite:///runs.db",
        "metanas show 'first try' --store sqlite:///runs.db",
        "metanas dashboard --store sqlite:///runs.db",
    ]
    assert commands[0].startswith("metanas adapt 'first try.metanas' --support")


@pytest.mark.parametrize(
    ("execution", "controller", "space", "number"),
    [
        pytest.param("vmap", "evolution", "default", 7, marks=pytest.mark.long),
        pytest.param("replay", "tpe", "closed-form", 2, marks=pytest.mark.long),
        pytest.param("sequential", "random", "closed-form", 2, marks=pytest.mark.slow),
    ],
)
def test_the_same_seed_gives_the_same_search_bit_for_bit(
    metanas: Run,
    quick: tuple[object, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    execution: str,
    controller: str,
    space: str,
    number: int,
) -> None:
    if execution == "replay":  # tracing MAML takes most of the time
        monkeypatch.setattr(judging, "hand_set", lambda *_: [])
    options = ("--trials", number, "--rung", 1, "--space", space, "--controller", controller, "--json")
    ran = []
    for run in ("one", "two"):
        there = ("--execution", execution, "--study", run, "--store", f"{run}.db")
        ran.append(metanas(*quick, *options, *there, "--seed", 5))
        assert (ran[-1].code, ran[-1].err) == (0, "")
    assert len(trials(ran[0])) == number + 1
    assert trials(ran[0]) == trials(ran[1])
    first, second = (one.lines[-1] for one in ran)
    for key in ("trials", "best", "test", "baselines", "verdict", "looks"):
        assert first[key] == second[key]
    assert weights(tmp_path / "one.metanas") == weights(tmp_path / "two.metanas")


@pytest.mark.long
def test_another_seed_gives_another_search(metanas: Run, quick: tuple[object, ...], tmp_path: Path) -> None:
    ran = [metanas(*quick, "--study", f"s{seed}", "--seed", seed, "--json") for seed in (1, 2)]
    first, second = ({json.dumps(line["candidate"]) for line in trials(one)} for one in ran)
    assert not first & second
    assert weights(tmp_path / "s1.metanas") != weights(tmp_path / "s2.metanas")
    assert ran[0].lines[-1]["test"]["value"] != ran[1].lines[-1]["test"]["value"]


@pytest.fixture
def folder(tmp_path: Path, searched: Any) -> Path:
    shutil.copy(searched.folder / "metanas.db", tmp_path)
    return tmp_path


@pytest.mark.long
def test_a_study_goes_on_where_it_stopped(
    metanas: Run, quick: tuple[object, ...], folder: Path, searched: Any
) -> None:
    ran = metanas(*quick, "--trials", 1, "--json")  # the seed, 3, is the study's
    assert (ran.code, ran.err) == (0, "")
    assert [line["trial"] for line in trials(ran)] == [5, 6]
    before, result = searched.ran.lines[-1], ran.lines[-1]
    assert sum(result["trials"].values()) == 7
    assert result["best"]["valid"]["value"] <= before["best"]["valid"]["value"]
    assert (before["looks"], result["looks"]) == (1, 2)
    assert "look" not in before["verdict"]["sentence"]
    assert "look 2 at these test tasks" in result["verdict"]["sentence"]
    # fresh tasks: not even the constant scores the same
    means = [
        next(b["value"] for b in one["baselines"] if b["name"] == "training mean") for one in (before, result)
    ]
    assert means[0] != means[1]
    assert len(metanas("show", "sinusoid", "--json").json["results"]) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--shots", 3), "--shots 5, now 3"),
        (("--queries", 7), "--queries 50, now 7"),
        (("--rung", 4), "--rung 3, now 4"),
        (("--seed", 4), "--seed 3, now 4"),
        (("--space", "gradient"), "--space closed-form, now gradient"),
        (("--shots", 2, "--seed", 0), "--shots 5, now 2; --seed 3, now 0"),
    ],
)
def test_a_study_does_not_go_on_with_other_settings(
    metanas: Run, quick: tuple[object, ...], folder: Path, options: tuple[object, ...], said: str
) -> None:
    refused(metanas(*quick, *options, "--json"), said, "sinusoid")
    assert len(metanas("leaderboard", "sinusoid", "--json").json) == 5


def test_a_study_does_not_go_on_with_another_family(
    metanas: Run, quick: tuple[object, ...], folder: Path
) -> None:
    ran = metanas("search", "harmonics", *quick[2:], "--study", "sinusoid")
    refused(ran, "family sinusoid, now harmonics", "sinusoid")


def test_settings_that_come_while_it_begins_are_said_as_shortly(
    metanas: Run, quick: tuple[object, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = wiring.known_settings
    answers: list[dict[str, Any]] = [{}]  # another process has not begun it yet
    monkeypatch.setattr(wiring, "known_settings", lambda *words: answers.pop() if answers else known(*words))
    refused(metanas(*quick, "--shots", 3, "--seed", 3, "--json"), "--shots 5, now 3", "sinusoid")


@pytest.mark.long
def test_a_study_that_was_deleted_in_optuna_is_not_begun_anew(
    metanas: Run, quick: tuple[object, ...], tmp_path: Path
) -> None:
    words = (*quick, "--study", "gone", "--store", f"sqlite:///{tmp_path}/x.db")
    assert metanas(*words).code == 0
    optuna.delete_study(study_name="gone", storage=f"sqlite:///{tmp_path}/x.db")
    ran = metanas(*words)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "trials of study 'gone' were deleted in Optuna" in ran.err


def refused(ran: Any, said: str, study: str) -> None:
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"metanas: study '{study}' was begun with other settings ({said}): "
        "give them as they were, or another --study\n"
    )


@pytest.mark.long
def test_one_store_holds_many_studies(metanas: Run, quick: tuple[object, ...], folder: Path) -> None:
    ran = metanas(*quick, "--trials", 1, "--study", "other", "--json")
    assert (ran.code, ran.lines[-1]["looks"]) == (0, 1)
    assert [line["trial"] for line in trials(ran)] == [0, 1]
    assert [one["study"] for one in metanas("study", "list", "--json").json] == ["sinusoid", "other"]


PICTURES = ("search", "images", "data", "--ways", 2, "--rung", 1, "--trials", 1, "--image-size", 8)


@pytest.fixture
def pictures(metanas: Run, quick: tuple[object, ...], tmp_path: Path) -> Any:
    """A search over 12 classes of drawn pictures."""
    draw_classes(tmp_path / "data", [f"c{i:02}" for i in range(12)], images=8)
    return metanas(*PICTURES, "--space", "closed-form", "--json")


def test_pictures_are_searched_adapted_to_and_kept_apart(pictures: Any, metanas: Run, tmp_path: Path) -> None:
    assert (pictures.code, pictures.err) == (0, "")
    result = pictures.lines[-1]
    assert shape(result) == RESULT
    accuracies = [result["best"]["valid"], result["test"], *result["baselines"]]
    assert all(0 <= accuracy["value"] <= 1 for accuracy in accuracies)  # fractions
    assert result["test"]["metric"] == "accuracy"
    simple = ["nearest centroid", "logistic regression"]
    features = [f"{name} on features of a classifier" for name in simple]
    names = [*simple, *features, "MAML", "Prototypical networks"]
    assert sorted(baseline["name"] for baseline in result["baselines"]) == sorted(names)
    assert " on 40 fresh tasks of 4 classes (better on " in result["verdict"]["sentence"]
    assert "paired by task, over classes too)" in result["verdict"]["sentence"]
    ours, theirs = result["test"]["value"], result["baselines"][0]["value"]
    assert result["verdict"]["difference"] == pytest.approx(ours - theirs)

    for c in (0, 5):
        (tmp_path / f"new/{c}").mkdir(parents=True)
        shutil.copy(tmp_path / f"data/c{c:02}/0.png", tmp_path / f"new/{c}/a.png")
        shutil.copy(tmp_path / f"data/c{c:02}/1.png", tmp_path / f"q{c}.png")
    asked = ("adapt", "images.metanas", "--support", "new", "--query", "q5.png", "--json")
    assert len(metanas(*asked).json["rows"]) == 1

    same = (*PICTURES, "--space", "closed-form")
    refused(metanas(*same, "--ways", 3), "--ways 2, now 3", "images")
    refused(metanas(*same, "--image-size", 10), "--image-size 8, now 10", "images")
    shutil.copy(tmp_path / "data/c00/0.png", tmp_path / "data/c00/more.png")
    refused(metanas(*same), "other data", "images")


@pytest.mark.long
def test_a_baseline_that_could_not_be_run_is_said(
    metanas: Run, quick: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise EvaluationError("baseline MAML could not be scored (timeout)")

    monkeypatch.setattr(MetaLearner, "run", fail)
    ran = metanas(*quick, "--json")
    assert ran.code == 0
    assert {"event": "note", "text": "baseline MAML could not be scored (timeout)"} in ran.lines
    assert "MAML" not in {baseline["name"] for baseline in ran.lines[-1]["baselines"]}
    assert shape(ran.lines[-1]) == RESULT | {"left_out": [str]}


def test_a_baseline_that_breaks_costs_no_verdict_and_is_owned_up_to(
    metanas: Run, quick: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError("singular")

    monkeypatch.setattr("metanas.per_task._of_kernel", fail)
    ran = metanas(*quick, "--json")
    assert ran.code == 0
    for name in ("ridge per task", "Gaussian process per task"):
        said = f"baseline {name} failed (ArithmeticError: singular)"
        assert {"event": "note", "text": said} in ran.lines
    sentence = ran.lines[-1]["verdict"]["sentence"]
    assert "of 5 (2 could not be run)" in sentence or not sentence.startswith("Better")


def test_a_budget_that_folds_cannot_keep_is_said_so() -> None:
    (said,) = too_short(Budget(30.0), 4)
    assert "searched 5 times, whose baselines alone take about 60 s" in said
    assert "about 120 s" in next(too_short(Budget(100.0), 4, families=2))
    assert not [*too_short(Budget(100.0), 4), *too_short(Budget(1.0), 0), *too_short(Budget(trials=1), 4)]
