"""A Gaussian process over candidates, with the parameters of highest posterior density."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

from controllers.learned.agreement import Agreement
from controllers.learned.density import Density
from controllers.learned.factor import Factor, Halved
from controllers.learned.features import Features
from controllers.learned.kernel import Data, Kernel, all_data
from controllers.learned.scales import JITTER, Priors

_BOUND = 6.0  # of a logarithm, either side of its prior's median


class Process:
    """Learns from results of about mean 0 and variance 1; :mod:`controllers.learned.kernel` has the formula.

    Args:
        features: Of the candidates.
        far: ``(S,)``: by how much earlier studies are trusted less, in logarithms; none: there are none.
        priors: Medians of the parameters; None: the usual ones.
        agreed: Whether earlier studies agree with each other; None: it is not known.

    Attributes:
        parameters: Logarithms.
    """

    def __init__(
        self,
        features: Features,
        far: np.ndarray | None = None,
        priors: Priors | None = None,
        agreed: Agreement | None = None,
    ) -> None:
        self.kernel = Kernel(features, np.zeros(0) if far is None else far, priors, agreed)
        self.parameters = self.kernel.medians.copy()
        self._y = self._half = self._alpha = np.zeros(0)
        self._factor: Factor | None = None

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
        self._y = y
        self._factor = Factor(self.kernel, self.parameters, data, self._factor)
        residual = y - self.kernel.mean(data, self.parameters)
        self._half = solve_triangular(self._factor.root, residual, lower=True, check_finite=False)
        self._alpha = solve_triangular(self._factor.root, self._half, lower=True, trans=1, check_finite=False)

    def believe(self, data: Data) -> None:
        """Takes candidates to have come out as expected."""
        self.hold(all_data([self.points, data]), np.concatenate([self._y, self.mean(data)]))

    @property
    def _held(self) -> Factor:
        assert self._factor is not None  # it was told results
        return self._factor

    @property
    def points(self) -> Data:
        """What results it knows of."""
        return self._held.data

    @property
    def targets(self) -> np.ndarray:
        """``(N,)``: what results it knows."""
        return self._y

    @property
    def results(self) -> np.ndarray:
        """``(N,)``: by which kernels with these points are summed up to a posterior mean."""
        return self._alpha

    def mean(self, at: Data) -> np.ndarray:
        """Posterior means ``(M,)``."""
        cross = self.kernel.between(at, self._held.placed)
        found: np.ndarray = self.kernel.mean(at, self.parameters) + cross @ self._alpha
        return found

    def halved(self, at: Data, before: Halved | None = None) -> Halved:
        """What predictions are made of; ``before``: the same of the same candidates, when less was known."""
        return self._held.halved(at, before)

    def predict(self, at: Data, halved: Halved | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Posterior means and standard deviations ``(M,)``, noise excluded."""
        _, half, variance = halved or self.halved(at)
        mean = self.kernel.mean(at, self.parameters) + half @ self._half
        left = variance - np.einsum("mn,mn->m", half, half)
        return mean, np.sqrt(np.maximum(left, JITTER))

    def in_full(self) -> np.ndarray:
        """Posterior means ``(N,)`` of the points it knows results of, had they been trained in full.

        What a posterior mean is off from a result is its noise times what it counts for.
        """
        found = self._y - self.kernel.noise(self.points, self.parameters) * self._alpha
        partly = np.flatnonzero(self.points.missing)
        if len(partly):
            of = self.points.at(partly), self._held.placed.at(partly)
            found[partly] -= self.kernel.training(*of) @ self._alpha[partly]
        return np.asarray(found)

    def parts(self, at: Data) -> np.ndarray:
        """``(M, S)``: what each earlier study adds to the posterior means."""
        _, by, s = self.kernel.unpacked(self.parameters)
        found: np.ndarray = at.z * (by.trust * self.kernel.shares + s * (self.points.z.T @ self._alpha))
        return found
