"""The in-context model: what it sees, how it is taught, and that it is held against the process."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import optuna
import pytest
import torch

from controllers import learned
from controllers.learned.codes import Codes
from controllers.learned.features import Features
from controllers.learned.in_context import InContext, load, shipped
from controllers.learned.kernel import Data
from controllers.learned.process import Process
from controllers.learned.second import Second, pooled, stacked
from controllers.learned.tokens import CHOICES, MOST, View, is_readable
from metanas.testing.controllers import search, toy_space
from search_spaces import Categorical, Choice, Real, Signature, Space, catalogue
from search_spaces.errors import DataError, SpaceError

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [*sys.path, str(BENCHMARKS)])  # a file there is called as our package is
    import in_context_teaching

    return in_context_teaching


def test_queries_see_results_in_any_order_and_no_other_query(
    module: ModuleType, rng: np.random.Generator, generator: torch.Generator
) -> None:
    model = InContext()
    module.train(model, 0.002, 0, lambda line: None)
    with torch.no_grad():
        known, results, asked, _ = (part[:3] for part in module.batch(rng))
        mean, variance = model(known, results, asked)
        alone, _ = model(known, results, asked[:, 5:6])
        order = torch.randperm(results.shape[1], generator=generator)
        permuted, _ = model(known[:, order], results[:, order], asked)
        other, _ = model(known, -results, asked)
    assert (variance > 0).all()
    torch.testing.assert_close(alone, mean[:, 5:6], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(permuted, mean, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(other, mean, atol=1e-2)


def test_simulated_searches_are_of_all_kinds_of_spaces_and_tokens_keep_distances(
    module: ModuleType, rng: np.random.Generator
) -> None:
    spaces = [module.drawn_space(rng) for _ in range(20)]
    assert {type(choice.values[0]) for space in spaces for choice in space.flat.values()} == {int, str}
    assert any(choice.branches for space in spaces for choice in space.choices)
    codes = Codes(spaces[0])
    features = Features(codes)
    x = features.of(codes.uniform(rng, 10))
    centred = features.centred(x)
    tokens = [View(features, rng).of(x) for _ in range(2)]
    assert not np.array_equal(*tokens)
    for token in tokens:
        np.testing.assert_allclose(token @ token.T, centred @ centred.T, atol=1e-5)
    search = next(iter(module.simulated(spaces[0], 12, rng)))
    assert len(search.known) == len(search.results) == 12
    assert search.results.mean() == pytest.approx(0, abs=1e-6)
    assert np.abs(search.answers).max() <= np.abs(search.results).max() + 2


def test_results_that_are_known_keep_their_places_and_others_stand_between_or_beyond(
    module: ModuleType, rng: np.random.Generator
) -> None:
    known = rng.normal(size=30)
    np.testing.assert_allclose(module.placed(known, known), module.normal(known))
    asked = np.sort(np.append(rng.normal(size=20), [-1e9, 1e9]))
    found, ends = module.placed(asked, known), module.normal(known)
    assert (np.diff(found) >= 0).all()
    assert found[0] == pytest.approx(ends.min() - 2)
    assert found[-1] == pytest.approx(ends.max() + 2)


def space_of(count: int, values: int, *, ordered: bool = False) -> Space:
    every: list[Choice] = [Categorical(f"a{i}", tuple(range(values)), ordered=ordered) for i in range(count)]
    return Space("wide", tuple(every))


def test_a_space_that_is_too_large_has_no_second_opinion_and_numbers_are_never_too_many() -> None:
    for space in (space_of(CHOICES + 1, 2), space_of(3, 11)):
        features = Features(Codes(space))
        assert not is_readable(features)
        with pytest.raises(SpaceError, match="at most 32 choices of 10 values"):
            View(features, np.random.default_rng(0))
        second = Second(features)
        second.tell(np.zeros((20, features.width)), np.arange(20.0))
        assert not second.is_there
    assert is_readable(Features(Codes(space_of(3, 40, ordered=True))))
    assert is_readable(
        Features(Codes(Space("numbers", (Real("a", 0.0, 1.0), Real("b", 1e-4, 1.0, log=True)))))
    )
    for signature in (Signature("regression", (1,), 1, 5), Signature("classification", (1, 28, 28), 5, 1)):
        assert is_readable(Features(Codes(catalogue.space("default", signature))))


def test_what_is_made_of_features_is_what_the_model_makes_of_tokens(rng: np.random.Generator) -> None:
    codes = Codes(catalogue.space("default", Signature("regression", (1,), 1, 5)))
    features, y = Features(codes), rng.normal(size=MOST)
    x = features.of(codes.uniform(rng, MOST + 9))
    second = Second(features)
    second.tell(x[:MOST], y)
    mean, variance = second.alone(x[MOST:])
    told = torch.tensor(y, dtype=torch.float32)[None]
    found = []
    for seed in range(2):
        tokens = torch.from_numpy(View(features, np.random.default_rng(seed)).of(x))[None]
        with torch.no_grad():
            found.append(shipped()(tokens[:, :MOST], told, tokens[:, MOST:]))
    means, variances = (np.array([one[i][0].numpy() for one in found]) for i in range(2))
    # switches of numbers share columns, of which only the distances are the features' own
    np.testing.assert_allclose(mean, means.mean(0), atol=0.05)
    np.testing.assert_allclose(variance, variances.mean(0) + means.var(0), atol=0.05)


def test_the_shipped_one_finds_what_is_good_and_knows_where_it_knows_more(rng: np.random.Generator) -> None:
    space = space_of(6, 5)
    codes = Codes(space)
    features, rows = Features(codes), codes.uniform(rng, 200)
    effect = rng.normal(size=(6, 5))
    worth = effect[np.arange(6), rows.astype(int)].sum(1)
    x, second = features.of(rows), Second(features)
    correlations, variances = [], []
    for known in (10, 100):
        second.tell(x[:known], (worth[:known] - worth[:known].mean()) / worth[:known].std())
        mean, variance = second.alone(x[100:])
        correlations.append(np.corrcoef(mean, worth[100:])[0, 1])
        variances.append(variance.mean())
    assert correlations[0] > 0.2
    assert correlations[1] > 0.8
    assert variances[1] < variances[0]


def told(features: Features, x: np.ndarray, targets: np.ndarray) -> Second:
    second = Second(features)
    second.tell(x, targets)
    return second


def test_what_is_believed_is_heard_and_is_no_result(rng: np.random.Generator) -> None:
    features, second = Features(Codes(space_of(6, 5))), Second(Features(Codes(space_of(6, 5))))
    x, y = rng.normal(size=(8, features.width)), rng.normal(size=8)
    second.tell(x, y, believed=4)
    assert not second.is_there
    second.tell(x, y, believed=2)
    assert second.is_there
    np.testing.assert_array_equal(second.alone(x), told(features, x, y).alone(x))


def test_it_is_read_whatever_a_program_has_set_and_takes_none_of_its_random_numbers() -> None:
    program = """
