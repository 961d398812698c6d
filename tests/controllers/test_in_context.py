"""The in-context model: what it sees, how it is taught, and that it is held against the process."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from controllers.learned.codes import Codes
from controllers.learned.features import Features
from controllers.learned.kernel import Data
from controllers.learned.process import Process
from search_spaces import Categorical, Choice, Real, Space
from search_spaces.errors import DataError, SpaceError

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [*sys.path, str(BENCHMARKS)])  # a file there is called as our package is
    import in_context_teaching

    return in_context_teaching


@pytest.fixture
def model(module: ModuleType) -> ModuleType:
    import in_context_model

    return in_context_model


@pytest.fixture
def second(model: ModuleType) -> ModuleType:
    import in_context_second

    return in_context_second


def test_queries_see_results_in_any_order_and_no_other_query(
    module: ModuleType, rng: np.random.Generator, generator: torch.Generator
) -> None:
    network = module.InContext()
    module.train(network, 0.002, 0, lambda line: None)
    with torch.no_grad():
        known, results, asked, _ = (part[:3] for part in module.batch(rng))
        mean, variance = network(known, results, asked)
        alone, _ = network(known, results, asked[:, 5:6])
        order = torch.randperm(results.shape[1], generator=generator)
        permuted, _ = network(known[:, order], results[:, order], asked)
        other, _ = network(known, -results, asked)
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
    tokens = [module.View(features, rng).of(x) for _ in range(2)]
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


def test_spaces_that_are_too_large_are_refused_and_numbers_are_never_too_many(model: ModuleType) -> None:
    for space in (space_of(model.CHOICES + 1, 2), space_of(3, 11)):
        features = Features(Codes(space))
        with pytest.raises(SpaceError, match="at most 32 choices of 10 values"):
            model.View(features, np.random.default_rng(0))
    numbers = Space("numbers", (Real("a", 0.0, 1.0), Real("b", 1e-4, 1.0, log=True)))
    for space in (space_of(3, 40, ordered=True), numbers):
        codes = Codes(space)
        features = Features(codes)
        x = features.of(codes.uniform(np.random.default_rng(0), 20))
        token, centred = model.View(features, np.random.default_rng(0)).of(x), features.centred(x)
        np.testing.assert_allclose(token @ token.T, centred @ centred.T, atol=0.15)  # of lengths about 1


@pytest.fixture
def network(model: ModuleType) -> Any:
    torch.manual_seed(0)
    return model.InContext().requires_grad_(False)


def test_the_surer_opinion_counts_more(second: ModuleType, rng: np.random.Generator) -> None:
    means, variances = rng.normal(size=(2, 50)), rng.uniform(0.1, 2, size=(2, 50))
    mean, deviation = second.pooled(means[0], variances[0], means[1], variances[1], 0.5)
    nearer = np.abs(mean - means[0]) < np.abs(mean - means[1])
    assert (nearer == (variances[0] < variances[1])).all()
    assert (deviation**2 >= variances.min(0) - 1e-12).all()
    assert (deviation**2 <= variances.max(0) + 1e-12).all()
    same = means[0], variances[0]
    for other, share in ((same, 0.3), ((means[1], variances[1]), 0)):
        np.testing.assert_allclose(second.pooled(*same, *other, share), (means[0], variances[0] ** 0.5))


def test_who_was_right_counts_more_and_more_so_after_more_results(
    second: ModuleType, rng: np.random.Generator
) -> None:
    targets = rng.normal(size=60)
    right, wrong = targets + 0.1 * rng.normal(size=60), rng.normal(size=60)
    pairs = (right, wrong), (wrong, right)
    few = [second.stacked(one[:5], other[:5], targets[:5]) for one, other in pairs]
    many = [second.stacked(one, other, targets) for one, other in pairs]
    assert 0 <= many[0] < few[0] < few[1] < many[1] <= 1


def test_weighing_leaves_the_process_and_what_was_told_as_they_were(
    second: ModuleType, network: Any, rng: np.random.Generator
) -> None:
    codes = Codes(space_of(6, 5))
    features, rows = Features(codes), codes.uniform(rng, 60)
    effect = rng.normal(size=(6, 5))
    x, worth = features.of(rows), effect[np.arange(6), rows.astype(int)].sum(1)
    process, opinion = Process(features), second.Second(features, network)
    process.fit(Data.whole(x), worth / worth.std(), 30)
    at = Data.whole(features.of(codes.uniform(rng, 5)))
    opinion.tell(x, worth / worth.std())
    expected, said = process.predict(at), opinion.alone(at.x)
    opinion.weigh(process, Data.whole(x), worth / worth.std())
    assert opinion.share < 0.1  # the other was taught nothing
    np.testing.assert_allclose(process.predict(at), expected)
    np.testing.assert_allclose(opinion.alone(at.x), said)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08" + bytes(7) + b"{}      "])
def test_a_broken_file_of_a_model_is_said_in_one_line(
    model: ModuleType, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is no model that in_context\.py saved") as caught:
        model.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.long
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
    assert "clearly better: above its best 20 is" in found["verdict"]
    assert (tmp_path / "model.safetensors").stat().st_size > 100_000
