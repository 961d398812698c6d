"""Baselines that learn every task on its own, from its support set alone, tuned."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC, SVR

from metanas.units import Units
from search_spaces import Signature

_TREES = 30
# of kernel methods: the noise's variance by the function's, the length over which it changes, and where it
# lies, see _of_kernel
_NOISES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_LENGTHS = (0.3, 1.0, 3.0)
_LEVELS = ("free", "drawn", "none")
_NEIGHBOURS = tuple(product((1, 2, 3, 5), ("uniform", "distance")))

# (setting, support_x (S, D), support_y (S, O), query_x (Q, D)) → predictions (Q, O)
Predict = Callable[[Any, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class Method(NamedTuple):
    """A method of one task.

    Attributes:
        name: Of it.
        settings: Of which the best on validation tasks is used.
        predict: Fits and predicts one task.
    """

    name: str
    settings: tuple[Any, ...]
    predict: Predict


def usual(signature: Signature, mean: np.ndarray) -> list[Method]:
    """For tasks of any kind; quick enough to be run whatever the time.

    Args:
        signature: Of the tasks.
        mean: ``(O,)`` of the targets of training tasks.
    """
    if signature.kind == "classification":
        return [
            Method("nearest centroid", (None,), centroid),
            Method("logistic regression", (0.01, 1.0, 100.0), of_several_classes(logistic)),
        ]
    return [
        Method("training mean", (mean,), lambda mean, x, y, q: np.tile(mean, (len(q), 1))),
        Method("task mean", (None,), lambda _, x, y, q: np.tile(y.mean(0), (len(q), 1))),
        Method("ridge per task", tuple(product(("linear", 2, 3), _NOISES, _LEVELS)), _ridge),
        Method("k-nearest neighbours", _NEIGHBOURS, _neighbours),
        Method("Gaussian process per task", tuple(product(_LENGTHS, _NOISES[:5], _LEVELS[:2])), _process),
    ]


def of_rows(signature: Signature) -> list[Method]:
    """For tables, beside the usual ones, where one number or class is predicted; the slowest last."""
    if signature.kind == "regression" and signature.outputs > 1:
        return []
    vectors = Method("support vectors per task", (0.1, 1.0, 10.0), _vectors)
    trees = [
        Method("gradient boosting per task", (None,), _boosted),
        Method("random forest per task", (None,), _forest),
    ]
    if signature.kind == "classification":
        learners = [m._replace(predict=of_several_classes(m.predict)) for m in (vectors, *trees)]
        return [*_on_one_hot(), *learners]
    return [vectors, *trees]


def standardised(method: Method, units: Units) -> Method:
    """The same on features and targets in these units: lengths, noises and penalties are in them."""

    def predict(setting: Any, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
        told = method.predict(setting, units.features(x), units.targets(y), units.features(q))
        return units.back(told)

    return method._replace(predict=predict)


def _on_one_hot() -> list[Method]:
    """Regressions of one-hot targets: the largest prediction names the class."""
    linear = tuple((degree, noise, "free") for degree in ("linear", 2) for noise in _NOISES)
    smooth = tuple((length, noise, "free") for length in _LENGTHS for noise in _NOISES[:5])
    return [
        Method("ridge per task", linear, _ridge),
        Method("k-nearest neighbours", _NEIGHBOURS, _neighbours),
        Method("Gaussian process per task", smooth, _process),
    ]


def _ridge(setting: tuple[int | str, float, str], x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Of the features, or of their products up to a degree."""
    degree, strength, level = setting

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        products: np.ndarray = a @ b.T
        return products if degree == "linear" else (1 + products) ** int(degree) - 1

    return _of_kernel(kernel, strength, level, x, y, q)


def _process(setting: tuple[float, float, str], x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    length, noise, level = setting
    scale = length * math.sqrt(x.shape[1])  # distances grow with the number of features

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-_squared(a, b) / (2 * scale**2)))

    return _of_kernel(kernel, noise, level, x, y, q)