import numpy as np, torch
from controllers.learned.codes import Codes
from controllers.learned.features import Features
from controllers.learned.second import Second
from search_spaces import Categorical, Space
torch.set_default_dtype(torch.float64)
torch.set_default_device("meta")
before = torch.random.get_rng_state()
second = Second(Features(Codes(Space("a", (Categorical("b", (1, 2, 3)), Categorical("c", (1, 2)))))))
second.tell(np.ones((9, 5)), np.arange(9.0))
print(np.isfinite(second.alone(np.zeros((2, 5)))).all(), torch.equal(before, torch.random.get_rng_state()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["True", "True"], done.stderr


class Contrary(Second):
    """Says the contrary of a process, and is never wrong."""

    def pooled(self, x: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return -mean, deviation


def test_a_search_proposes_what_both_rank_highest_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for second in (Second, Contrary):
        monkeypatch.setattr("controllers.learned.scorer.Second", second)
        study = optuna.create_study(sampler=learned.build(toy_space(), 0))
        list(search(study, toy_space(), 12))
        trial = study.ask()
        toy_space().suggest(trial)
        reason = json.loads(study.sampler.why(trial.number))  # type: ignore[attr-defined]
        found.append((dict(trial.params), reason["better_than"]["mean"], reason["second"]))
    (one, mean, share), (other, its, _) = found
    assert one != other
    assert 0 <= mean <= 1
    assert 0 <= its <= 1
    assert 0 < share < 1


def test_of_many_results_the_best_and_the_latest_are_told(rng: np.random.Generator) -> None:
    features = Features(Codes(space_of(6, 5)))
    x, y = rng.normal(size=(400, features.width)), rng.normal(size=400)
    known = np.union1d(np.argsort(-y)[: MOST // 2], np.arange(400 - MOST // 2, 400))
    every, few = Second(features), Second(features)
    every.tell(x, y)
    few.tell(x[known], y[known])
    for one, other in zip(every.alone(x[:5]), few.alone(x[:5]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_surer_opinion_counts_more(rng: np.random.Generator) -> None:
    means, variances = rng.normal(size=(2, 50)), rng.uniform(0.1, 2, size=(2, 50))
    mean, deviation = pooled(means[0], variances[0], means[1], variances[1], 0.5)
    nearer = np.abs(mean - means[0]) < np.abs(mean - means[1])
    assert (nearer == (variances[0] < variances[1])).all()
    assert (deviation**2 >= variances.min(0) - 1e-12).all()
    assert (deviation**2 <= variances.max(0) + 1e-12).all()
    same = means[0], variances[0]
    np.testing.assert_allclose(pooled(*same, *same, 0.3), (means[0], variances[0] ** 0.5))
    np.testing.assert_allclose(pooled(*same, means[1], variances[1], 0), (means[0], variances[0] ** 0.5))


def test_who_was_right_counts_more_and_more_so_after_more_results(rng: np.random.Generator) -> None:
    targets = rng.normal(size=60)
    right, wrong = targets + 0.1 * rng.normal(size=60), rng.normal(size=60)
    few = stacked(right[:5], wrong[:5], targets[:5]), stacked(wrong[:5], right[:5], targets[:5])
    many = stacked(right, wrong, targets), stacked(wrong, right, targets)
    assert 0 <= many[0] < few[0] < few[1] < many[1] <= 1


def test_it_counts_for_less_where_the_process_predicts_what_it_cannot(rng: np.random.Generator) -> None:
    codes = Codes(space_of(6, 5))
    features, rows = Features(codes), codes.uniform(rng, 60)
    effect = rng.normal(size=(6, 5))
    x, worth = features.of(rows), effect[np.arange(6), rows.astype(int)].sum(1)
    shares = []
    for targets in (worth / worth.std(), rng.normal(size=60)):
        process, second = Process(features), Second(features)
        process.fit(Data.whole(x), targets, 30)
        at, before = Data.whole(features.of(codes.uniform(rng, 5))), process.parameters.copy()
        expected = process.predict(at)
        second.weigh(process, Data.whole(x), targets)
        shares.append(second.share)
        np.testing.assert_array_equal(process.parameters, before)
        np.testing.assert_allclose(process.predict(at), expected)
        np.testing.assert_allclose(second.alone(at.x), told(features, x, targets).alone(at.x))
    assert all(0 <= share <= 1 for share in shares)
    assert shares[0] < 0.5


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08" + bytes(7) + b"{}      "])
def test_a_broken_file_of_a_model_is_said_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is no model that in_context\.py saved") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_it_ends_with_rows_and_a_verdict(tmp_path: Path) -> None:
    configs = np.array(list(product(range(2), range(3), range(6))), dtype=np.int16)
    dimensions = [
        {"name": "rule", "choices": ["ridge", "gradient"]},
        {"name": "norm", "choices": ["none", "batch", "layer"]},
        {"name": "width", "choices": [8, 16, 32, 64, 128, 256]},
    ]
    good = (configs @ np.array([3.0, 0.5, 1.0]))[None]
    arrays = {"configs": configs, "tasks": np.array(["toy"]), "valid": good, "test": good, "cost": good}
    np.savez(tmp_path / "toy.npz", space=json.dumps(dimensions), **arrays)
    words = ["--table", tmp_path / "toy.npz", "--minutes", 0.005, "--draws", 2, "--json"]
    words += ["--save", tmp_path / "model.safetensors"]
    command = [sys.executable, BENCHMARKS / "in_context.py", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    by = ["process", "in-context", "both"]
    assert [(row["results"], row["by"]) for row in found["rows"]] == [(10, who) for who in by]
    process = found["rows"][0]
    assert process["Spearman"] > 0.8
    assert 50 < process["best 20"] < 100
    assert list(found["ratios"]) == by[1:]
    for groups in found["ratios"].values():
        assert set(groups) == {"all", "toy", "10 results"}
        every = [ratio for ratios in groups.values() for ratio in ratios.values()]
        assert all(ratio["low"] <= ratio["point"] <= ratio["high"] for ratio in every)
    assert found["taught"]["steps"] > 0
    assert "its place" in found["verdict"]
    assert (tmp_path / "model.safetensors").stat().st_size > 100_000
