"""Several families from ``metanas search`` to the learners, their verdicts, and whatever shows them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

import metanas as package
from controllers.interface import candidate_of
from metanas.cli import joint
from metanas.cli.notes import Notes
from metanas.evaluator import Evaluator
from metanas.search import Searching
from search_spaces import Space
from search_spaces.errors import DataError
from storage import Store
from tests.metanas.test_cli_search import RESULT, SCORE, shape, trials, weights

Run = Callable[..., Any]

QUICK = (
    "--trials",
    3,
    "--rung",
    3,
    "--space",
    "closed-form",
    "--execution",
    "vmap",
    "--controller",
    "random",
)
BOTH = ("search", "sinusoid", "harmonics", *QUICK)
LEARNED = {"saved": str, "trial": int, "candidate": dict, "architecture": str, "rule": str, "valid": SCORE}
LEARNED |= {name: RESULT[name] for name in ("test", "baselines", "verdict")}
PLACE = {"family": str, "trial": int, "rank": float, "of": int, "valid": SCORE}
# the result of several families, as those who read it with a program rely on it
SEVERAL = {
    "study": str,
    "trials": {"complete": int, "pruned": int, "failed": int},
    "seconds": float,
    "best": {"trial": int, "candidate": dict, "architecture": str, "rule": str}
    | {"rank": float, "worst": str, "families": [PLACE]},
    "families": [
        {
            "family": str,
            "study": str,
            "for_all": LEARNED,
            "own": LEARNED,
            "picture": str,
            "looks": int,
            "folds": int,
        }
    ],
    "saved": {"store": str},
}


@pytest.fixture(scope="module")
def run(quickly_in: Run) -> Run:
    return quickly_in


@pytest.fixture(scope="module")
def both(run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("both")
    ran = run(folder, *BOTH, "--seed", 3, "--json")
    assert (ran.code, ran.err) == (0, "")
    return folder, ran


def test_the_result_is_as_agreed(both: tuple[Path, Any]) -> None:
    _, ran = both
    *events, result = ran.lines
    assert shape(result) == SEVERAL
    assert (result["study"], result["trials"]["failed"]) == ("sinusoid-harmonics", 0)
    assert [(one["family"], one["study"]) for one in result["families"]] == [
        ("sinusoid", "sinusoid-harmonics/sinusoid"),
        ("harmonics", "sinusoid-harmonics/harmonics"),
    ]
    best = result["best"]
    assert best["rank"] == pytest.approx(np.mean([place["rank"] for place in best["families"]]))
    assert {place["of"] for place in best["families"]} == {3}
    own = [line for line in events if line.get("family")]
    assert {line["parent"] is None for line in own} == {False}  # what went on, on one family alone
    joint = [line for line in events if line["event"] == "trial" and not line.get("family")]
    assert [line["trial"] for line in sorted(joint, key=lambda line: line["trial"])] == [0, 1, 2]
    assert all(line["valid"]["metric"] == "rank" and len(line["families"]) == 2 for line in joint)


def test_each_family_has_a_learner_of_the_candidate_for_all(both: tuple[Path, Any]) -> None:
    folder, ran = both
    result = ran.lines[-1]
    for family in result["families"]:
        shared, own = family["for_all"], family["own"]
        assert shared["saved"] == f"sinusoid-harmonics-{family['family']}.metanas"
        assert shared["candidate"] == result["best"]["candidate"]  # nothing to translate: one signature
        learner = package.load(folder / shared["saved"])
        assert learner.manifest.scorecard["verdict"] == shared["verdict"]
        x = np.linspace(-5, 5, 5)[:, None]
        assert learner.adapt(x, np.sin(x)).predict(x).shape == (5, 1)
        assert own["valid"]["value"] <= shared["valid"]["value"]
        # always there: one of an earlier run would look like this one's
        assert own["saved"] == f"sinusoid-harmonics-{family['family']}-best.metanas"
        assert package.load(folder / own["saved"]).manifest.scorecard["verdict"] == own["verdict"]
        assert (folder / own["saved"]).is_file()
        assert (folder / family["picture"]).stat().st_size > 10_000


def test_every_family_keeps_all_scores_in_a_study_of_its_own(both: tuple[Path, Any], metanas_in: Run) -> None:
    folder, ran = both
    result = ran.lines[-1]
    with Store.open(f"{folder}/metanas.db") as store:
        joint = store.records("sinusoid-harmonics")
        for name in ("sinusoid", "harmonics"):
            followers = {r.seed: r for r in store.records(f"sinusoid-harmonics/{name}") if r.parent is None}
            assert followers.keys() == {record.seed for record in joint}
            assert {r.score.metric for r in followers.values() if r.score} == {"mse"}
        kept = json.loads(store.get(joint[0].weights or ""))
        assert kept == {
            n: store.record(f"sinusoid-harmonics/{n}", 0).weights for n in ("sinusoid", "harmonics")
        }
        study = optuna.load_study(study_name="sinusoid-harmonics", storage=store.optuna)
        values = {t.number: t.intermediate_values[3] for t in study.get_trials()}
        own = optuna.load_study(study_name="sinusoid-harmonics/sinusoid", storage=store.optuna)
        space = Space.from_json(store.settings("sinusoid-harmonics/sinusoid")["space"])
        told = {t.number: candidate_of(t, space) for t in own.get_trials()}
        assert told == {r.number: r.candidate for r in store.records("sinusoid-harmonics/sinusoid")}
    assert values == {r.number: r.valid_curve[0][1] for r in joint}
    for family in result["families"]:
        shown = metanas_in(folder, "verdict", family["study"], "--json").json
        assert shown["verdict"] == family["own"]["verdict"]


def test_whatever_shows_a_study_shows_one_of_several(both: tuple[Path, Any], metanas_in: Run) -> None:
    folder, ran = both
    result, study = ran.lines[-1], "sinusoid-harmonics"
    table = metanas_in(folder, "leaderboard", study).out
    assert all(words in table for words in ("mean rank", "worst on", "sinusoid", "harmonics"))
    ranked = metanas_in(folder, "leaderboard", study, "--json").json
    assert ranked[0]["trial"] == result["best"]["trial"]
    assert [one["rank"] for one in ranked] == sorted(one["rank"] for one in ranked)
    assert metanas_in(folder, "verdict", study, "--json").json["families"] == result["families"]
    for words in (("show", study), ("verdict", study)):
        told = metanas_in(folder, *words).out
        assert f"Best for all: trial {result['best']['trial']}" in told
        assert all(one["own"]["verdict"]["sentence"][:40] in told for one in result["families"])
    near = metanas_in(folder, "family", "near", study)
    assert (near.code, near.err.count("\n")) == (2, 1)
    assert "family near sinusoid-harmonics/sinusoid" in near.err
    one = metanas_in(folder, "show", study, 0)
    assert "on harmonics: trial 0 of study sinusoid-harmonics/harmonics" in one.out
    assert len(metanas_in(folder, "show", study, 0, "--json").json["families"]) == 2
    why = metanas_in(folder, "why", f"{study}/harmonics", 0).out
    assert f"proposed for all families of a search, not for this one alone: metanas why {study} 0" in why
    gone_on = next(one["own"]["trial"] for one in result["families"] if one["own"]["trial"] > 2)
    family = next(one["study"] for one in result["families"] if one["own"]["trial"] == gone_on)
    assert metanas_in(folder, "why", family, gone_on, "--json").json["reason"] is None, "it follows none"
    assert metanas_in(folder, "export", f"{study}/sinusoid", "--trial", 0, "-o", "zero.metanas").code == 0
    for command in ("export", "report"):
        refused = metanas_in(folder, command, study)
        assert (refused.code, refused.out) == (2, "")
        assert f"metanas {command} {study}/sinusoid or {study}/harmonics" in refused.err


def test_the_dashboard_has_a_note_of_where_each_trial_stands(both: tuple[Path, Any]) -> None:
    folder, ran = both
    with Store.open(f"{folder}/metanas.db") as store:
        dashboard = Notes(store)
        notes = dashboard.notes("sinusoid-harmonics")
        pictures = [note.picture for number, note in notes.items() if number is not None]
        drawn = [dashboard.open_reader(picture.artifact_id).read() for picture in pictures if picture]
    assert set(notes) == {None, 0, 1, 2}
    sentence = ran.lines[-1]["families"][1]["own"]["verdict"]["sentence"]
    assert f"**harmonics**: {sentence}" in notes[None].text
    assert "worst on" in notes[0].text
    assert (
        "metanas export sinusoid-harmonics/harmonics --trial 0 -o sinusoid-harmonics_harmonics_0.metanas"
        in notes[0].text
    )
    assert len(drawn) == 3
    assert all(png.startswith(b"\x89PNG") for png in drawn)


@pytest.mark.long
def test_a_file_that_cannot_be_written_leaves_the_others_and_all_verdicts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = joint.save_learner

    def full(path: Path, search: Any, winner: Any, result: Any) -> None:
        if search.name.endswith("/sinusoid"):
            raise DataError(f"cannot write {path}: the disk is full")
        written(path, search, winner, result)

    monkeypatch.setattr(joint, "save_learner", full)
    ran = run(tmp_path, *BOTH, "--json")
    assert (ran.code, "the disk is full" in ran.err) == (2, True)
    assert not list(tmp_path.glob("*-sinusoid*.metanas"))
    assert len(list(tmp_path.glob("*-harmonics-harmonics*.metanas"))) == 2
    with Store.open(str(tmp_path / "metanas.db"), create=False) as store:
        (result,) = store.results("sinusoid-harmonics")
    assert [family["family"] for family in result["families"]] == ["sinusoid", "harmonics"]


@pytest.mark.long
def test_it_repeats_bit_for_bit(both: tuple[Path, Any], run: Run, tmp_path: Path) -> None:
    folder, first = both
    second = run(tmp_path, *BOTH, "--seed", 3, "--json")
    assert trials(first) == trials(second)
    for key in ("trials", "best", "families"):
        assert first.lines[-1][key] == second.lines[-1][key]
    name = "sinusoid-harmonics-sinusoid.metanas"
    assert weights(folder / name) == weights(tmp_path / name)


@pytest.fixture
def begun(both: tuple[Path, Any], tmp_path: Path) -> Path:
    shutil.copy(both[0] / "metanas.db", tmp_path)
    return tmp_path


def test_it_goes_on_where_it_stopped(begun: Path, both: tuple[Path, Any], run: Run) -> None:
    ran = run(begun, *BOTH, "--trials", 1, "--json")
    assert (ran.code, ran.err) == (0, "")
    result = ran.lines[-1]
    assert sum(result["trials"].values()) == 4
    assert {place["of"] for place in result["best"]["families"]} == {4}
    assert {one["looks"] for one in result["families"]} == {2}
    for before, now in zip(both[1].lines[-1]["families"], result["families"], strict=True):
        assert now["own"]["valid"]["value"] <= before["own"]["valid"]["value"]


def test_it_does_not_go_on_with_other_families_or_settings(begun: Path, run: Run) -> None:
    study = ("--study", "sinusoid-harmonics")
    cases = [
        (("search", "sinusoid", *QUICK, *study), "family sinusoid harmonics, now sinusoid"),
        (
            ("search", "harmonics", "sinusoid", *QUICK, *study),
            "family sinusoid harmonics, now harmonics sinusoid",
        ),
        ((*BOTH, "--seed", 4), "--seed 3, now 4"),
        ((*BOTH, "--shots", 4), "study 'sinusoid-harmonics/sinusoid' .*--shots 5, now 4"),
    ]
    for arguments, said in cases:
        ran = run(begun, *arguments)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
        with pytest.raises(AssertionError, match=said):
            raise AssertionError(ran.err)


def test_what_was_running_when_it_was_killed_is_mended_everywhere(
    begun: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kill -9 leaves it: a trial is running in all three studies, and its process is gone."""

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "_train_and_score", die)
        patch.setattr(Searching, "close", lambda *_: None)
        patch.setattr("storage.owner._started", lambda pid: "0")  # a process that is no more
        with pytest.raises(Killed):
            run(begun, *BOTH, "--trials", 1, "--json")
    studies = ["sinusoid-harmonics", "sinusoid-harmonics/sinusoid"]  # the other family's turn had not come
    with Store.open(f"{begun}/metanas.db") as store:
        assert ["running" in {r.state for r in store.records(name)} for name in studies] == [True, True]
    ran = run(begun, *BOTH, "--trials", 1, "--json")
    assert (ran.code, ran.err) == (0, "")
    with Store.open(f"{begun}/metanas.db") as store:
        for name in studies:
            states = [(r.state, r.reason) for r in store.records(name)]
            assert ("failed", "interrupted") in states
            assert "running" not in {state for state, _ in states}
    assert {place["of"] for place in ran.lines[-1]["best"]["families"]} == {4}
