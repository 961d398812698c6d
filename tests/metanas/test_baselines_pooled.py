"""Models of all training tasks: what each of them makes of data whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from metanas import pooled
from metanas.units import Arrays
from search_spaces import Signature


def test_what_classes_mean_in_every_task_is_learned(rng: np.random.Generator) -> None:
    """Those of an exclusive or, which trees learn and no linear model."""
    known: list[Arrays] = []
    for _ in range(60):
        x = rng.normal(size=(12, 2))
        y = np.eye(3)[np.where(x.prod(1) > 0, 2, 0)]
        known.append((x[:4], y[:4], x[4:], y[4:]))
    (one,) = pooled.methods(Signature("classification", (2,), 3, 4), known[20:])
    new = one.prepare(known[:20])
    linear, *boosted = (
        np.mean([one.predict(s, x, y, q).argmax(1) == truth.argmax(1) for x, y, q, truth in new])
        for s in one.settings
    )
    assert linear < 0.65 < 0.85 < min(boosted)


def test_an_intercept_is_a_shrunken_mean_residual() -> None:
    x, y, q = np.array([[1.0], [2.0]]), np.array([[2.0], [6.0]]), np.array([[5.0]])
    assert pooled._intercept((0, 3.0), x, y, q).tolist() == [[5 + (1 + 4) / (2 + 3.0)]]


def test_what_a_support_says_goes_with_the_queries_of_its_task(rng: np.random.Generator) -> None:
    """Targets are the task's level: known from the support, and from nothing else."""
    known: list[Arrays] = []
    for level in rng.normal(size=80):
        x = rng.normal(size=(10, 1))
        y = level + 0.01 * rng.normal(size=(10, 1))
        known.append((x[:4], y[:4], x[4:], y[4:]))
    methods = {m.name: m for m in pooled.methods(Signature("regression", (1,), 1, 4), known[30:])}
    one = methods["pooled model of support statistics"]
    new = one.prepare(known[:30])
    errors = [
        np.mean([(one.predict(s, x, y, q) - truth) ** 2 for x, y, q, truth in new]) for s in one.settings
    ]
    assert min(errors) < 0.05


def test_of_very_many_rows_only_so_many_are_fitted(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooled, "_MOST_ROWS", 50)
    known = [
        (x, x[:, :1], x, x[:, :1]) for x in (rng.normal(size=(4, 2)) for _ in range(30))
    ]  # 240 rows, of which support and query are the same
    x, y = pooled._rows(known, range(30))
    assert len(x) == len(y) <= 100