def _of_kernel(
    kernel: Callable[[np.ndarray, np.ndarray], np.ndarray],
    noise: float,
    level: str,
    x: np.ndarray,
    y: np.ndarray,
    q: np.ndarray,
) -> np.ndarray:
    r"""Kernel ridge regression, which is a Gaussian process's mean.

    .. math:: f(q) = k(q, X) (k(X, X) + \lambda I)^{-1} (y - b) + b

    Written out, since scikit-learn's checks take twenty times as long on five rows, and thousands of tasks
    are fitted with dozens of settings.

    Args:
        kernel: ``(N, D)``, ``(M, D)`` → ``(N, M)``.
        noise: λ, variance of the noise where that of the function is the kernel's.
        level: b: ``free``, as fits the support best; ``drawn`` to 0, where standardised targets have
            their mean, like any weight; or ``none``, at 0.
        x: ``(S, D)`` support.
        y: ``(S, O)`` targets.
        q: ``(Q, D)`` queries.
    """
    more = 1.0 if level == "drawn" else 0.0
    inside = kernel(x, x) + more + noise * np.eye(len(x))
    across = kernel(q, x) + more
    if level != "free":
        return np.asarray(across @ np.linalg.solve(inside, y))
    both = np.linalg.solve(inside, np.column_stack([y, np.ones(len(x))]))  # (S, O + 1)
    constant = both[:, :-1].sum(0) / both[:, -1].sum()
    return np.asarray(across @ (both[:, :-1] - both[:, -1:] * constant) + constant)


def _neighbours(setting: tuple[int, str], x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    k, weights = setting
    squared = _squared(q, x)
    nearest = np.argsort(squared, 1, kind="stable")[:, :k]  # (Q, k)
    # a support point that is met exactly outweighs all others
    near = 1 / (np.sqrt(np.take_along_axis(squared, nearest, 1)) + 1e-12)
    near = np.ones_like(near) if weights == "uniform" else near
    return np.asarray((near[..., None] * y[nearest]).sum(1) / near.sum(1, keepdims=True))


def _squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distances ``(N, M)`` of rows ``(N, D)`` and ``(M, D)``, squared."""
    found = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.asarray(np.maximum(found, 0.0))


def _vectors(strength: float, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    if y.shape[1] == 1:
        return np.asarray(SVR(C=strength).fit(x, y[:, 0]).predict(q))[:, None]
    return np.asarray(np.eye(y.shape[1])[SVC(C=strength).fit(x, y.argmax(1)).predict(q)])


def _boosted(_: None, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    kinds = GradientBoostingClassifier, GradientBoostingRegressor
    return _of_trees(kinds, {"n_estimators": _TREES, "max_depth": 2, "random_state": 0}, x, y, q)


def _forest(_: None, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    kinds = RandomForestClassifier, RandomForestRegressor
    return _of_trees(kinds, {"n_estimators": _TREES, "random_state": 0}, x, y, q)


def _of_trees(
    kinds: tuple[Any, Any], settings: dict[str, Any], x: np.ndarray, y: np.ndarray, q: np.ndarray
) -> np.ndarray:
    classifier, regressor = kinds
    if y.shape[1] == 1:
        return np.asarray(regressor(**settings).fit(x, y[:, 0]).predict(q))[:, None]
    return np.asarray(np.eye(y.shape[1])[classifier(**settings).fit(x, y.argmax(1)).predict(q)])


def of_several_classes(predict: Predict) -> Predict:
    """Says the only class that the support has: most of scikit-learn's classifiers refuse to."""

    def checked(setting: Any, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
        if len(set(y.argmax(1))) == 1:
            return np.tile(y[0], (len(q), 1))
        return predict(setting, x, y, q)

    return checked


def centroid(_: None, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Less the squared distance from the mean of each class ``(Q, O)``."""
    sizes = y.sum(0)
    centroids = (y.T @ x) / np.maximum(sizes, 1)[:, None]
    distances: np.ndarray = ((q[:, None] - centroids) ** 2).sum(-1)
    return np.where(sizes > 0, -distances, -np.inf)  # a class that the support lacks is far away


def logistic(strength: float, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The class of each query, one-hot ``(Q, O)``, by a logistic regression of that inverse penalty."""
    model = LogisticRegression(C=strength, max_iter=200, tol=1e-3).fit(x, y.argmax(-1))
    rows: np.ndarray = np.eye(y.shape[-1])[model.predict(q).astype(int)]
    return rows
