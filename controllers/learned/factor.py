"""The Cholesky factor of what a kernel says of results: from proposal to proposal it only grows."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

from controllers.learned.kernel import Data, Kernel

JITTER = 1e-6


class Factor:
    """Of results with their noise, for one kernel with one set of parameters.

    Args:
        kernel: Whose factor.
        parameters: Logarithms, of the kernel.
        data: ``(N,)`` results.
        before: A factor of other results with the same parameters; as far as they begin with the same ones,
            they are not factored again.

    Attributes:
        data: The results.
        placed: The same, for the kernel.
    """

    def __init__(
        self, kernel: Kernel, parameters: np.ndarray, data: Data, before: Factor | None = None
    ) -> None:
        self.data, self.placed = data, kernel.placed(data, parameters)
        kept = 0 if before is None else _shared(before.data, data)
        new = self.placed.at(slice(kept, None))
        cross = kernel.between(new, self.placed)  # (N - K, N), K that are kept
        cross[:, kept:][np.diag_indices(len(cross))] += self.placed.by.noise + JITTER
        self._root = np.zeros((len(data.x), len(data.x)), order="F")
        if before is not None and kept:
            self._root[:kept, :kept] = before._root[:kept, :kept]
            half = _half(self._root[:kept, :kept], cross[:, :kept].T)
            self._root[kept:, :kept] = half.T
            cross[:, kept:] -= half.T @ half
        if len(cross):
            self._root[kept:, kept:] = cholesky(cross[:, kept:], lower=True, check_finite=False)

    def solved(self, y: np.ndarray) -> np.ndarray:
        """``(N,)``: the inverse of what was factored, times a vector."""
        return np.asarray(cho_solve((self._root, True), y, check_finite=False))

    def half(self, cross: np.ndarray) -> np.ndarray:
        """``(N, M)``: the inverse of the factor, times a matrix, which is overwritten."""
        return _half(self._root, cross)


def _half(root: np.ndarray, cross: np.ndarray) -> np.ndarray:
    return np.asarray(solve_triangular(root, cross, lower=True, check_finite=False, overwrite_b=True))


def _shared(a: Data, b: Data) -> int:
    """With how many of the same results both begin."""
    n = min(len(a.x), len(b.x))
    other = [(i[:n] != j[:n]).reshape(n, -1).any(1) for i, j in zip(a, b, strict=True)]
    return int(np.append(np.any(other, axis=0), True).argmax())
