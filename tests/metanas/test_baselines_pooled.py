"""Models of all training tasks: what each of them makes of data whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from metanas import pooled
from metanas.baselines import Simple, run_simple
from metanas.units import Arrays, Units
from search_spaces import Signature


def mixed(tasks: int, rng: np.random.Generator) -> list[Arrays]:
    """Lines around one that all share, intercept and slope a little the task's own."""
    found = []
    for _ in range(tasks):
        x, own = rng.normal(size=(12, 1)), 0.5 * rng.normal(size=2)
        y = (2 + own[0]) * x + 1 + own[1] + 0.1 * rng.normal(size=(12, 1))
        found.append((x[:4], y[:4], x[4:], y[4:]))
    return found


def test_what_all_tasks_share_and_what_is_a_tasks_own(rng: np.random.Generator) -> None:
    """Each pooled baseline beats the one that knows less."""
    known, new = mixed(60, rng), mixed(40, rng)
    errors = {}
    for one in pooled.methods(Signature("regression", (1,), 1, 4), known):
        prepared = one.prepare(new)
        errors[one.name] = min(
            float(np.mean([(one.predict(s, x, y, q) - truth) ** 2 for x, y, q, truth in prepared]))
            for s in one.settings
        )
    plain, intercept, slopes = (
        errors[f"pooled model{more}"] for more in ("", " + task intercept", " + task intercept and slopes")
    )
    assert 0.02 > slopes < 0.2 * intercept < 0.8 * plain
    assert errors["pooled model of support statistics"] < 0.8 * plain


def test_slopes_with_each_of_many_settings_are_those_with_one_after_the_other(
    rng: np.random.Generator,
) -> None:
    known = [tuple(rng.normal(size=(n, w)) for n, w in ((6, 3), (6, 1), (9, 3), (9, 1))) for _ in range(8)]
    signature = Signature("regression", (3,), 1, 6)
    slopes = next(m for m in pooled.methods(signature, known) if m.each)  # type: ignore[arg-type]
    assert slopes.each is not None
    sx, sy, qx, _ = slopes.prepare(known[:1])[0]  # type: ignore[arg-type]
    found = slopes.each(slopes.settings, sx, sy, qx)
    expected = [slopes.predict(setting, sx, sy, qx) for setting in slopes.settings]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    # and what they say: ridge on the residuals of a model, over its prediction, the features and a constant
    column, intercept, slope = slopes.settings[-1]
    sides = [np.column_stack([part[:, column], part[:, 3:], np.ones(len(part))]) for part in (sx, qx)]
    penalty = np.diag([slope] * (sides[0].shape[1] - 1) + [intercept])
    weights = np.linalg.solve(sides[0].T @ sides[0] + penalty, sides[0].T @ (sy[:, 0] - sx[:, column]))
    np.testing.assert_allclose(found[-1, :, 0], qx[:, column] + sides[1] @ weights, rtol=1e-7)

    def best(each: pooled.Each | None) -> Any:
        """By validation, where it is scored all at once or one after the other."""
        one = Simple("slopes", slopes.settings, slopes.predict, slopes.prepare, each=each)
        arrays = ("support_x", "support_y", "query_x", "query_y")
        episodes: Any = {
            name: torch.as_tensor(np.stack([task[i] for task in known])) for i, name in enumerate(arrays)
        }
        return run_simple(signature, one, episodes, episodes)

    assert best(slopes.each).valid == pytest.approx(best(None).valid, rel=1e-12)


@pytest.mark.parametrize(("each", "groups"), [(40, 60), (400, 60), (40, 6)])
def test_how_often_a_row_is_met_is_learned(rng: np.random.Generator, each: int, groups: int) -> None:
    """Where features take few values, rows that look the same are many, not one.

    Also of large tasks, of which an episode shows a few, and of several tasks in a group.
    """
    signature, known, of = Signature("regression", (1,), 1, 4), [], []
    for task in range(60):
        x = rng.integers(2, size=(each, 1)).astype(float)
        y = (rng.random((each, 1)) < np.where(x > 0, 0.3, 0.05)).astype(float)
        for _ in range(10):
            some = rng.permutation(each)[:20]
            known.append((x[some[:5]], y[some[:5]], x[some[5:]], y[some[5:]]))
            of.append(task % groups)
    new: Any = (np.zeros((1, 1)), np.zeros((1, 1)), np.array([[0.0], [1.0]]), None)
    ((_, _, q, _),) = pooled.methods(signature, known, of)[0].prepare([new])
    np.testing.assert_allclose(q[:, 0], [0.05, 0.3], atol=0.025)


def test_pooled_models_are_the_same_in_any_units(rng: np.random.Generator) -> None:
    """The slopes of a task, too, which are of the pooled prediction beside features."""
    signature, known = Signature("regression", (1,), 1, 4), mixed(30, rng)
    x, y = (np.concatenate([part for task in known for part in task[i::2]]) for i in range(2))
    units = Units.of(signature, x, y)
    scaled = [(1e3 * sx + 7, 1e4 * sy - 3, 1e3 * qx + 7, 1e4 * qy - 3) for sx, sy, qx, qy in known]
    others = Units(1e3 * units.x_mean + 7, 1e3 * units.x_std, 1e4 * units.y_mean - 3, 1e4 * units.y_std)
    found, there = (
        pooled.methods(signature, known, None, units),
        pooled.methods(signature, scaled, None, others),
    )
    for one, other in zip(found, there, strict=True):
        for (sx, sy, q, _), (sx2, sy2, q2, _) in zip(
            one.prepare(known[:3]), other.prepare(scaled[:3]), strict=True
        ):
            here = one.predict(one.settings[-1], sx, sy, q)
            np.testing.assert_allclose(
                other.predict(other.settings[-1], sx2, sy2, q2), 1e4 * here - 3, rtol=1e-5
            )
            if one.each is not None and other.each is not None:
                several = other.each(other.settings[-2:], sx2, sy2, q2)
                np.testing.assert_allclose(several[1], 1e4 * here - 3, rtol=1e-5)


def test_a_row_that_episodes_draw_again_and_again_is_one_row(rng: np.random.Generator) -> None:
    """Else trees would take a row of noise for many that agree."""
    known = [(x, rng.normal(size=(4, 1)), q, rng.normal(size=(8, 1))) for x, _, q, _ in mixed(5, rng)]
    signature = Signature("regression", (1,), 1, 4)
    once = pooled.methods(signature, known)[0]
    often = pooled.methods(signature, known * 20, [*range(5)] * 20)[0]
    for (x, _, q, _), (x2, _, q2, _) in zip(once.prepare(known), often.prepare(known), strict=True):
        np.testing.assert_allclose(x2, x)
        np.testing.assert_allclose(q2, q)


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
