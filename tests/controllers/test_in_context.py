"""``benchmarks/in_context.py``: what its model sees, and that it is held against the process."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from controllers.learned.codes import Codes
from controllers.learned.features import Features

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [*sys.path, str(BENCHMARKS)])  # a file there is called as our package is
    import in_context_model

    return in_context_model


def test_queries_see_results_in_any_order_and_no_other_query(
    module: ModuleType, rng: np.random.Generator, generator: torch.Generator
) -> None:
    model = module.InContext()
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
    tokens = [module.View(features, rng).of(x) for _ in range(2)]
    assert not np.array_equal(*tokens)
    for token in tokens:
        np.testing.assert_allclose(token @ token.T, centred @ centred.T, atol=1e-5)
    search = next(iter(module.simulated(spaces[0], 12, rng)))
    assert len(search.known) == len(search.results) == 12
    assert search.results.mean() == pytest.approx(0, abs=1e-6)
    assert np.abs(search.answers).max() <= np.abs(search.results).max() + 1e-9


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
    words = ["--table", tmp_path / "toy.npz", "--minutes", 0.005, "--draws", 2, "--views", 1, "--json"]
    words += ["--save", tmp_path / "model.safetensors"]
    command = [sys.executable, BENCHMARKS / "in_context.py", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [(row["results"], row["by"]) for row in found["rows"]] == [(10, "process"), (10, "in-context")]
    process = found["rows"][0]
    assert process["Spearman"] > 0.8
    assert 50 < process["best 20"] < 100
    assert set(found["ratios"]) == {"all", "toy", "10 results"}
    for ratios in found["ratios"].values():
        assert all(ratio["low"] <= ratio["point"] <= ratio["high"] for ratio in ratios.values())
    assert found["taught"]["steps"] > 0
    assert "its place" in found["verdict"]
    assert (tmp_path / "model.safetensors").stat().st_size > 100_000
