"""Snapshots: fitted to recorded studies, written and read, and what a search makes of one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from safetensors.numpy import load, save

from controllers import learned
from controllers.learned import Snapshot, fitting
from controllers.learned.codes import Codes
from controllers.learned.features import Features
from controllers.learned.kernel import Data
from controllers.learned.scales import SCALES
from metanas.testing.controllers import search, toy_space
from search_spaces import Categorical, Costs, Integer, Record, Space
from search_spaces.errors import DataError
from tests.controllers.learned.test_learned import best, records

optuna.logging.set_verbosity(optuna.logging.WARNING)


def studies(count: int = 6, trials: int = 30) -> dict[str, list[Record]]:
    """Uniform searches of the toy problem, in which ridge costs ten times as much as anything else."""
    found = {f"study {seed}": records(f"study {seed}", trials, seed) for seed in range(count)}
    return {name: [replace(r, costs=Costs(_seconds(r))) for r in rows] for name, rows in found.items()}


def _seconds(record: Record) -> float:
    return 10.0 if record.candidate["rule"] == "ridge" else 1.0


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return fitting.fit(toy_space(), fitting.told(toy_space(), studies()))


def flipped(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, prior=-snapshot.prior)


def opinions(snapshot: Snapshot, space: Space, rows: list[Record], **of: bool) -> np.ndarray:
    codes = Codes(space)
    features = Features(codes)
    x = features.of(codes.rows([record.candidate for record in rows]))
    data = Data.whole(x)
    return snapshot.opinion(features, **of).mean(data)


def test_it_foresees_what_a_new_study_finds(snapshot: Snapshot) -> None:
    new = records("new", 100, seed=99)
    errors = [record.score.value for record in new if record.score]
    assert np.corrcoef(opinions(snapshot, toy_space(), new), errors)[0, 1] < -0.6
    dear = np.array([record.candidate["rule"] == "ridge" for record in new])
    costs = opinions(snapshot, toy_space(), new, of_cost=True)
    assert 1 < costs[dear].mean() - costs[~dear].mean() < np.log(10)


def test_where_studies_have_nothing_in_common_it_foresees_nothing() -> None:
    noise = {f"study {s}": records(f"study {s}", 30, s, shuffled=True) for s in range(6)}
    found = fitting.fit(toy_space(), fitting.told(toy_space(), noise))
    assert np.abs(opinions(found, toy_space(), records(count=50))).max() < 0.3
    assert not found.cost.any()


def test_the_bytes_are_the_snapshot(snapshot: Snapshot) -> None:
    again = Snapshot.from_bytes(snapshot.to_bytes())
    assert again.to_bytes() == snapshot.to_bytes()
    assert again.sha == snapshot.sha != flipped(snapshot).sha
    assert again.fitted["studies"] == list(studies())


def test_the_bytes_are_the_same_in_another_process(snapshot: Snapshot) -> None:
    program = (
        "import sys; from controllers.learned import Snapshot; "
        "print(Snapshot.from_bytes(sys.stdin.buffer.read()).sha)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=snapshot.to_bytes(),
        capture_output=True,
        check=True,
        timeout=100,
    )
    assert done.stdout.decode().strip() == snapshot.sha


def _with(snapshot: Snapshot, card: Any = None, **arrays: np.ndarray) -> bytes:
    data = snapshot.to_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    known = json.loads(header["__metadata__"]["metanas"])
    return save(load(data) | arrays, {"metanas": json.dumps(known | (card or {}))})


def test_what_is_no_snapshot_is_refused_in_words(snapshot: Snapshot) -> None:
    short = np.zeros(3)
    many = Space("many", (Categorical("word", tuple(map(str, range(100_000)))),))  # 80 GB of their squares
    for data, why in {
        b"": "not a snapshot",
        b"\xff" * 100: "not a snapshot",
        snapshot.to_bytes()[:-8]: "not a snapshot",
        save({"prior": short}): "not a snapshot",
        _with(snapshot, {"version": "2"}): "another version",
        _with(snapshot, prior=short): "prior should be",
        _with(snapshot, scales=np.full_like(snapshot.scales, np.nan)): "finite",
        _with(snapshot, {"space": {"name": "s"}}): "not a space",
        _with(snapshot, {"space": json.loads(many.to_json())}): "prior should be 100000",
    }.items():
        with pytest.raises(DataError, match=why):
            Snapshot.from_bytes(data)


def test_values_with_an_order_are_fewer_features_than_values() -> None:
    space = Space("ordered", (Categorical("width", tuple(range(1, 40)), ordered=True),))
    features = Features(Codes(space))
    sizes = len(features.blocks), len(SCALES), features.width, features.width
    snapshot = Snapshot(space, *map(np.zeros, sizes))
    assert Snapshot.from_bytes(snapshot.to_bytes()).sha == snapshot.sha


def test_one_study_is_too_few() -> None:
    with pytest.raises(DataError, match="two studies or more"):
        fitting.fit(toy_space(), fitting.told(toy_space(), studies(1)))


def test_it_shortens_a_search_that_knows_no_records(snapshot: Snapshot) -> None:
    assert best(8, snapshot=snapshot) < 0.5 * best(8)


def test_one_that_misleads_does_little_harm(snapshot: Snapshot) -> None:
    seeds = range(3)
    assert best(40, seeds, snapshot=flipped(snapshot)) < 2 * best(40, seeds) + 0.02


def test_of_choices_that_it_does_not_know_it_says_nothing(snapshot: Snapshot) -> None:
    space = Space("other", (Integer("unheard", 1, 9), Integer("of", 1, 9)))
    features = Features(Codes(space))
    assert not snapshot.opinion(features).weights.any()
    assert np.allclose(np.exp(snapshot.priors(features).lengths), 1.5)
    study = optuna.create_study(sampler=learned.build(space, 0, snapshot=snapshot))
    for trial in (study.ask() for _ in range(12)):
        study.tell(trial, float(space.suggest(trial)["of"]))


def test_every_trial_can_tell_which_snapshot_proposed_it(snapshot: Snapshot) -> None:
    sampler = learned.Learned(toy_space(), 0, (), {}, snapshot)
    study = optuna.create_study(sampler=sampler)
    reasons = []
    for trial, _ in search(study, toy_space(), 10, tell=False):
        reasons.append(json.loads(sampler.why(trial.number)))
        study.tell(trial, float(trial.number))
    assert {reason["snapshot"] for reason in reasons} == {snapshot.sha}
    assert [one["study"] for one in reasons[-1]["earlier"]] == [f"snapshot {snapshot.sha[:12]}"]


def test_a_snapshot_alone_is_heard_as_it_was_judged_whatever_the_store_has_besides(
    snapshot: Snapshot,
) -> None:
    asked = []
    for distances in ({}, {"a study that may not tell": 0.3}):
        study = optuna.create_study(sampler=learned.build(toy_space(), 0, (), distances, snapshot))
        asked.append([candidate for _, candidate in search(study, toy_space(), 9)])
    assert asked[0] == asked[1]
