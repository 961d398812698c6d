"""The Cholesky factor of what a kernel says of results: from proposal to proposal it only grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from controllers.learned.kernel import Data, Kernel, Placed


class Factor:
    """Of results with their noise, for one kernel with one set of parameters.

    Args:
        kernel: Whose factor.
        parameters: Logarithms, of the kernel.
        data: ``(N,)`` results.
        before: A factor of other results; as far as both begin with the same ones, and have the same
            parameters, it is taken over.

    Attributes:
        data: The results.
        placed: The same, for the kernel.
    """

    def __init__(
        self, kernel: Kernel, parameters: np.ndarray, data: Data, before: Factor | None = None
    ) -> None:
        self.data, self._kernel, self._parameters = data, kernel, parameters
        kept = self.shared(before)
        fresh = data.at(slice(kept, None))
        new = kernel.placed(fresh, parameters)
        self.placed: Placed = new if before is None or not kept else before.placed.at(slice(kept)).joined(new)
        cross = kernel.between(fresh, self.placed)  # (N - K, N), K that are kept
        self.root = np.zeros((len(data.x), len(data.x)), order="F")
        if before is not None and kept:
            self.root[:kept, :kept] = before.root[:kept, :kept]
            self.root[kept:, :kept] = half = _solved(before.root[:kept, :kept], cross[:, :kept])
            cross[:, kept:] -= half @ half.T
        if len(cross):
            cross[:, kept:][np.diag_indices(len(cross))] += kernel.noise(fresh, parameters)
            self.root[kept:, kept:] = cholesky(cross[:, kept:], lower=True, check_finite=False)

    def shared(self, other: Factor | None) -> int:
        """With how many of the same results both begin; 0 with other parameters."""
        if other is None or other._parameters is not self._parameters:
            return 0
        n = min(len(self.data.x), len(other.data.x))
        pairs = zip(self.data, other.data, strict=True)
        differs = [(a[:n] != b[:n]).reshape(n, -1).any(1) for a, b in pairs]
        return int(np.append(np.logical_or.reduce(differs), True).argmax())

    def halved(self, at: Data, before: Halved | None = None) -> Halved:
        """What it makes of candidates; ``before``: what it, or one before, made of the same ones."""
        kept = 0 if before is None else self.shared(before.factor)
        half = self._kernel.between(at, self.placed.at(slice(kept, None)))  # (M, N - K)
        if before is None or not kept:
            return Halved(self, _solved(self.root, half), self._kernel.variance(at, self._parameters))
        half -= before.half[:, :kept] @ self.root[kept:, :kept].T
        half = _solved(self.root[kept:, kept:], half)
        return Halved(self, np.concatenate([before.half[:, :kept], half], 1), before.variance)


class Halved(NamedTuple):
    """What a factor makes of candidates: what results say of them is products of that.

    Attributes:
        factor: Of results.
        half: ``(M, N)``: what the kernel says of candidates and results, divided by the root.
        variance: ``(M,)``: of candidates, before any result.
    """

    factor: Factor
    half: np.ndarray
    variance: np.ndarray

    def at(self, index: np.ndarray) -> Halved:
        """Of some of them."""
        return Halved(self.factor, self.half[index], self.variance[index])


def all_of(parts: Sequence[Halved]) -> Halved:
    """Those of several, which are of one factor."""
    halves, variances = [one.half for one in parts], [one.variance for one in parts]
    return Halved(parts[0].factor, np.concatenate(halves), np.concatenate(variances))


def _solved(root: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """``(M, N)``: rows divided by a root; they are overwritten."""
    if not len(root):
        return cross
    return np.asarray(solve_triangular(root, cross.T, lower=True, check_finite=False, overwrite_b=True).T)
