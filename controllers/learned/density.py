"""The posterior density of a kernel's parameters, given results."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve, cholesky

from controllers.learned.features import squared
from controllers.learned.kernel import SCALES, Data, Kernel

JITTER = 1e-6


class Density:
    """Minus its logarithm, and the gradient of that; whatever does not change with the parameters is kept.

    Args:
        kernel: Whose parameters.
        data: Candidates.
        y: ``(N,)`` their results.
    """

    def __init__(self, kernel: Kernel, data: Data, y: np.ndarray) -> None:
        self._kernel, self._data, self._y = kernel, data, y
        features, n = kernel.features, len(y)
        self._distances = features.distances(data.x).reshape(-1, n * n)
        centred, bags = features.centred(data.x), features.bags(data.x)
        self._linear, self._shared, self._apart = centred @ centred.T, bags @ bags.T, squared(bags, bags)
        self._missing = np.outer(data.missing, data.missing)
        self._mean = data.z @ kernel.shares

    def __call__(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        n = len(self._y)
        w, by, s = self._kernel.unpacked(parameters)
        whole = np.exp(-(w @ self._distances)).reshape(n, n)
        parts = [np.exp(-(w[part] @ self._distances[part])).reshape(n, n) for part in self._kernel.parts]
        bag = np.exp(-by.narrow * self._apart)
        bagged = by.bag if self._kernel.features.alike.any() else 0.0
        product = whole * (by.whole + by.training * self._missing)
        kernel = product + by.linear * self._linear + by.shared * self._shared + bagged * bag
        for part in parts:
            kernel += by.part * part
        kernel += (self._data.z * s) @ self._data.z.T
        kernel[np.diag_indices(n)] += by.noise + JITTER
        root = cholesky(kernel, lower=True, check_finite=False)
        inverse = cho_solve((root, True), np.eye(n), check_finite=False)
        residual = self._y - by.trust * self._mean
        alpha = inverse @ residual
        slope = 0.5 * (inverse - np.outer(alpha, alpha))  # by the kernel
        by_choice = self._distances @ (slope * product).ravel()
        for group, part in zip(self._kernel.parts, parts, strict=True):
            by_choice[group] += self._distances[group] @ (by.part * slope * part).ravel()
        by_scale = {
            "whole": by.whole * (slope * whole).sum(),
            "part": by.part * sum(float((slope * part).sum()) for part in parts),
            "linear": by.linear * (slope * self._linear).sum(),
            "training": by.training * (slope * whole * self._missing).sum(),
            "bag": bagged * (slope * bag).sum(),
            "shared": by.shared * (slope * self._shared).sum(),
            "noise": by.noise * np.trace(slope),
            "narrow": -by.narrow * bagged * (slope * bag * self._apart).sum(),
            "trust": -by.trust * (alpha @ self._mean),
        }
        by_source = s * ((slope @ self._data.z) * self._data.z).sum(0)
        gradient = np.concatenate([-w * by_choice, [by_scale[name] for name in SCALES], by_source])
        off = (parameters - self._kernel.medians) / self._kernel.deviations
        loss = 0.5 * residual @ alpha + np.log(np.diag(root)).sum() + 0.5 * off @ off
        return float(loss), gradient + off / self._kernel.deviations
