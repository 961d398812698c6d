"""Baselines that learn every task on its own, from its support set alone: scikit-learn's, tuned."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import PolynomialFeatures
from sklearn.svm import SVC, SVR

from search_spaces import Signature

_MOST_TERMS = 1000  # of a polynomial
_TREES = 30

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
    """For tasks of any kind.

    Args:
        signature: Of the tasks.
        mean: ``(O,)`` of the targets of training tasks.
    """
    if signature.kind == "classification":
        return [
            Method("nearest centroid", (None,), _centroid),
            Method("logistic regression", (0.01, 1.0, 100.0), _of_several_classes(_logistic)),
        ]
    features = math.prod(signature.input_shape)
    degrees = [d for d in (1, 2, 3) if d == 1 or math.comb(features + d, d) <= _MOST_TERMS]
    weighted = tuple((k, w) for k in (1, 2, 3, 5) for w in ("uniform", "distance"))
    return [
        Method("training mean", (mean,), lambda mean, x, y, q: np.tile(mean, (len(q), 1))),
        Method("task mean", (None,), lambda _, x, y, q: np.tile(y.mean(0), (len(q), 1))),
        Method("ridge per task", tuple((d, a) for d in degrees for a in (0.01, 0.1, 1.0, 10.0)), _ridge),
        Method("k-nearest neighbours", weighted, _neighbours),
    ]


def of_rows(signature: Signature) -> list[Method]:
    """For tables, beside the usual ones; the slowest last."""
    vectors = Method("support vectors per task", (0.1, 1.0, 10.0), _vectors)
    trees = [
        Method("gradient boosting per task", (None,), _boosted),
        Method("random forest per task", (None,), _forest),
    ]
    if signature.kind == "classification":
        return [m._replace(predict=_of_several_classes(m.predict)) for m in (vectors, *trees)]
    scales = tuple((length, noise) for length in (1.0, 3.0) for noise in (0.1, 0.5))
    return [Method("Gaussian process per task", scales, _process), vectors, *trees]


def _ridge(setting: tuple[int, float], x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    degree, strength = setting
    powers = PolynomialFeatures(degree, include_bias=False)
    model = Ridge(alpha=strength).fit(powers.fit_transform(x), y)
    return np.asarray(model.predict(powers.transform(q))).reshape(len(q), -1)


def _neighbours(setting: tuple[int, str], x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    k, weights = setting
    # a tree, though the sets are tiny: brute force inspects the machine's thread pools at every call
    model = KNeighborsRegressor(min(k, len(x)), weights=weights, algorithm="kd_tree")
    return np.asarray(model.fit(x, y).predict(q)).reshape(len(q), -1)


def _process(setting: tuple[float, float], x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    length, noise = setting
    scale = length * math.sqrt(x.shape[1])  # distances grow with the number of features
    # around the support's mean: its spread is told by the kernel
    model = GaussianProcessRegressor(RBF(scale), alpha=noise, optimizer=None).fit(x, y - y.mean(0))
    found: np.ndarray = np.asarray(model.predict(q)).reshape(len(q), -1) + y.mean(0)
    return found


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


def _of_several_classes(predict: Predict) -> Predict:
    """Says the only class that the support has: most of scikit-learn's classifiers refuse to."""

    def checked(setting: Any, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
        if len(set(y.argmax(1))) == 1:
            return np.tile(y[0], (len(q), 1))
        return predict(setting, x, y, q)

    return checked


def _centroid(_: None, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    sizes = y.sum(0)
    centroids = (y.T @ x) / np.maximum(sizes, 1)[:, None]
    distances: np.ndarray = ((q[:, None] - centroids) ** 2).sum(-1)
    return np.where(sizes > 0, -distances, -np.inf)  # a class that the support lacks is far away


def _logistic(strength: float, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    model = LogisticRegression(C=strength, max_iter=200, tol=1e-3).fit(x, y.argmax(-1))
    rows: np.ndarray = np.eye(y.shape[-1])[model.predict(q).astype(int)]
    return rows
