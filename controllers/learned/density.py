"""The posterior density of a kernel's parameters, given results."""

from __future__ import annotations

from functools import reduce

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.lapack import dpotri

from controllers.learned.features import squared
from controllers.learned.kernel import Data, Kernel
from controllers.learned.scales import JITTER, SCALES, Scales


class Density:
    """Minus its logarithm, and the gradient of that; whatever does not change with the parameters is kept.

    Of what is symmetric only the lower triangle is computed: P = N (N + 1) / 2 pairs of candidates.

    Args:
        kernel: Whose parameters.
        data: Candidates.
        y: ``(N,)`` their results.
    """

    def __init__(self, kernel: Kernel, data: Data, y: np.ndarray) -> None:
        self._kernel, self._data, self._y = kernel, data, y
        features, self._pairs = kernel.features, np.tril_indices(len(y))
        self._twice = np.where(self._pairs[0] == self._pairs[1], 1.0, 2.0)  # a pair stands for two entries
        self._groups = kernel.parts or [np.arange(len(features.blocks))]
        by_block = features.distances(data.x)[:, *self._pairs]
        self._distances = [by_block[group] for group in self._groups]  # (B, P) by part
        centred, bags = features.centred(data.x), features.bags(data.x)
        products = centred @ centred.T, bags @ bags.T, squared(bags, bags), np.outer(*[data.missing] * 2)
        self._linear, self._shared, self._apart, self._missing = (one[self._pairs] for one in products)
        self._mean = data.z @ kernel.shares

    def __call__(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        w, by, s = self._kernel.unpacked(parameters)
        parts = [np.exp(-(w[g] @ d)) for g, d in zip(self._groups, self._distances, strict=True)]
        whole = reduce(np.multiply, parts)
        bag = by.bag * self._kernel.alike * np.exp(-by.narrow * self._apart)
        root = self._root(whole, parts, bag, by, s)
        residual = self._y - by.trust * self._mean
        alpha = cho_solve((root, True), residual, check_finite=False)
        slope = self._slope(root, alpha)
        by_scale = {
            "whole": by.whole * (slope @ whole),
            "part": by.part * sum(float(slope @ part) for part in parts) if self._kernel.parts else 0.0,
            "linear": by.linear * (slope @ self._linear),
            "training": by.training * (slope @ (whole * self._missing)),
            "bag": slope @ bag,
            "shared": by.shared * (slope @ self._shared),
            "noise": by.noise * (slope[self._twice == 1] @ self._data.noise),
            "narrow": -by.narrow * (slope @ (bag * self._apart)),
            "trust": -by.trust * (alpha @ self._mean),
        }
        by_source = s * ((self._square(slope) @ self._data.z) * self._data.z).sum(0)
        by_length = -w * self._by_choice(slope, whole, parts, by)
        gradient = np.concatenate([by_length, [by_scale[name] for name in SCALES], by_source])
        off = (parameters - self._kernel.medians) / self._kernel.deviations
        loss = 0.5 * residual @ alpha + np.log(np.diag(root)).sum() + 0.5 * off @ off
        return float(loss), gradient + off / self._kernel.deviations

    def _root(
        self, whole: np.ndarray, parts: list[np.ndarray], bag: np.ndarray, by: Scales, s: np.ndarray
    ) -> np.ndarray:
        """``(N, N)``: the Cholesky factor of the kernel with noise."""
        found = whole * (by.whole + by.training * self._missing) + bag
        found += by.linear * self._linear + by.shared * self._shared
        if self._kernel.parts:
            found += by.part * sum(parts)
        kernel = self._square(found) + (self._data.z * s) @ self._data.z.T
        kernel[np.diag_indices(len(kernel))] += by.noise * self._data.noise + JITTER
        return np.asarray(cholesky(kernel, lower=True, check_finite=False))

    def _slope(self, root: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """``(P,)``: of minus the logarithm, by the entries of the kernel that a pair stands for."""
        inverse = dpotri(root, lower=1)[0][self._pairs]
        i, j = self._pairs
        return np.asarray(0.5 * self._twice * (inverse - alpha[i] * alpha[j]))

    def _by_choice(
        self, slope: np.ndarray, whole: np.ndarray, parts: list[np.ndarray], by: Scales
    ) -> np.ndarray:
        """``(B,)``: slopes by what the distances in each choice count for."""
        product, found = (
            whole * (by.whole + by.training * self._missing),
            np.empty(len(self._kernel.features.blocks)),
        )
        for group, distances, part in zip(self._groups, self._distances, parts, strict=True):
            own = by.part * part if self._kernel.parts else 0.0
            found[group] = distances @ (slope * (product + own))
        return found

    def _square(self, pairs: np.ndarray) -> np.ndarray:
        """``(N, N)``: the lower triangle, and zeros."""
        found = np.zeros((len(self._y), len(self._y)))
        found[self._pairs] = pairs
        return found
