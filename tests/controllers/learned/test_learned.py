"""The learned controller, and what it makes of earlier studies, costs and other processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers import learned
from metanas.testing.controllers import end, objective, search, toy_space, toy_study
from search_spaces import Candidate, Categorical, Integer, Record, Score, Space
from tests.search_spaces.drawn import spaces

optuna.logging.set_verbosity(optuna.logging.WARNING)
PROGRAM = """
import sys, optuna
from controllers import learned
from metanas.testing.controllers import search, toy_space
optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.load_study(study_name="toy", storage=sys.argv[1], sampler=learned.build(toy_space(), 7))
for _, candidate in search(study, toy_space(), 10):
    print(candidate.to_json())
"""


def records(name: str = "earlier", count: int = 60, seed: int = 3, shuffled: bool = False) -> list[Record]:
    """What a uniform search of the toy problem left; ``shuffled``: other candidates' scores."""
    rng = np.random.default_rng(seed)
    found = [toy_space().sample(rng) for _ in range(count)]
    values = [objective(candidate) for candidate in found]
    if shuffled:
        rng.shuffle(values)
    pairs = enumerate(zip(found, values, strict=True))
    return [
        Record(
            name,
            i,
            c,
            "complete",
            rung=10,
            score=Score("mse", v, 0.1 * v, 9, "valid"),
            valid_curve=((10, v),),
        )
        for i, (c, v) in pairs
    ]


def best(trials: int, seeds: range = range(6), **memory: Any) -> float:
    """Mean of the best value after so many trials."""
    found = []
    for seed in seeds:
        study = optuna.create_study(sampler=learned.build(toy_space(), seed, **memory))
        found.append(min(objective(c) for _, c in search(study, toy_space(), trials) if c is not None))
    return float(np.mean(found))


@settings(max_examples=40, deadline=None)
@given(spaces(), st.integers(0, 2**31), st.booleans())
def test_every_proposal_is_a_candidate_of_any_space(space: Space, seed: int, warm: bool) -> None:
    rng = np.random.default_rng(seed)
    known = [
        Record("s", i, space.sample(rng), "complete", score=Score("accuracy", rng.random(), 0.1, 9, "valid"))
        for i in range(10)
    ]
    sampler = learned.build(space, seed % 1000, known if warm else ())
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in (study.ask() for _ in range(14)):
        space.validate(space.suggest(trial))
        study.tell(trial, float(rng.random()))


def test_proposals_asked_for_together_differ_and_differ_from_what_runs() -> None:
    study = toy_study(learned.build)
    list(search(study, toy_space(), 15))
    asked = [candidate for _, candidate in search(study, toy_space(), 12, tell=False)]
    assert len(set(asked)) == 12
    assert not {candidate.id for candidate in asked if candidate} & {
        Candidate(trial.params | {"kind": "toy"}).id for trial in study.trials[:15]
    }


def test_what_an_earlier_study_knows_shortens_a_search() -> None:
    assert best(8, records=records()) < 0.3 * best(8)


@pytest.mark.long
def test_a_study_that_misleads_does_little_harm() -> None:
    assert best(40, records=records(shuffled=True)) < 2 * best(40) + 0.02


def test_a_family_that_is_far_is_trusted_less_at_first() -> None:
    memory = records("right"), records("wrong", shuffled=True)
    both = [record for study in memory for record in study]
    right = best(6, records=both, distances={"right": 0.0, "wrong": 1.5})
    wrong = best(6, records=both, distances={"right": 1.5, "wrong": 0.0})
    assert right < wrong


def test_studies_of_families_far_away_begin_no_search_alone() -> None:
    def begun(distance: float) -> list[str]:
        sampler = learned.build(toy_space(), 0, records(), {"earlier": distance})
        study, reasons = optuna.create_study(sampler=sampler), []
        for _ in range(9):
            trial = study.ask()
            reasons.append(json.loads(sampler.why(trial.number))["how"])  # type: ignore[attr-defined]
            study.tell(trial, objective(toy_space().suggest(trial)))
        return reasons

    near, far, beyond = (begun(distance) for distance in (0.0, 0.25, 3.0))
    assert near[:7] == ["earlier"] * 4 + ["uniform"] * 2 + ["improvement"]
    assert far[:2] == ["earlier", "spread"]
    assert "earlier" not in beyond
    assert far[8] == beyond[8] == "improvement"


