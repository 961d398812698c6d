"""Posterior means of many processes at once: what tens of earlier studies expect, in a few matrix products.

Each result has the lengths and variances of its own study, so that all results of all studies are the columns
of one matrix; what is linear in a candidate's features is one vector a study. In single precision: what
studies expect is off by far more than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from controllers.learned.features import Features
from controllers.learned.process import Process

_ROWS = 128  # candidates at a time: what is computed of them stays small and near by


class Several:
    """See the module. Candidates count as trained in full, and without other studies.

    Args:
        features: Of the candidates.
        processes: At least one, each with results.
    """

    def __init__(self, features: Features, processes: Sequence[Process]) -> None:
        self._features, kernel = features, processes[0].kernel
        self._parts = list(
            zip(kernel.parts or [np.arange(len(features.blocks))], kernel.columns, strict=True)
        )
        known = [p.kernel.unpacked(p.parameters) for p in processes]
        sizes = [len(p.results) for p in processes]
        self._starts = np.cumsum([0, *sizes[:-1]])
        x, bags = (np.concatenate([of(p.points.x) for p in processes]) for of in (np.asarray, features.bags))
        lengths = np.repeat([w for w, _, _ in known], sizes, axis=0)  # (P, B)
        scaled, squares = np.repeat(lengths, features.widths, axis=1) * x, features.squares(x)
        self._near = [_matrix(squares[:, p], lengths[:, p], scaled[:, c]) for p, c in self._parts]
        every = np.repeat([by.narrow for _, by, _ in known], sizes)[:, None]
        self._alike = _matrix(_length(bags), every, every * bags)
        by_result = np.concatenate([p.results for p in processes])
        variances = ([by.whole, by.part * bool(kernel.parts), by.bag] for _, by, _ in known)
        self._weights = _single((by_result * np.repeat(list(variances), sizes, axis=0).T)[:, None])
        pairs = [(p, by) for p, (_, by, _) in zip(processes, known, strict=True)]
        linear = [by.linear * (p.results @ features.centred(p.points.x)) for p, by in pairs]
        shared = [by.shared * (p.results @ features.bags(p.points.x)) for p, by in pairs]
        self._linear, self._shared = np.stack(linear, 1), np.stack(shared, 1)

    def means(self, x: np.ndarray) -> np.ndarray:
        """``(N, S)`` of features ``(N, F)``."""
        found = [self._some(x[i : i + _ROWS]) for i in range(0, len(x), _ROWS)]
        return np.concatenate(found) if found else np.zeros((0, len(self._starts)))

    def _some(self, x: np.ndarray) -> np.ndarray:
        squares, bags = self._features.squares(x), self._features.bags(x)
        parts = zip(self._parts, self._near, strict=True)
        near = [_near(squares[:, part], x[:, columns], matrix) for (part, columns), matrix in parts]
        whole, part, bag = self._weights
        found = reduce(np.multiply, near, whole)
        together, *others = near
        for one in others:
            together += one
        found += np.multiply(together, part, out=together)
        if self._features.alike.any():
            one = _near(_length(bags), bags, self._alike)
            found += np.multiply(one, bag, out=one)
        linear = self._features.centred(x) @ self._linear + bags @ self._shared
        return np.asarray(linear + np.add.reduceat(found, self._starts, axis=1))


def _matrix(squares: np.ndarray, lengths: np.ndarray, scaled: np.ndarray) -> np.ndarray:
    """``(K + F + 1, P)``: by which squares ``(N, K)``, features and 1 give minus squared distances."""
    return _single(np.concatenate([-lengths.T, 2 * scaled.T, -(lengths * squares).sum(1)[None]]))


def _near(squares: np.ndarray, x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """``(N, P)``, 1 at no distance."""
    found = _single(np.concatenate([squares, x, np.ones((len(x), 1))], 1)) @ matrix
    return np.asarray(np.exp(found, out=found))


def _length(x: np.ndarray) -> np.ndarray:
    """``(N, 1)``: squared."""
    return np.asarray((x * x).sum(1)[:, None])


def _single(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float32)
