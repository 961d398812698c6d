"""``metanas dashboard``: what optuna-dashboard itself answers, asked without a network."""

from __future__ import annotations

import io
import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import pytest
from PIL import Image

from metanas.cli.notes import Notes
from storage import Store
from storage.annotated import annotated

dashboard = pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
Ask = Callable[..., tuple[str, bytes]]


@pytest.fixture
def store(tmp_path: Path, searched: Any) -> Iterator[Store]:
    shutil.copy(searched.folder / "metanas.db", tmp_path)
    with Store.open(str(tmp_path / "metanas.db")) as opened:
        yield opened


@pytest.fixture
def ask(store: Store) -> Iterator[Ask]:
    """Requests to the dashboard, as its server would hand them over."""
    notes = Notes(store)
    with annotated(store.url, notes) as storage:
        application = dashboard.wsgi(storage, artifact_store=notes)

        def request(path: str, body: Any = None) -> tuple[str, bytes]:
            data, told = json.dumps(body).encode(), list[str]()
            environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": "PUT" if body else "GET"}
            environ |= {"wsgi.input": io.BytesIO(data), "CONTENT_LENGTH": str(len(data))}
            setup_testing_defaults(environ)
            environ["CONTENT_TYPE"] = "application/json"
            chunks = application(environ, lambda status, headers, error=None: told.append(status))
            return told[0], b"".join(chunks)

        yield request


def study_of(ask: Ask) -> Any:
    status, body = ask("/api/studies/1")
    assert status == "200 OK"
    return json.loads(body)


def test_every_trial_has_attributes_a_note_and_a_picture(ask: Ask, store: Store, searched: Any) -> None:
    study, records = study_of(ask), store.records("sinusoid")
    assert [trial["number"] for trial in study["trials"]] == [record.number for record in records]
    for trial, record in zip(study["trials"], records, strict=True):
        attributes = {entry["key"]: entry["value"] for entry in trial["user_attrs"]}
        assert attributes["rule"].startswith(str(record.candidate["rule"]))
        assert attributes["architecture"] in trial["note"]["body"]
        assert record.reason in trial["note"]["body"]
        (artifact,) = trial["artifacts"]
        status, body = ask(f"/artifacts/1/{trial['trial_id']}/{artifact['artifact_id']}")
        assert (status, artifact["mimetype"]) == ("200 OK", "image/png")
        assert min(Image.open(io.BytesIO(body)).size) > 300
    assert searched.ran.lines[-1]["verdict"]["sentence"] in study["note"]["body"]


def test_a_verdict_that_is_reached_while_it_is_open_is_shown(ask: Ask, store: Store) -> None:
    study_of(ask)
    result = store.results("sinusoid")[-1]
    store.save_result("sinusoid", {**result, "verdict": {**result["verdict"], "sentence": "Better at last."}})
    assert "Better at last." in study_of(ask)["note"]["body"]


def test_nothing_of_them_is_written(ask: Ask, store: Store) -> None:
    study_of(ask)
    plain = optuna.load_study(study_name="sinusoid", storage=store.optuna)
    kept = store.optuna.get_study_system_attrs(plain._study_id)
    assert not [key for key in kept if "note" in key or "artifacts" in key]


def test_a_person_may_write_another_note(ask: Ask) -> None:
    trial = study_of(ask)["trials"][0]
    path, note = f"/api/studies/1/{trial['trial_id']}/note", {"body": "mine", "version": 2}
    assert ask(path, note)[0].startswith("204")
    trials = study_of(ask)["trials"]
    assert trials[0]["note"] == note
    assert trials[0]["artifacts"] == trial["artifacts"]
    assert trials[1]["note"]["version"] == 1


def test_a_list_of_studies_makes_no_notes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred studies it took minutes."""
    made: list[str] = []
    notes = Notes(store)
    of = notes.notes
    monkeypatch.setattr(notes, "notes", lambda study: made.append(study) or of(study))
    with annotated(store.url, notes) as storage:
        (study,) = storage.get_all_studies()
        assert study.system_attrs.get("preference:is_preferential", False) is False
        assert made == []
        assert "dashboard:note_ver" in study.system_attrs
        assert study.system_attrs["dashboard:note_ver"] == 1
        assert made == ["sinusoid"]
        found = dict(study.system_attrs.items())
        assert found == storage.get_study_system_attrs(storage.get_study_id_from_name("sinusoid"))
        assert list(study.system_attrs) == list(study.system_attrs.keys()) == list(found)
        assert (len(study.system_attrs), list(study.system_attrs.values())) == (len(found), [*found.values()])


def test_of_a_long_study_the_best_and_the_last_trials_have_notes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dashboard looks through all notes for each trial."""
    first = store.records("sinusoid")[0]
    assert first.score is not None
    scores = [3.0, 0.5, math.nan, 2.0, 9.0, 1.0, 7.0, 8.0]
    many = [
        replace(first, number=i, state="complete", score=replace(first.score, value=value))
        for i, value in enumerate(scores)
    ]
    monkeypatch.setattr("metanas.cli.notes._BEST", 2)
    monkeypatch.setattr("metanas.cli.notes._LAST", 3)
    monkeypatch.setattr(Store, "records", lambda self, study: many)
    noted = Notes(store).notes("sinusoid")
    assert sorted(number for number in noted if number is not None) == [1, 5, 6, 7]


def test_trials_that_end_while_it_is_open_have_theirs(store: Store) -> None:
    study = optuna.load_study(study_name="sinusoid", storage=store.optuna)
    study_id = store.optuna.get_study_id_from_name("sinusoid")
    first = store.records("sinusoid")[0]
    with annotated(store.url, Notes(store)) as storage:
        before = storage.get_study_system_attrs(study_id)
        begun = replace(first, number=study.ask().number, state="running", weights=None)
        store.start(begun)
        assert storage.get_study_system_attrs(study_id) == before
        store.finish(replace(begun, state="failed", reason="diverged at step 7"))
        after = storage.get_study_system_attrs(study_id)
    new = [value for key, value in after.items() if key not in before and "note_str" in key]
    assert len(new) == 1
    assert "diverged at step 7" in new[0]


def test_a_study_that_is_not_ours_is_shown_as_it_is(ask: Ask, store: Store) -> None:
    optuna.create_study(study_name="theirs", storage=store.optuna)
    status, body = ask("/api/studies/2")
    assert status == "200 OK"
    assert json.loads(body)["note"]["body"] == ""
