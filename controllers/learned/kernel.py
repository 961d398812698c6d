r"""How alike two candidates are, as far as their results go.

.. math::
    k(x, x') = (a + c\,m m') \prod_b e^{-w_b d_b} + p \sum_g \prod_{b \in g} e^{-w_b d_b} + v\,\phi \phi'
               + q\,e^{-r \lVert\psi - \psi'\rVert^2} + u\,\psi \psi' + \sum_j s_j z_j z_j'

with d_b the distance in one choice, g the parts of a candidate (architecture, rule, outer settings), φ its
centred features, m the part of its training that it has not had, and z_j what an earlier study predicts for
it: a factor a choice, a process a part, and main effects that add up. ψ adds up what stands for the same
value of choices that have the same values, as operations in several places do and the widths of layers:
what matters may be how often a value is taken, and not where.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np

from controllers.learned.agreement import Agreement
from controllers.learned.features import Features
from controllers.learned.scales import (
    DEVIATION,
    JITTER,
    REACH,
    SCALES,
    SOURCE,
    TRUST,
    Priors,
    Scales,
    closeness,
)


class Data(NamedTuple):
    """Candidates as the kernel sees them.

    Attributes:
        x: ``(N, F)`` features.
        z: ``(N, S)`` predictions of earlier studies.
        missing: ``(N,)`` in [0, 1]: the part of its training that each has not had.
        noise: ``(N,)``: variance of the noise of each one's result, in that of a usual result.
    """

    x: np.ndarray
    z: np.ndarray
    missing: np.ndarray
    noise: np.ndarray

    @classmethod
    def whole(cls, x: np.ndarray, z: np.ndarray | None = None) -> Data:
        """Candidates that were trained in full, with usual results; without z, without earlier studies."""
        z = np.zeros((len(x), 0)) if z is None else z
        return cls(x, z, np.zeros(len(x)), np.ones(len(x)))

    def at(self, index: np.ndarray | slice) -> Data:
        """Some of them."""
        return Data(*(part[index] for part in self))

    def alone(self) -> Data:
        """The same without earlier studies."""
        return self._replace(z=self.z[:, :0])


def all_data(parts: Sequence[Data]) -> Data:
    """Those of several."""
    return Data(*(np.concatenate(part) for part in zip(*parts, strict=True)))


class Placed(NamedTuple):
    """Results with the parameters worked in, so that with other candidates they take but products.

    Attributes:
        near: By part, then of ψ, ``(N, F + 1)``: what vectors are multiplied with, and what is added.
        linear: ``(N, F)``, of what adds up.
        z: ``(N, S)``, the same of earlier studies.
        missing: ``(N,)``, see :class:`Data`.
        weights: ``(F,)``: w, by column of the vectors.
        by: The parameters that are single numbers.
    """

    near: list[np.ndarray]
    linear: np.ndarray
    z: np.ndarray
    missing: np.ndarray
    weights: np.ndarray
    by: Scales

    def at(self, index: np.ndarray | slice) -> Placed:
        """Some of them."""
        linear, z, missing = (part[index] for part in (self.linear, self.z, self.missing))
        return Placed([one[index] for one in self.near], linear, z, missing, self.weights, self.by)

    def joined(self, other: Placed) -> Placed:
        """These and others."""
        near = [np.concatenate(pair) for pair in zip(self.near, other.near, strict=True)]
        linear, z, missing = (np.concatenate(pair) for pair in zip(self[1:4], other[1:4], strict=True))
        return Placed(near, linear, z, missing, self.weights, self.by)


class Kernel:
    """See the module.

    Args:
        features: Of the candidates.
        far: ``(S,)``: by how much the medians of s are lowered, in logarithms.
        priors: Medians of the other parameters; None: the usual ones.
        agreed: Of earlier studies with each other; None: it is not known.

    Attributes:
        shares: ``(S,)``: of the mean that earlier studies say together.
        medians: Logarithms of all parameters' medians: of w, of :class:`Scales`, of s.
        deviations: Of these logarithms.
        parts: By part, its choices; none where parts are no more than choices, or all there is.
        columns: Of vectors, by part; where there are none, all of them.
        alike: Whether choices have the same values, so that there is ψ.
    """

    def __init__(
        self,
        features: Features,
        far: np.ndarray,
        priors: Priors | None = None,
        agreed: Agreement | None = None,
    ) -> None:
        self.features = features
        blocks, groups = len(features.blocks), np.unique(features.groups)
        self.parts = [np.flatnonzero(features.groups == group) for group in groups]
        if not 1 < len(groups) < blocks:
            self.parts = []
        self.columns = [_run(features.columns(part)) for part in self.parts] or [slice(features.width)]
        self.alike = bool(features.alike.any())
        near = np.exp(-far)
        self.shares = near / max(float(near.sum()), 1e-300)
        if priors is None:
            scales = np.log([getattr(Scales(), name) for name in SCALES])
            priors = Priors(np.full(blocks, np.log(REACH / max(1, blocks))), scales)
        sources = np.log(SOURCE / max(1, len(far)) * near)
        self.medians = np.concatenate([*priors, sources])
        loose = np.array([TRUST if name == "trust" else DEVIATION for name in SCALES])
        deviations = [np.full(blocks, DEVIATION), loose, np.full(len(far), TRUST)]
        self.deviations = np.concatenate(deviations)
        if agreed is not None and agreed.is_known:
            self._agree(agreed)
        # what is said of families far away is believed less, also where none is nearer
        self.medians[blocks + SCALES.index("trust")] += np.log(closeness(far))

    def _agree(self, agreed: Agreement) -> None:
        blocks = len(self.features.blocks)
        trust = blocks + SCALES.index("trust")
        self.medians[trust], self.deviations[trust] = np.log(agreed.trust), DEVIATION
        self.medians[blocks + len(SCALES) :] += np.log(agreed.alike)

    def unpacked(self, parameters: np.ndarray) -> tuple[np.ndarray, Scales, np.ndarray]:
        """w, scales and s of logarithms."""
        blocks, values = len(self.features.blocks), np.exp(parameters)
        scales = values[blocks : blocks + len(SCALES)].tolist()
        return values[:blocks], Scales(*scales), values[blocks + len(SCALES) :]

    def placed(self, at: Data, parameters: np.ndarray) -> Placed:
        """Results for :meth:`between`: done once, however many candidates they are compared with."""
        w, by, s = self.unpacked(parameters)
        weights, away = self.features.spread(w), at.x - self.features.middle
        near = [_measured(at.x[:, columns], weights[columns]) for columns in self.columns]
        linear = by.linear * self.features.unit**2 * away
        if self.alike:
            bags = self.features.bags(at.x)
            near.append(_measured(bags, np.full(bags.shape[1], by.narrow)))
            linear += by.shared * (bags @ self.features.alike.T)
        return Placed(near, linear, at.z * s, at.missing, weights, by)

    def between(self, a: Data, b: Placed) -> np.ndarray:
        """``(N, M)``, of candidates and results."""
        by, near, away = b.by, self._near(a, b), a.x - self.features.middle
        found = away @ b.linear.T
        if self.alike:
            bags = away @ self.features.alike
            bag = _near(bags, np.full(bags.shape[1], by.narrow), b.near[-1])
            found += np.multiply(bag, by.bag, out=bag)
        whole = reduce(np.multiply, near) if self.parts else near.pop()
        for one in near:
            found += np.multiply(one, by.part, out=one)
        if a.missing.any() and b.missing.any():
            whole *= by.whole + by.training * np.outer(a.missing, b.missing)
        else:
            whole *= by.whole
        found += whole
        return np.asarray(found + a.z @ b.z.T if b.z.shape[1] else found)

    def training(self, a: Data, b: Placed) -> np.ndarray:
        """``(N, M)``: the part of it that is there because neither was trained in full."""
        both = b.by.training * np.outer(a.missing, b.missing)
        return np.asarray(both * reduce(np.multiply, self._near(a, b)))

    def _near(self, a: Data, b: Placed) -> list[np.ndarray]:
        """By part ``(N, M)``; their product is what all choices together give."""
        near = zip(self.columns, b.near[: len(self.columns)], strict=True)
        return [_near(a.x[:, columns], b.weights[columns], one) for columns, one in near]

    def variance(self, at: Data, parameters: np.ndarray) -> np.ndarray:
        """``(N,)``: of each with itself."""
        (_, by, s), away = self.unpacked(parameters), at.x - self.features.middle
        found = by.whole + by.training * at.missing**2 + by.part * len(self.parts)
        found += by.linear * self.features.unit**2 * np.einsum("nf,nf->n", away, away) + (at.z**2) @ s
        if self.alike:
            found += by.bag + by.shared * ((away @ self.features.alike) ** 2).sum(1)
        return np.asarray(found)

    def noise(self, at: Data, parameters: np.ndarray) -> np.ndarray:
        """``(N,)``: variances of results, and what keeps the kernel invertible."""
        return self.unpacked(parameters)[1].noise * at.noise + JITTER

    def mean(self, at: Data, parameters: np.ndarray) -> np.ndarray:
        """``(N,)`` before any result: what earlier studies say together, as far as they are believed."""
        found: np.ndarray = self.unpacked(parameters)[1].trust * (at.z @ self.shares)
        return found


def _measured(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``(N, F + 1)`` of vectors ``(N, F)``, for :func:`_near`."""
    return np.concatenate([2 * weights * x, -(x * x) @ weights[:, None]], 1)


def _near(x: np.ndarray, weights: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """``(N, M)``, 1 at no distance: e to minus squared distances."""
    found = x @ measured[:, :-1].T
    found += measured[:, -1]
    found -= (x * x) @ weights[:, None]
    return np.asarray(np.exp(found, out=found))


def _run(columns: np.ndarray) -> np.ndarray | slice:
    """The same as a slice, which copies nothing, if they stand side by side."""
    if len(columns) and (np.diff(columns) == 1).all():
        return slice(int(columns[0]), int(columns[-1]) + 1)
    return columns
