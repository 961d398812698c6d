"""Baselines that learn from all training tasks at once, as somebody who has a table would first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV

from metanas.tasks.family import Family
from metanas.units import Arrays, Units
from search_spaces import Signature
from search_spaces.task import Episodes

TASKS = 400  # training episodes that pooled models are fitted to
_MOST_ROWS = 20_000
_MODELS = 3  # a linear one, and boosted ones: a small and a large one
_BOOSTED: tuple[dict[str, Any], ...] = ({"max_iter": 50, "max_leaf_nodes": 6}, {"max_iter": 100})
_ALPHAS = (0.01, 0.1, 1.0, 10.0, 100.0)
# how strongly a task's own intercept, and its slopes, are drawn to those of all tasks, in rows
_SHRINK = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_SHRINK_SLOPES = (0.01, 0.1, 1.0, 10.0, 100.0)

Model = Any  # fitted, with scikit-learn's predict
Prepare = Callable[[list[Arrays]], list[Arrays]]
Predict = Callable[[Any, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
# with each of K settings: (K, Q, O)
Each = Callable[[Sequence[Any], np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Pooled:
    """A pooled baseline, fitted.

    Attributes:
        name: Of it.
        settings: Of which the best on validation tasks is used.
        predict: Fits and predicts one prepared task.
        prepare: What the models say of all rows of many tasks at once, put in the place of features.
        each: Predicts with each of some settings, much sooner than one after the other; None: no such way.
    """

    name: str
    settings: tuple[Any, ...]
    predict: Predict
    prepare: Prepare
    each: Each | None = None


def methods(
    signature: Signature,
    known: list[Arrays],
    of: Sequence[int] | None = None,
    units: Units | None = None,
) -> list[Pooled]:
    """The pooled baselines that suit the tasks.

    Args:
        signature: Of the tasks.
        known: Training episodes, as flat arrays.
        of: By episode, the task (or group) that its rows are of; None: each is of another.
        units: To tell models the numbers in; None: as they are.
    """
    if units is not None:
        inside = methods(signature, [units.task(task) for task in known], of)
        return [_standardised(method, units) for method in inside]
    of = range(len(known)) if of is None else of
    if signature.kind == "classification":
        classifiers = _classifiers(known, of)
        columns = tuple(range(len(classifiers)))
        return [Pooled("pooled classifier", columns, _class, partial(_beside, classifiers))]
    if signature.outputs > 1:
        return []
    models, described = _regressors(*_rows(known, of)), _regressors(*_described_rows(known))
    columns = tuple(range(len(models)))
    shrunken = tuple(product(columns, _SHRINK))
    mixed = tuple(product(columns, _SHRINK, _SHRINK_SLOPES))
    beside = partial(_beside, models)
    return [
        Pooled("pooled model", columns, _as_it_is, beside),
        Pooled("pooled model + task intercept", shrunken, _intercept, beside),
        Pooled("pooled model + task intercept and slopes", mixed, _slopes, beside, _slopes_of_each),
        Pooled("pooled model of support statistics", columns, _as_it_is, partial(_described, described)),
    ]


def _standardised(method: Pooled, units: Units) -> Pooled:
    """The same on tasks that are not in the units that its models are told."""

    def prepare(tasks: list[Arrays]) -> list[Arrays]:
        prepared = method.prepare([units.task(task) for task in tasks])
        pairs = zip(prepared, tasks, strict=True)
        return [(sx, sy, qx, qy) for (sx, _, qx, _), (_, sy, _, qy) in pairs]

    def told(predict: Predict) -> Predict:
        return lambda setting, x, y, q: units.back(predict(setting, x, units.targets(y), q))

    each = method.each and told(method.each)
    return replace(method, prepare=prepare, predict=told(method.predict), each=each)


def _beside(models: tuple[Model, ...], tasks: list[Arrays]) -> list[Arrays]:
    """Puts the predictions of each model before the features of support and query."""
    sizes = [len(part) for sx, _, qx, _ in tasks for part in (sx, qx)]
    x = np.concatenate([part for sx, _, qx, _ in tasks for part in (sx, qx)])
    said = np.column_stack([*(model.predict(x) for model in models), x])
    parts = np.split(said, np.cumsum(sizes)[:-1])
    return [(parts[2 * i], sy, parts[2 * i + 1], qy) for i, (_, sy, _, qy) in enumerate(tasks)]


def _described(models: tuple[Model, ...], tasks: list[Arrays]) -> list[Arrays]:
    """Predictions of each model from the queries beside what the support says."""
    x = np.concatenate([_with_statistics(sx, sy, qx) for sx, sy, qx, _ in tasks])
    said = np.column_stack([model.predict(x) for model in models])
    parts = np.split(said, np.cumsum([len(qx) for _, _, qx, _ in tasks])[:-1])
    return [(sx, sy, part, qy) for (sx, sy, _, qy), part in zip(tasks, parts, strict=True)]


def _as_it_is(column: int, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    return np.asarray(q[:, [column]])


def _class(column: int, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    return np.asarray(np.eye(y.shape[-1])[q[:, column].astype(int)])


def _intercept(setting: tuple[int, float], x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The mean residual of the support, shrunken: the best linear prediction of a random intercept."""
    column, shrink = setting
    residual = y[:, 0] - x[:, column]
    return np.asarray(q[:, [column]] + residual.sum() / (len(x) + shrink))