def test_studies_of_another_space_help_with_what_they_share() -> None:
    foreign = [
        Record(r.study, r.number, Candidate({k: v for k, v in r.candidate.items() if k != "rate"}), r.state,
               score=r.score, valid_curve=r.valid_curve)
        for r in records(count=120)
    ]  # fmt: skip
    study = optuna.create_study(sampler=learned.build(toy_space(), 0, foreign))
    first = [candidate for _, candidate in search(study, toy_space(), 4)]
    assert {candidate["norm"] for candidate in first if candidate} == {"group"}


def test_tens_of_studies_begin_a_search_with_their_best() -> None:
    many = [record for seed in range(12) for record in records(f"study {seed}", 30, seed)]
    study = optuna.create_study(sampler=learned.build(toy_space(), 0, many))
    first = [candidate for _, candidate in search(study, toy_space(), 10)]
    assert np.median([objective(candidate) for candidate in first if candidate]) < 0.3
    assert len(set(first)) == 10


def test_what_costs_less_is_preferred_where_seconds_are_known() -> None:
    """Two modes as good as each other, one ten times as dear."""
    space = Space("costs", (Categorical("mode", ("cheap", "dear")), Integer("n", 1, 60)))

    def cheap(told: bool) -> int:
        study = optuna.create_study(sampler=learned.build(space, 1))
        for trial in (study.ask() for _ in range(45)):
            candidate = space.suggest(trial)
            value = float(int(candidate["n"]) * 37 % 61)  # hard to foresee: there is always hope
            trial.report(value, 10)
            if told:
                trial.set_user_attr("seconds", 10.0 if candidate["mode"] == "dear" else 1.0)
            study.tell(trial, value)
        return [trial.params["mode"] for trial in study.trials[10:]].count("cheap")

    assert cheap(True) > 1.3 * cheap(False)


@pytest.mark.long
def test_a_search_goes_on_in_another_process_and_repeats_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/toy.db"
    for name in ("toy", "again"):
        study = optuna.create_study(study_name=name, storage=url, sampler=learned.build(toy_space(), 7))
        first = [candidate for _, candidate in search(study, toy_space(), 12)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, url], capture_output=True, text=True, check=True, timeout=100
    )
    there = [Candidate.from_json(line) for line in done.stdout.splitlines()]
    study.sampler = learned.build(toy_space(), 7)
    assert there == [candidate for _, candidate in search(study, toy_space(), 10)]
    assert len({*first, *there}) == 22


def test_it_says_why_while_the_trial_runs() -> None:
    memory = [*records("right"), *records("wrong", shuffled=True)]
    sampler = learned.Learned(toy_space(), 0, memory, {"right": 0.0, "wrong": 1.5})
    study = optuna.create_study(sampler=sampler)
    reasons = []
    for trial, candidate in search(study, toy_space(), 20, tell=False):
        reasons.append(json.loads(sampler.why(trial.number)))
        end(study, trial, candidate)
        assert sampler.why(trial.number) == ""
    assert [reason["how"] for reason in reasons[:6]] == ["earlier"] * 4 + ["uniform"] * 2
    last = reasons[-1]
    assert (last["by"], last["how"], last["results"]) == ("learned", "improvement", 19)
    assert 0 <= last["better_than"]["low"] <= last["better_than"]["mean"] <= last["better_than"]["high"] <= 1
    assert 0 <= last["exploration"] <= 1
    assert [study["study"] for study in last["earlier"]] == ["right", "wrong"]
    assert 0 < last["agreement"] < 1
    near = study.trials[last["nearest"]["trial"]].params
    assert set(last["nearest"]["differs"]) == {
        name
        for name in {*near, *study.trials[19].params}
        if near.get(name) != study.trials[19].params.get(name)
    }


@pytest.mark.parametrize("count", [0, 1, 7])
def test_studies_too_short_to_tell_anything_are_passed_over(count: int) -> None:
    with_, without = (
        [c for _, c in search(optuna.create_study(sampler=learned.build(toy_space(), 0, m)), toy_space(), 9)]
        for m in (records(count=count), [])
    )
    assert with_ == without
