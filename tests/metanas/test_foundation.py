"""TabPFN as a baseline: used where it can be, never downloaded, never in the way. A stand-in plays it."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import numpy as np
import pytest
import torch

from metanas.baselines import together
from metanas.foundation import tabpfn
from search_spaces import Signature

REGRESSION = Signature("regression", (2,), 1, 5)
CLASSES = Signature("classification", (2,), 3, 5)


class Mean:
    """Says the mean, or the largest class, of what it was fitted to."""

    def __init__(self, *, model_path: str, n_estimators: int, random_state: int) -> None:
        assert Path(model_path).exists(), "a path that is not there would be downloaded"

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        self.said: Any = y.mean() if y.dtype.kind == "f" else y.max()
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.full(len(x), self.said)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where those of the stand-in would be."""
    path = tmp_path / "weights.safetensors"
    version = SimpleNamespace(value="v9")
    parts: dict[str, dict[str, Any]] = {
        "tabpfn": {"TabPFNRegressor": Mean, "TabPFNClassifier": Mean},
        "tabpfn.model_loading": {"resolve_model_path": lambda *_: ([path], [tmp_path], [path.name], "")},
        "tabpfn.settings": {"settings": SimpleNamespace(tabpfn=SimpleNamespace(model_version=version))},
    }
    for name, values in parts.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    return path


def test_it_predicts_each_task_alone(weights: Path) -> None:
    weights.touch()
    x, q = np.zeros((4, 2)), np.zeros((3, 2))
    ((regression,), why) = tabpfn(REGRESSION)
    assert why == ""
    found = regression.predict(None, x, np.array([[1.0], [2.0], [3.0], [6.0]]), q)
    np.testing.assert_array_equal(found, [[3.0]] * 3)
    ((classes,), _) = tabpfn(CLASSES)
    np.testing.assert_array_equal(classes.predict(None, x, np.eye(3)[[0, 1, 0, 1]], q), np.eye(3)[[1, 1, 1]])


def test_without_weights_it_is_left_out_and_said(weights: Path) -> None:
    methods, why = tabpfn(REGRESSION)
    assert not methods
    assert "TabPFN per task is left out: a search downloads nothing" in why


def test_another_version_of_it_is_left_out_and_said(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys.modules["tabpfn.model_loading"], "resolve_model_path")
    methods, why = tabpfn(REGRESSION)
    assert not methods
    assert "ImportError" in why


def test_where_it_is_not_installed_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metanas.foundation.find_spec", lambda _: None)
    assert tabpfn(REGRESSION) == ([], "")


def test_only_tables_have_it(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose columns mean something: pixels are too many."""
    evaluator: Any = SimpleNamespace(signature=CLASSES, valid={}, family=SimpleNamespace(preprocessing={}))
    assert together(evaluator) == ([], [])
    of_rows: Any = SimpleNamespace(
        signature=REGRESSION,
        valid={"cluster": None},
        family=SimpleNamespace(preprocessing={}),
        tasks=lambda *_: {"cluster": torch.zeros(0)},
    )
    monkeypatch.setattr("metanas.baselines._tasks", lambda _: [])
    monkeypatch.setattr("metanas.pooled.methods", lambda *_: [])
    methods, notes = together(of_rows)
    assert (methods, len(notes)) == ([], 1)
    monkeypatch.setattr("metanas.pooled.methods", lambda *_: [][0])  # whatever a library makes of odd data
    methods, notes = together(of_rows)
    assert (methods, len(notes)) == ([], 2)
    assert notes[0].startswith("baseline pooled model failed (IndexError")
