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

import math
from dataclasses import dataclass, fields
from functools import reduce
from typing import NamedTuple

import numpy as np

from controllers.learned.features import Features


class Data(NamedTuple):
    """Candidates as the kernel sees them.

    Attributes:
        x: ``(N, F)`` features.
        z: ``(N, S)`` predictions of earlier studies.
        missing: ``(N,)`` in [0, 1]: the part of its training that each has not had.
    """

    x: np.ndarray
    z: np.ndarray
    missing: np.ndarray

    def at(self, index: np.ndarray) -> Data:
        """Some of them."""
        return Data(*(part[index] for part in self))

    def alone(self) -> Data:
        """The same without earlier studies."""
        return self._replace(z=self.z[:, :0])


def joined(a: Data, b: Data) -> Data:
    """Those of both."""
    return Data(*(np.concatenate(pair) for pair in zip(a, b, strict=True)))


@dataclass(frozen=True)
class Scales:
    """Parameters that are single numbers; as they stand here, the medians of their log-normal priors.

    All but the last two are variances, of results of variance 1.

    Attributes:
        whole: a, of what all choices together do.
        part: p, of what those of one part do.
        linear: v, of main effects.
        training: c, of what more training changes.
        bag: q, of how often values are taken.
        shared: u, of main effects that choices with the same values have in common.
        noise: Of a result.
        narrow: r, an inverse squared length.
        trust: Of the mean: by how much what earlier studies say together is believed.
    """

    whole: float = 0.6
    part: float = 0.1
    linear: float = 0.3
    training: float = 0.1
    bag: float = 0.2
    shared: float = 0.1
    noise: float = 0.1
    narrow: float = 3.0
    trust: float = 0.5


SCALES = tuple(field.name for field in fields(Scales))
DEVIATION = 1.0  # of a parameter's logarithm
TRUST = 2.0  # of those of s, and of trust
REACH = 3.0  # median of w summed over choices
SOURCE = 0.3  # median of s summed over studies


class Placed(NamedTuple):
    """Candidates with the parameters worked in: what the kernel says of two is products of theirs.

    Attributes:
        near: By part, then of ψ, ``(N, F + 2)`` vectors and their lengths.
        linear: ``(N, L)``, of what adds up.
        missing: ``(N,)``, see :class:`Data`.
        by: The parameters that are single numbers.
    """

    near: list[np.ndarray]
    linear: np.ndarray
    missing: np.ndarray
    by: Scales

    def at(self, index: np.ndarray | slice) -> Placed:
        """Some of them."""
        near = [one[index] for one in self.near]
        return Placed(near, self.linear[index], self.missing[index], self.by)


class Priors(NamedTuple):
    """Medians of parameters, in logarithms.

    Attributes:
        lengths: ``(B,)``, of w.
        scales: ``(9,)``, of :class:`Scales`.
    """

    lengths: np.ndarray
    scales: np.ndarray


class Kernel:
    """See the module.

    Args:
        features: Of the candidates.
        far: ``(S,)``: by how much the medians of s are lowered, in logarithms.
        priors: Medians of the other parameters; None: the usual ones.

    Attributes:
        shares: ``(S,)``: of the mean that earlier studies say together.
        medians: Logarithms of all parameters' medians: of w, of :class:`Scales`, of s.
        deviations: Of these logarithms.
        parts: By part, its choices; none where parts are no more than choices, or all there is.
        columns: Of vectors, by part; where there are none, all of them.
        alike: Whether choices have the same values, so that there is ψ.
    """

    def __init__(self, features: Features, far: np.ndarray, priors: Priors | None = None) -> None:
        self.features = features
        blocks, groups = len(features.blocks), np.unique(features.groups)
        self.parts = [np.flatnonzero(features.groups == group) for group in groups]
        if not 1 < len(groups) < blocks:
            self.parts = []
        self.columns = [features.columns(part) for part in self.parts] or [np.arange(features.width)]
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

    def unpacked(self, parameters: np.ndarray) -> tuple[np.ndarray, Scales, np.ndarray]:
        """w, scales and s of logarithms."""
        blocks, values = len(self.features.blocks), np.exp(parameters)
        scales = values[blocks : blocks + len(SCALES)].tolist()
        return values[:blocks], Scales(*scales), values[blocks + len(SCALES) :]

    def placed(self, at: Data, parameters: np.ndarray) -> Placed:
        """Candidates for :meth:`between`: done once, with however many others they are compared."""
        w, by, s = self.unpacked(parameters)
        u, centred = at.x * np.sqrt(self.features.spread(w)), self.features.centred(at.x)
        near = [_measured(u[:, columns]) for columns in self.columns]
        linear = [math.sqrt(by.linear) * centred, at.z * np.sqrt(s)]
        if self.alike:
            bags = self.features.bags(at.x)
            near.append(_measured(math.sqrt(by.narrow) * bags))
            linear.append(math.sqrt(by.shared) * bags)
        return Placed(near, np.concatenate(linear, 1), at.missing, by)

    def between(self, a: Placed, b: Placed) -> np.ndarray:
        """``(N, M)``, of candidates placed with the same parameters."""
        near, by = [_near(*pair) for pair in zip(a.near, b.near, strict=True)], a.by
        found = a.linear @ b.linear.T
        if self.alike:
            found += np.multiply(near[-1], by.bag, out=near.pop())
        whole = reduce(np.multiply, near) if self.parts else near.pop()
        for one in near:
            found += np.multiply(one, by.part, out=one)
        if a.missing.any() and b.missing.any():
            return found + whole * (by.whole + by.training * np.outer(a.missing, b.missing))
        found += np.multiply(whole, by.whole, out=whole)
        return np.asarray(found)

    def training(self, a: Placed) -> np.ndarray:
        """``(N, N)``: what there is between candidates because none of them was trained in full."""
        near = [_near(one, one) for one in a.near[: len(self.columns)]]
        return np.asarray(a.by.training * np.outer(a.missing, a.missing) * reduce(np.multiply, near))

    def variance(self, a: Placed) -> np.ndarray:
        """``(N,)``: of each with itself."""
        constant = a.by.whole + a.by.part * len(self.parts) + a.by.bag * self.alike
        return np.asarray(constant + a.by.training * a.missing**2 + (a.linear**2).sum(1))

    def mean(self, at: Data, parameters: np.ndarray) -> np.ndarray:
        """``(N,)`` before any result: what earlier studies say together, as far as they are believed."""
        found: np.ndarray = self.unpacked(parameters)[1].trust * (at.z @ self.shares)
        return found


def _measured(u: np.ndarray) -> np.ndarray:
    """``(N, F + 2)`` of vectors ``(N, F)``, for :func:`_near`."""
    return np.concatenate([math.sqrt(2) * u, -(u * u).sum(1)[:, None], np.ones((len(u), 1))], 1)


def _near(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``(N, M)``, 1 at no distance: e to minus squared distances, which are one product of matrices."""
    apart = a @ np.concatenate([b[:, :-2], b[:, :-3:-1]], 1).T
    return np.asarray(np.exp(apart, out=apart))
