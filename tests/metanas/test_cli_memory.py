"""What a store remembers of other studies, as the command line uses and shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from metanas.cli.memory import proposer, unfit
from metanas.testing import tables
from search_spaces import Record, Score, Signature, catalogue
from search_spaces.fingerprint import Fingerprint
from search_spaces.record import Costs
from storage import Store
from tests.metanas.conftest import QUICK

Run = Callable[..., Any]
LEARNED = (*QUICK, "--controller", "learned")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("memory")


@pytest.fixture(scope="module")
def searched(folder: Path, metanas_in: Run) -> Path:
    """Three studies: one by another controller, of another family; two of the same by ours."""
    for words in (
        (*QUICK, "--controller", "tpe", "--trials", 12),
        (*LEARNED, "--study", "next", "--trials", 14),
        ("search", "harmonics", *LEARNED[2:], "--study", "waves", "--trials", 12),
    ):
        assert metanas_in(folder, *words, "--json").code == 0
    return folder


def test_a_search_begins_with_what_the_store_knows(searched: Path, metanas_in: Run) -> None:
    """Twelve trials of the first study are enough to tell the second where to look."""
    reasons = [metanas_in(searched, "why", "next", n, "--json").json["reason"] for n in range(14)]
    assert [reason["how"] for reason in reasons[:6]] == ["earlier"] * 4 + ["uniform"] * 2
    assert reasons[-1]["how"] == "improvement"
    assert [study["study"] for study in reasons[-1]["earlier"]] == ["sinusoid"]


def test_why_says_it_in_words(searched: Path, metanas_in: Run) -> None:
    told = metanas_in(searched, "why", "next", 13).out
    assert "Expected: better than" in told
    assert "Exploration:" in told
    assert "Nearest trial:" in told
    assert "sinusoid: " in told
    assert "earlier studies rank it high" in metanas_in(searched, "why", "next", 0).out
    assert "gives no reasons" in metanas_in(searched, "why", "sinusoid", 0).out
    assert "came true" not in told  # one study alone cannot be held against another
    assert "of one another's results came true" in metanas_in(searched, "why", "waves", 11).out


def test_why_of_what_is_not_there_is_one_line(searched: Path, metanas_in: Run) -> None:
    ran = metanas_in(searched, "why", "next", 99)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "no trial 99" in ran.err


def test_the_nearest_family_comes_first(searched: Path, metanas_in: Run) -> None:
    near = metanas_in(searched, "family", "near", "sinusoid", "--json").json["near"]
    assert [row["study"] for row in near] == ["next", "waves"]
    assert near[0]["distance"] == 0 < near[1]["distance"] < 0.5
    told = metanas_in(searched, "family", "near", "sinusoid").out
    assert told.index("next") < told.index("waves")
    assert "skill of" in told


@pytest.mark.long
def test_other_divisions_of_the_same_data_tell_nothing(tmp_path: Path, metanas_in: Run) -> None:
    """What a fold was scored on may be what this one is tested on."""
    path = tables.write(tmp_path / "wear.csv", tables.rows(machines=12))
    words = ("search", "table", path, "--task", "machine", "--target", "wear", *LEARNED[2:])
    assert metanas_in(tmp_path, *words).code == 0
    with Store.open(str(tmp_path / "metanas.db"), create=False) as store:
        names = {summary.name for summary in store.studies()}
        assert len(names) == 5
        assert unfit(store, "table") == names
        folds = {name: store.settings(name)["family"] for name in names}
        # studies over several families, and of mixes, have that table, too
        store.save_study("a b/a", {"family": folds["table fold 2"]})
        store.save_study("a b", {"family": {"name": "a b"}, "families": ["a", "b"]})
        store.save_study("mix", {"family": {"name": "a + b", "mixed": [{"name": "b"}, folds["table"]]}})
        assert unfit(store, "table") == names | {"a b/a", "a b"}
        assert unfit(store, "a b") == names - {"table fold 2"} | {"mix", "a b"}
        assert unfit(store, "mix") == names - {"table"} | {"a b/a", "a b", "mix"}


def test_images_with_and_without_test_data_of_their_own_tell_each_other_nothing(tmp_path: Path) -> None:
    """What the one was scored on may be what the other is tested on."""
    photos, drawings = ({"content": name, "division": "by class"} for name in ("photos", "drawings"))
    both = {"content": "joined", "division": "by archive", "archives": ["photos", "drawings"]}
    with Store.open(str(tmp_path / "metanas.db")) as store:
        for name, facts in (("photos", photos), ("drawings", drawings), ("both", both)):
            store.save_study(name, {"family": facts})
        assert unfit(store, "both") == {"photos", "drawings", "both"}
        assert unfit(store, "photos") == {"photos", "both"}
        store.save_study("again", {"family": both})
        assert "again" not in unfit(store, "both"), "of the same division"


def test_where_the_budget_is_in_seconds_the_store_tells_what_came_far_in_little_time(tmp_path: Path) -> None:
    """Wide networks are a little better, and much dearer."""
    signature = Signature("regression", (1,), 1, 5)
    space, rng = catalogue.space("default", signature), np.random.default_rng(0)

    def width(candidate: Mapping[str, Any]) -> float:
        return float(sum(value for name, value in candidate.items() if "width" in name)) / 256

    store = Store.open(str(tmp_path / "store.db"))
    store.save_study("known", {})
    for number in range(60):
        record = Record("known", number, space.sample(rng))
        store.start(record)
        error, seconds = np.exp(-width(record.candidate)), np.exp(4 * width(record.candidate))
        score = Score("mse", error, 0.01, 9, "valid")
        ended = replace(record, state="pruned", rung=90, score=score, costs=Costs(seconds=seconds))
        store.finish(replace(ended, valid_curve=((10, 9 * error), (90, error))))
    near = Fingerprint("any", signature, {"linear": 0.5})
    store.save_fingerprint("known", "known", near)
    found = {}
    for timed in (False, True):
        sampler, _ = proposer("learned", space, store, "new", 0, near, timed=timed)
        study = optuna.create_study(sampler=sampler)
        found[timed] = np.mean([width(space.suggest(study.ask())) for _ in range(4)])
    store.close()
    assert found[True] < 0.7 * found[False]


def test_the_default_controller_is_the_one_that_learns(metanas_in: Run, folder: Path) -> None:
    assert "[default: learned]" in " ".join(metanas_in(folder, "search", "--help").out.split())
