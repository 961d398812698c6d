"""The policy: a distribution over candidates that was learned from studies, in any space."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from controllers import learned
from controllers.learned import Snapshot, fitting, teaching
from controllers.learned.categories import Categories
from controllers.learned.codes import Codes
from controllers.learned.factor import Halved
from controllers.learned.features import Features
from controllers.learned.fitting import Told
from controllers.learned.kernel import Data
from controllers.learned.network import Weights
from controllers.learned.policy import Policy, shapes
from controllers.learned.pool import Pool
from controllers.learned.proposing import Proposals, Proposer
from controllers.learned.scales import SCALES, Scales
from controllers.learned.teaching import Lesson
from metanas.testing.controllers import end, objective, search, toy_space
from search_spaces import Candidate, Categorical, Integer, Real, Signature, Space, catalogue
from search_spaces.errors import DataError
from search_spaces.fingerprint import Fingerprint
from tests.controllers.learned.test_learned import records
from tests.search_spaces.drawn import spaces

optuna.logging.set_verbosity(optuna.logging.WARNING)
FAMILY = Fingerprint("curves", Signature("regression", (1,), 1, 5), {"linear": 0.4})
STUDIES = {f"study {seed}": records(f"study {seed}", 30, seed) for seed in range(6)}
DRAW = """
import sys
import optuna
from controllers import learned
from metanas.testing.controllers import search, toy_space
optuna.logging.set_verbosity(optuna.logging.WARNING)
snapshot = learned.Snapshot.from_bytes(sys.stdin.buffer.read())
study = optuna.create_study(sampler=learned.build(toy_space(), 3, snapshot=snapshot))
for _, candidate in search(study, toy_space(), 14):
    print(candidate.to_json())
print("torch" in sys.modules)
"""
GO_ON = """
import sys
import optuna
from controllers import learned
from metanas.testing.controllers import search, toy_space
optuna.logging.set_verbosity(optuna.logging.WARNING)
snapshot = learned.Snapshot.from_bytes(sys.stdin.buffer.read())
sampler = learned.build(toy_space(), 7, snapshot=snapshot)
study = optuna.load_study(study_name="toy", storage=sys.argv[1], sampler=sampler)
for _, candidate in search(study, toy_space(), 6):
    print(candidate.to_json())
