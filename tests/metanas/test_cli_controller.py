"""``metanas controller train|list|use`` on stores of simulated studies, and a search that uses a snapshot."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metanas.cli.why import _expected
from metanas.testing import simulated
from search_spaces import Candidate, Record, Signature, catalogue
from storage import Store

Run = Callable[..., Any]
SPACE = catalogue.space("closed-form", Signature("regression", (1,), 1, 5))


def error(candidate: Candidate) -> float:
    """Wide networks and high learning rates are better."""
    width = math.log2(int(candidate["architecture.mlp.width_1"]))
    return -width - 3 * math.log10(float(candidate["outer.learning_rate"]))


def fill(path: Path, shuffled: bool = False, families: Sequence[str | None] = (None,) * 6) -> None:
    """A study of each family; ``shuffled``: other candidates' scores, so that there is nothing to learn."""
    with Store.open(str(path)) as store:
        for seed, family in enumerate(families):
            rng, name = np.random.default_rng(seed), f"study {seed}"
            found = simulated.records(name, SPACE, error, rng, 20)
            if shuffled:
                order = rng.permutation(len(found))
                found = [_scored(r, found[int(other)]) for r, other in zip(found, order, strict=True)]
            simulated.remember(store, name, SPACE, found, family)


def _scored(record: Record, other: Record) -> Record:
    told = {"score": other.score, "valid_curve": other.valid_curve, "state": other.state, "rung": other.rung}
    return replace(record, **told)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, metanas_in: Run) -> Path:
    folder = tmp_path_factory.mktemp("controller")
    fill(folder / "metanas.db")
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path, metanas_in: Run) -> dict[str, Any]:
    ran = metanas_in(folder, "controller", "train", "--json")
    assert ran.code == 0, ran.err
    found: dict[str, Any] = ran.json
    return found


@pytest.mark.long
def test_a_snapshot_that_helps_is_adopted_and_used(
    folder: Path, trained: dict[str, Any], metanas_in: Run
) -> None:
    assert trained["adopted"]
    assert trained["used"]
    assert 0 < trained["replay"]["low"] < trained["replay"]["mean"]
    assert list(trained["replay"]["studies"]) == [f"study {n}" for n in reversed(range(6))]
    assert trained["fitted"]["records"] == 120
    policy = trained["policy"]
    assert policy["low"] < policy["mean"] < policy["high"]
    assert policy["kept"] == (policy["low"] > 0)
    (row,) = metanas_in(folder, "controller", "list", "--snapshots", "--json").json
    assert row == trained
    shown = metanas_in(folder, "controller", "list", "--snapshots").out
    assert trained["snapshot"][:12] in shown
    assert "in use" in shown


@pytest.mark.long
def test_a_search_records_which_snapshot_proposed_its_trials(
    folder: Path, trained: dict[str, Any], metanas_in: Run
) -> None:
    quick = ("--trials", 3, "--rung", 3, "--space", "closed-form", "--execution", "vmap")
    assert metanas_in(folder, "search", "sinusoid", *quick, "--controller", "learned").code == 0
    assert metanas_in(folder, "controller", "use", "none").out.startswith("Searches use no snapshot")
    other = ("--controller", "learned", "--study", "without")
    assert metanas_in(folder, "search", "sinusoid", *quick, *other).code == 0
    assert metanas_in(folder, "controller", "use", trained["snapshot"][:6]).code == 0
    with Store.open(str(folder / "metanas.db"), create=False) as store:
        told = [r.versions.get("snapshot") for r in store.records("sinusoid") if r.parent is None]
        assert told == [trained["snapshot"]] * 3
        assert "snapshot" not in store.records("without")[0].versions
    reason = metanas_in(folder, "why", "sinusoid", 0, "--json").json["reason"]
    assert reason["snapshot"] == trained["snapshot"]
    assert f"with snapshot {trained['snapshot'][:12]}" in metanas_in(folder, "why", "sinusoid", 0).out


@pytest.mark.long
def test_one_that_does_not_help_is_refused_and_cannot_be_used(
    tmp_path: Path, metanas_in: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "metanas.db", shuffled=True)
    monkeypatch.setattr("metanas.cli.controller._SILENCE", -1.0)
    ran = metanas_in(tmp_path, "controller", "train")
    assert ran.code == 0, ran.err
    assert "policies taught: 4 of 5" in ran.err
    assert "studies replayed: 5 of 6" in ran.err
    assert ran.out.startswith("Refused: ")
    assert "its policy changed the rank of the best by" in ran.out
    assert "was refused: nothing changed" in ran.out
    (row,) = metanas_in(tmp_path, "controller", "list", "--snapshots", "--json").json
    assert (row["adopted"], row["used"]) == (False, False)
    ran = metanas_in(tmp_path, "controller", "use", row["snapshot"])
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "was refused" in ran.err


