"""A Gaussian process over candidates, with the parameters of highest posterior density."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from controllers.learned.density import JITTER, Density
from controllers.learned.features import Features
from controllers.learned.kernel import Data, Kernel, Priors, joined

_BOUND = 6.0  # of a logarithm, either side of its prior's median


class Process:
    """Learns from results of about mean 0 and variance 1; :mod:`controllers.learned.kernel` has the formula.

    Args:
        features: Of the candidates.
        far: ``(S,)``: by how much earlier studies are trusted less, in logarithms; none: there are none.
        priors: Medians of the parameters; None: the usual ones.

    Attributes:
        parameters: Logarithms.
    """

    def __init__(
        self, features: Features, far: np.ndarray | None = None, priors: Priors | None = None
    ) -> None:
        self.kernel = Kernel(features, np.zeros(0) if far is None else far, priors)
        self.parameters = self.kernel.medians.copy()
        self._y = self._alpha = np.zeros(0)

    def fit(self, data: Data, y: np.ndarray, steps: int) -> None:
        """Takes in results ``(N,)``, and finds the parameters anew, from where they are, in so many steps."""
        if steps:
            medians = self.kernel.medians
            done = minimize(
                Density(self.kernel, data, y),
                self.parameters,
                jac=True,
                method="L-BFGS-B",
                bounds=list(zip(medians - _BOUND, medians + _BOUND, strict=True)),
                options={"maxiter": steps},
            )
            self.parameters = np.asarray(done.x)
        self.hold(data, y)

    def hold(self, data: Data, y: np.ndarray) -> None:
        """Takes in results with the parameters as they are."""
        self._data, self._y = data, y
        kernel = self.kernel.between(data, data, self.parameters)
        kernel[np.diag_indices(len(y))] += self.noise + JITTER
        self._root = cholesky(kernel, lower=True, check_finite=False)
        residual = y - self.kernel.mean(data, self.parameters)
        self._alpha = cho_solve((self._root, True), residual, check_finite=False)

    def believe(self, data: Data) -> None:
        """Takes candidates to have come out as expected."""
        self.hold(joined(self._data, data), np.concatenate([self._y, self.mean(data)]))

    @property
    def points(self) -> Data:
        """What results it knows of."""
        return self._data

    @property
    def results(self) -> np.ndarray:
        """``(N,)``: by which kernels with these points are summed up to a posterior mean."""
        return self._alpha

    @property
    def noise(self) -> float:
        """Variance of a result."""
        return self.kernel.unpacked(self.parameters)[1].noise

    def mean(self, at: Data) -> np.ndarray:
        """Posterior means ``(M,)``."""
        cross = self.kernel.between(at, self._data, self.parameters)
        found: np.ndarray = self.kernel.mean(at, self.parameters) + cross @ self._alpha
        return found

    def predict(self, at: Data) -> tuple[np.ndarray, np.ndarray]:
        """Posterior means and standard deviations ``(M,)``, noise excluded."""
        cross = self.kernel.between(self._data, at, self.parameters)
        mean = self.kernel.mean(at, self.parameters) + cross.T @ self._alpha
        half = solve_triangular(self._root, cross, lower=True, check_finite=False, overwrite_b=True)
        variance = self.kernel.variance(at, self.parameters) - (half**2).sum(0)
        return mean, np.sqrt(np.maximum(variance, JITTER))

    def parts(self, at: Data) -> np.ndarray:
        """``(M, S)``: what each earlier study adds to the posterior means."""
        _, by, s = self.kernel.unpacked(self.parameters)
        found: np.ndarray = at.z * (by.trust * self.kernel.shares + s * (self._data.z.T @ self._alpha))
        return found