def _slopes(setting: tuple[int, float, float], x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The same with random slopes, of the pooled prediction too: ridge on the residuals.

    References:
        Robinson, *That BLUP is a good thing*, 1991, https://doi.org/10.1214/ss/1177011926
    """
    return np.asarray(_slopes_of_each([setting], x, y, q)[0])


def _slopes_of_each(
    settings: Sequence[tuple[int, float, float]], x: np.ndarray, y: np.ndarray, q: np.ndarray
) -> np.ndarray:
    columns, found = np.array([column for column, *_ in settings]), np.empty((len(settings), len(q), 1))
    for column in set(columns.tolist()):
        here = columns == column
        intercept, slopes = np.array([s[1:] for s in settings])[here].T[:, :, None, None]
        inside, across = (_products(part, x, column) / slopes + 1 / intercept for part in (x, q))
        # as many equations as rows, of which there are fewer than slopes
        residual = np.broadcast_to((y[:, 0] - x[:, column])[:, None], (len(inside), len(x), 1))
        found[here] = q[:, [column]] + across @ np.linalg.solve(inside + np.eye(len(x)), residual)
    return found


def _products(a: np.ndarray, b: np.ndarray, column: int) -> np.ndarray:
    """Of rows ``(N, …)`` and ``(M, …)``, features and the pooled prediction: ``(N, M)``."""
    return np.asarray(a[:, _MODELS:] @ b[:, _MODELS:].T + np.outer(a[:, column], b[:, column]))


def _regressors(x: np.ndarray, y: np.ndarray) -> tuple[Model, ...]:
    boosted = (HistGradientBoostingRegressor(**size, random_state=0).fit(x, y) for size in _BOOSTED)
    return RidgeCV(_ALPHAS).fit(x, y), *boosted


def _classifiers(known: list[Arrays], of: Sequence[int]) -> tuple[Model, ...]:
    x, y = _rows(known, of)
    boosted = (HistGradientBoostingClassifier(**size, random_state=0).fit(x, y) for size in _BOOSTED)
    return LogisticRegression(max_iter=500).fit(x, y), *boosted


def _with_statistics(x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Queries beside what the support says: size, mean and spread of targets, mean of features, slopes."""
    centred = x - x.mean(0)
    slopes = centred.T @ (y[:, 0] - y.mean()) / ((centred**2).sum(0) + 1.0)
    said = [math.log(len(x)), y.mean(), y.std(), *x.mean(0), *slopes]
    return np.column_stack([q, q * slopes, np.tile(said, (len(q), 1))])


def _rows(known: list[Arrays], of: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """All rows of these episodes, support and query alike, each once: targets, or places of classes.

    Where features take few values, how often each is met is all that there is to learn: rows that look the
    same are as many as their share of what episodes show of each task, of which these say how many rows it
    has at least.
    """
    x = np.concatenate([part for sx, _, qx, _ in known for part in (sx, qx)])[:_MOST_ROWS]
    y = np.concatenate([part for _, sy, _, qy in known for part in (sy, qy)])[:_MOST_ROWS]
    target = y[:, 0] if y.shape[1] == 1 else y.argmax(1)
    kinds, kind = np.unique(np.column_stack([x, target]), axis=0, return_inverse=True)
    sizes = np.array([len(sx) + len(qx) for sx, _, qx, _ in known])
    often = _times(
        kind.reshape(-1), np.repeat(np.arange(len(known)), sizes)[:_MOST_ROWS], np.array(of), sizes
    )
    rows = np.repeat(kinds, often, axis=0)
    return rows[:, :-1], rows[:, -1]


def _times(kind: np.ndarray, episode: np.ndarray, of: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """How many rows of each kind there are, at least one: of rows ``(N,)`` and their episodes' tasks."""
    many = int(kind.max(initial=-1)) + 1
    here, times = np.unique(of[episode] * many + kind, return_counts=True)
    task, at = here // many, here % many
    largest = np.zeros(int(of.max(initial=0)) + 1)
    np.maximum.at(largest, of, sizes)
    has = np.maximum(largest[task], np.bincount(task)[task])
    shares = np.bincount(at, times / np.bincount(task, times)[task] * has, many)
    # of one task, and never twice in an episode: one row, that is drawn again and again
    together, met = np.unique(episode * many + kind, return_counts=True)
    most = np.zeros(many)
    np.maximum.at(most, together % many, met)
    is_one = (np.bincount(at, minlength=many) == 1) & (most == 1)
    return np.where(is_one, 1, np.maximum(1, shares.round())).astype(int)


def _described_rows(known: list[Arrays]) -> tuple[np.ndarray, np.ndarray]:
    x = np.concatenate([_with_statistics(sx, sy, qx) for sx, sy, qx, _ in known])[:_MOST_ROWS]
    return x, np.concatenate([qy[:, 0] for *_, qy in known])[:_MOST_ROWS]


def are_rows(valid: Episodes) -> bool:
    """Whether tasks are rows of a table."""
    return "cluster" in valid


def suits(signature: Signature, valid: Episodes, family: Family) -> bool:
    """Whether tasks are rows of one table, whose classes mean the same in every task.

    Args:
        signature: Of the tasks.
        valid: Tasks of it.
        family: Whose they are.
    """
    if not are_rows(valid):
        return False
    classes = family.preprocessing.get("target", {}).get("classes", ())
    return signature.kind == "regression" or len(classes) == signature.outputs