def test_why_says_that_the_policy_proposed_a_trial_or_that_its_parts_were_due() -> None:
    shares = dict.fromkeys(("mean", "low", "high", "best"), 0.5)
    reason = {
        "by": "learned", "how": "improvement", "compared": 300, "results": 9, "better_than": shares,
        "exploration": 0.5, "cost": None, "earlier": [], "nearest": {"trial": 1, "differs": ["rule"]},
    }  # fmt: skip
    told = [" ".join(_expected({**reason, **drawn})) for drawn in ({}, {"policy": False}, {"policy": True})]
    assert ["policy proposed it" in words for words in told] == [False, False, True]
    told = [" ".join(_expected({**reason, **aside})) for aside in ({}, {"aside": False}, {"aside": True})]
    assert ["had its parts" in words for words in told] == [False, False, True]


def test_one_that_cannot_be_read_is_said_before_a_search(tmp_path: Path, metanas_in: Run) -> None:
    with Store.open(str(tmp_path / "metanas.db")) as store:
        store.use_snapshot(store.save_snapshot(b"of a later version", {}, adopted=True))
    ran = metanas_in(tmp_path, "search", "sinusoid", "--trials", 2, "--controller", "learned")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "metanas controller use none goes without" in ran.err


def test_a_store_with_little_in_it_is_one_line(tmp_path: Path, metanas_in: Run) -> None:
    with Store.open(str(tmp_path / "metanas.db")) as store:
        found = simulated.records("only", SPACE, error, np.random.default_rng(0), 20)
        simulated.remember(store, "only", SPACE, found)
    ran = metanas_in(tmp_path, "controller", "train")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "it takes 5 studies in one space" in ran.err
    assert "no snapshots" in metanas_in(tmp_path, "controller", "list", "--snapshots").out
    assert "no snapshot begins with 'ab'" in metanas_in(tmp_path, "controller", "use", "ab").err


@pytest.mark.parametrize(("families", "unit"), [(5, "families"), (4, "studies")])
def test_all_studies_of_a_family_are_left_out_together(tmp_path: Path, families: int, unit: str) -> None:
    from metanas.cli.recordings import recordings

    fill(tmp_path / "metanas.db", families=[f"family {number % families}" for number in range(8)])
    with Store.open(str(tmp_path / "metanas.db"), create=False) as store:
        found = recordings(store)
    assert found.unit == unit
    together = [
        {name for name in found.units if found.units[name] == one} for one in set(found.units.values())
    ]
    assert sorted(map(len, together)) == ([1, 1, 2, 2, 2] if unit == "families" else [1] * 8)
    assert {"study 0", f"study {families}"} in together or unit == "studies"


def test_a_family_of_a_search_of_several_is_one_with_its_own_searches_and_with_those() -> None:
    from metanas.cli.recordings import _units

    names = ["both/x", "both/y", "x", "z", "w", "v", "u"]
    wholes = {name: name.split("/")[0] for name in names}
    marks = {name: [name[-1]] for name in names}
    unit, units = _units(wholes, marks, names)
    assert unit == "families"
    assert units["both/x"] == units["both/y"] == units["x"]
    assert len(set(units.values())) == 5


def test_searches_of_the_same_data_are_of_one_family() -> None:
    """Of other features, another target or another size: what one tells is no news to the others."""
    from metanas.cli.recordings import _marks, _units

    facts = [{"name": "table", "content": "ab", "features": [str(n)], "division": str(n)} for n in range(4)]
    marks = {str(n): _marks(one, str(one)) for n, one in enumerate(facts)}
    others = {name: _marks({"name": name}, name) for name in "vwxyz"}
    unit, units = _units({name: name for name in [*marks, *others]}, {**marks, **others}, list(others))
    assert (unit, len({units[name] for name in marks}), len(set(units.values()))) == ("families", 1, 6)


def test_parts_of_a_search_are_one() -> None:
    from metanas.cli.recordings import part_of

    one: dict[str, Any] = {}
    both: dict[str, Any] = {"families": {"x": {}, "y": {}}}
    ones = ["a", "a fold 2", "b/x", "b/y", "b fold 3/y", "fold 4", "c/x", "c fold 2", "d/e/x"]
    settings = {name: one for name in ones} | {name: both for name in ["b", "b fold 3", "d/e"]}  # noqa: C420
    found = part_of(settings)
    assert {name: whole for name, whole in found.items() if name != whole} == {
        "a fold 2": "a",
        "b/x": "b",
        "b/y": "b",
        "b fold 3": "b",
        "b fold 3/y": "b",
        "d/e/x": "d/e",
    }, "a slash or a number in a name of the user's makes nothing a part"