"""


def any_policy(space: Space, seed: int = 0, measures: int = 2, width: int = 5) -> Policy:
    """One that has learned nothing in particular."""
    rng, home = np.random.default_rng(seed), Categories(Codes(space))
    arrays = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in shapes(home, measures, width).items()
    }
    return Policy(arrays, dict.fromkeys(("linear", "other")[:measures], (0.5, 0.25)))


def proposals(policy: Policy, space: Space, home: Space | None = None, results: int = 0) -> Proposals:
    codes = Codes(space)
    proposer = Proposer(policy, Categories(Codes(home or space)), codes, FAMILY.coordinates)
    rng = np.random.default_rng(1)
    return proposer.after(codes.uniform(rng, results), rng.normal(size=results))


def tree() -> Space:
    """Conditional, of 20 candidates; one choice is fixed, one is opened by two values."""
    depth = Integer("depth", 1, 3)
    below = {"b": (depth, Categorical("norm", (False, True))), "c": (depth,)}
    fixed = Categorical("fixed", ("only",), {"only": (Categorical("kind", ("a", "b", "c"), below),)})
    return Space("tree", (fixed, Categorical("width", (16, 32), ordered=True), Categorical("d", (0,))))


def every(space: Space) -> np.ndarray:
    """All rows of codes of a space without numbers that have no steps."""
    codes = Codes(space)
    rows = np.array(list(itertools.product(*(range(c.steps + 1) for c in codes.columns))), dtype=float)
    rows += [getattr(c.choice, "low", 0) for c in codes.columns]
    for place in range(rows.shape[1]):
        rows[~codes.active(rows, place), place] = np.nan
    return np.array(list({row.tobytes(): row for row in rows}.values()))


@pytest.mark.parametrize("results", [0, 7])
def test_probabilities_are_those_of_a_distribution_and_samples_follow_them(results: int) -> None:
    ours, rows = proposals(any_policy(tree()), tree(), results=results), every(tree())
    assert len(rows) == tree().size == 20
    found = np.exp(ours.log_probabilities(rows))
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert found.max() > 2 / len(rows), "not uniform"
    drawn = ours.sample(np.random.default_rng(0), 4000)
    keys = [row.tobytes() for row in drawn]
    shares = np.array([keys.count(row.tobytes()) for row in rows]) / len(keys)
    np.testing.assert_allclose(shares, found, atol=4 * 0.5 / np.sqrt(4000))


def test_what_it_proposes_depends_on_the_family_and_on_what_was_found() -> None:
    policy, codes, rows = any_policy(tree()), Codes(tree()), every(tree())
    home = Categories(codes)
    known = Proposer(policy, home, codes, FAMILY.coordinates)
    unknown = Proposer(policy, home, codes, {})
    targets = np.arange(4.0)
    found = [
        one.log_probabilities(rows)
        for one in (known.after(rows[:0], targets[:0]), unknown.after(rows[:0], targets[:0]),
                    known.after(rows[:4], targets), known.after(rows[4:8], targets))
    ]  # fmt: skip
    assert all(not np.allclose(a, b) for a, b in itertools.combinations(found, 2))


@settings(max_examples=60, deadline=None)
@given(spaces(), spaces(), st.integers(0, 2**31), st.booleans())
def test_every_sample_is_a_candidate_of_any_space(ours: Space, theirs: Space, seed: int, same: bool) -> None:
    """Whichever space it learned in: both call their choices c0, c1, …, with other values."""
    home = ours if same or not len(Categories(Codes(theirs)).counts) else theirs
    if not len(Categories(Codes(home)).counts):
        return
    codes = Codes(ours)
    found = proposals(any_policy(home, seed), ours, home, results=seed % 3)
    rows = found.sample(np.random.default_rng(seed), 10)
    for row in rows:
        candidate = codes.candidate(row)
        ours.validate(candidate)
        assert codes.rows([candidate])[0].tobytes() == row.tobytes(), (
            "so that it is known when it comes again"
        )
    logs = found.log_probabilities(rows)
    assert np.isfinite(logs).all()
    assert (logs < 1e-9).all()


def test_choices_are_matched_by_name_and_values_and_the_rest_is_uniform() -> None:
    home = Space("home", (Categorical("width", (16, 32, 64)), Real("rate", 1e-4, 1.0, log=True)))
    policy = any_policy(home)
    policy.arrays["out_bias"][:] = 0
    policy.arrays["out"][:] = 0
    policy.arrays["again"][:] = 0
    policy.arrays["out_bias"][0, :3] = 0, 0, 50  # 64 wide
    policy.arrays["out_bias"][1, 4] = 50  # a rate of 0.01 to 0.03
    choices = Categorical("width", (64, 128, 32)), Real("rate", 1e-3, 1e-1, log=True), Integer("new", 1, 4)
    space = Space("ours", choices)
    codes = Codes(space)
    drawn = proposals(policy, space, home).sample(np.random.default_rng(0), 2000)
    found = [codes.candidate(row) for row in drawn]
    widths, rates, new = ([c[name] for c in found] for name in ("width", "rate", "new"))
    assert widths.count(64) > widths.count(128) > 0
    assert widths.count(32) / 2000 == pytest.approx(0.1 / 3, abs=0.015), "never ruled out"
    assert np.mean([0.01 <= float(rate) <= 0.0317 for rate in rates]) > 0.9
    assert [new.count(n) / 2000 for n in range(1, 5)] == pytest.approx([0.25] * 4, abs=0.05)
    stranger = Space("other", (Integer("unheard", 1, 9), Categorical("rate", ("low", "high"))))
    logs = proposals(policy, stranger, home).log_probabilities(every(stranger))
    np.testing.assert_allclose(logs, -np.log(18))


@pytest.fixture(scope="module")
def told() -> list[Told]:
    families = {name: replace(FAMILY, measures={"linear": i / 6}) for i, name in enumerate(STUDIES)}
    return fitting.told(toy_space(), STUDIES, families)


@pytest.fixture(scope="module")
def policy(told: list[Told]) -> Policy:
    return teaching.taught(toy_space(), told)


@pytest.fixture(scope="module")
def snapshot(told: list[Told], policy: Policy) -> Snapshot:
    return replace(fitting.fit(toy_space(), told), policy=policy)


def test_a_step_along_the_gradient_of_imitation_lowers_its_loss() -> None:
    home = Categories(Codes(tree()))
    weights = Weights.of(any_policy(tree()).arrays, home.exists, torch.float32)
    rows = every(tree())
    lesson = Lesson(np.zeros(2), home.of(rows), np.linspace(0.01, 0.99, len(rows)))
    weights.out.requires_grad_(True)
    first = teaching.imitation(weights, [lesson], np.random.default_rng(0))
    (slope,) = torch.autograd.grad(first, weights.out)
    lower = replace(weights, out=weights.out.detach() - 0.1 * slope)
    assert teaching.imitation(lower, [lesson], np.random.default_rng(0)) < first.detach()


def test_a_replay_makes_good_choices_likelier() -> None:
    """Of candidates that differ in one choice, the policy gradient is towards the better value."""
    home = Categories(Codes(Space("one", (Categorical("a", ("bad", "good")),))))
    rows = np.repeat([[0.0], [1.0]], 30, 0)
    lesson = Lesson(np.zeros(0), home.of(rows), np.linspace(0.01, 0.99, 60))
    weights = teaching._begun(home, [lesson], np.random.default_rng(0))
    gain = teaching.improvement(weights, [lesson] * 20, np.random.default_rng(0))
    (slope,) = torch.autograd.grad(gain, weights.out_bias)
    assert slope[0, 1] > 0 > slope[0, 0]


def test_what_it_learned_is_better_than_uniform_and_repeats(told: list[Told], policy: Policy) -> None:
    codes = Codes(toy_space())

    def mean(rows: np.ndarray) -> float:
        return float(np.mean([objective(codes.candidate(row)) for row in rows]))

    rng = np.random.default_rng(0)
    uniform = mean(codes.uniform(rng, 300))
    assert mean(proposals(policy, toy_space()).sample(rng, 300)) < 0.8 * uniform
    assert policy.measures["linear"] == pytest.approx((2.5 / 6, 0.285), abs=0.01)
    with pytest.raises(DataError, match="there is none"):
        teaching.taught(toy_space(), [])
    again = teaching.taught(toy_space(), told)
    assert all(np.array_equal(again.arrays[name], array) for name, array in policy.arrays.items())


def test_it_is_kept_in_a_snapshot_and_proposes_the_same_in_another_process(snapshot: Snapshot) -> None:
    again = Snapshot.from_bytes(snapshot.to_bytes())
    assert again.sha == snapshot.sha != replace(snapshot, policy=None).sha
    for one, torch_too in ((snapshot, True), (replace(snapshot, policy=None), False)):
        study = optuna.create_study(sampler=learned.build(toy_space(), 3, snapshot=one))
        here = [candidate for _, candidate in search(study, toy_space(), 14)]
        done = subprocess.run(
            [sys.executable, "-c", DRAW], input=one.to_bytes(), capture_output=True, check=True, timeout=100
        )
        *there, loaded = done.stdout.decode().splitlines()
        assert [Candidate.from_json(line) for line in there] == here
        assert loaded == str(torch_too), "torch is for policies alone"


@pytest.mark.long
def test_a_search_goes_on_in_another_process_and_repeats_there(snapshot: Snapshot, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/toy.db"
    for name in ("toy", "again"):
        sampler = learned.build(toy_space(), 7, snapshot=snapshot)
        study = optuna.create_study(study_name=name, storage=url, sampler=sampler)
        first = [candidate for _, candidate in search(study, toy_space(), 12)]
    command = [sys.executable, "-c", GO_ON, url]
    done = subprocess.run(command, input=snapshot.to_bytes(), capture_output=True, check=True, timeout=100)
    there = [Candidate.from_json(line) for line in done.stdout.decode().splitlines()]
    study.sampler = learned.build(toy_space(), 7, snapshot=snapshot)
    assert there == [candidate for _, candidate in search(study, toy_space(), 6)]
    assert len({*first, *there}) == 18


def test_trials_tell_whether_the_policy_proposed_them_and_none_is_proposed_twice(snapshot: Snapshot) -> None:
    sampler = learned.Learned(toy_space(), 0, (), {}, snapshot, FAMILY)
    study = optuna.create_study(sampler=sampler)
    reasons, seen = [], []
    for trial, candidate in search(study, toy_space(), 16, tell=False):
        reasons.append(json.loads(sampler.why(trial.number)))
        seen.append(candidate)
        end(study, trial, candidate)
    assert [type(reason["policy"]) for reason in reasons if reason["how"] == "improvement"] == [bool] * 10
    assert len(set(seen)) == 16


@pytest.mark.parametrize("climb", [0.0, 1.0])
def test_what_a_policy_draws_is_compared_and_known_to_be_its(climb: float, rng: np.random.Generator) -> None:
    codes = Codes(toy_space())
    features = Features(codes)
    pool = Pool(codes, lambda rows: Data.whole(features.of(rows))._replace(missing=rows[:, 0]))
    parents, wanted = codes.uniform(rng, 3), codes.uniform(rng, 40)
    wanted = wanted[codes.legal(wanted)]
    (at,) = features.of(wanted[:1])

    class Draws:
        def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
            assert count == 40
            return wanted[:1]

        def log_probabilities(self, rows: np.ndarray) -> np.ndarray:
            return np.zeros(len(rows))

    def score(data: Data, before: Halved | None) -> tuple[np.ndarray, None]:
        """Highest at what is drawn, or close to it."""
        near = ((data.x - at) ** 2).sum(1)
        return np.asarray(climb * (near > 0) - near), None

    (first, *_) = pool.best(score, parents, [], (), rng, Draws())
    assert pool.is_proposed(first)
    assert (first.tobytes() == wanted[0].tobytes()) == (climb == 0)
    (second, *_) = pool.best(score, parents, [], {first.tobytes()}, rng)
    assert second.tobytes() != first.tobytes(), "what was tried is not proposed again"
    assert not any(pool.is_proposed(row) for row in Pool(codes, pool._data).best(score, parents, [], (), rng))


def test_a_rule_in_other_words_is_not_proposed_again() -> None:
    """Of eight programs, six rules: after a start of six programs comes a new rule, if one is left."""
    own = tuple(Categorical(f"rule.symbolic.{c}_1", ("g", "m")) for c in "ab")
    operator = Categorical("rule.symbolic.op_1", ("add", "multiply"))
    fixed = (Categorical("rule", ("symbolic",)), Categorical("rule.symbolic.slots", (1,)))
    space = Space("tiny", (*fixed, operator, *own))
    choices = tuple(column.choice for column in Categories(Codes(space))._columns)
    features = Features(Codes(space))
    zeros = np.zeros(features.width)
    scales = np.log([getattr(Scales(), name) for name in SCALES])
    known = Snapshot(Space("tiny", choices), np.zeros(3), scales, zeros, zeros, {}, any_policy(space))
    left = []
    for seed in range(8):
        study = optuna.create_study(sampler=learned.build(space, seed, snapshot=known))
        found = []
        for trial in (study.ask() for _ in range(7)):
            found.append(catalogue.identity(space.suggest(trial)))
            study.tell(trial, float(seed + len(found)))
        left.append(6 - len(set(found[:6])))
        assert found[6] not in found[:6] or not left[-1]
    assert any(left)


def _with(snapshot: Snapshot, card: dict[str, Any], **arrays: np.ndarray) -> bytes:
    data = snapshot.to_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    known = json.loads(header["__metadata__"]["metanas"])
    policy = known["policy"] | card
    named = {f"policy.{name}": array for name, array in arrays.items()}
    return save(load(data) | named, {"metanas": json.dumps(known | {"policy": policy})})


def test_what_is_no_policy_is_refused_in_words(snapshot: Snapshot) -> None:
    assert snapshot.policy is not None
    bias = snapshot.policy.arrays["bias"]
    wide = np.zeros(4096, np.float32)
    for data, why in {
        _with(snapshot, {"version": "2"}): "policy of another version",
        _with(snapshot, {"measures": {}}): "family should be",
        _with(snapshot, {"measures": []}): "not a snapshot",
        _with(snapshot, {"measures": {"linear": [0.0, 0.0]}}): "deviations positive",
        _with(snapshot, {}, bias=bias * np.nan): "bias should be",
        _with(snapshot, {}, bias=bias[:-1]): "should be",
        _with(snapshot, {}, out=bias): "out should be",
        _with(snapshot, {}, bias=wide): "1 to 256 units, got 4096",
        snapshot.to_bytes()[:-8]: "not a snapshot",
        snapshot.to_bytes() + bytes(16_000_000): "at most",
    }.items():
        with pytest.raises(DataError, match=why) as refused:
            Snapshot.from_bytes(data)
        assert "\n" not in str(refused.value)
