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

from dataclasses import dataclass, fields
from functools import reduce
from typing import NamedTuple

import numpy as np

from controllers.learned.features import Features, squared


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
    """

    def __init__(self, features: Features, far: np.ndarray, priors: Priors | None = None) -> None:
        self.features = features
        blocks, groups = len(features.blocks), np.unique(features.groups)
        self.parts = [np.flatnonzero(features.groups == group) for group in groups]
        if not 1 < len(groups) < blocks:
            self.parts = []
        self.columns = [features.columns(part) for part in self.parts] or [np.arange(features.width)]
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

    def between(self, a: Data, b: Data, parameters: np.ndarray) -> np.ndarray:
        """``(N, M)``."""
        w, by, s = self.unpacked(parameters)
        scale = np.sqrt(self.features.spread(w))
        near = self._near(a.x * scale, b.x * scale)
        found = reduce(np.multiply, near) * (by.whole + by.training * np.outer(a.missing, b.missing))
        if self.parts:
            found += by.part * sum(near)
        found += by.linear * (self.features.centred(a.x) @ self.features.centred(b.x).T)
        if self.features.alike.any():
            one, other = self.features.bags(a.x), self.features.bags(b.x)
            found += by.bag * np.exp(-by.narrow * squared(one, other)) + by.shared * (one @ other.T)
        return found + (a.z * s) @ b.z.T if len(s) else found

    def _near(self, u: np.ndarray, v: np.ndarray) -> list[np.ndarray]:
        """By part ``(N, M)``, 1 at no distance; their product is what all choices together give."""
        apart = [squared(u[:, columns], v[:, columns]) for columns in self.columns]
        return [np.asarray(np.exp(np.negative(one, out=one), out=one)) for one in apart]

    def variance(self, at: Data, parameters: np.ndarray) -> np.ndarray:
        """``(N,)``: of each with itself."""
        _, by, s = self.unpacked(parameters)
        found = by.whole + by.training * at.missing**2 + by.part * len(self.parts)
        found += by.linear * (self.features.centred(at.x) ** 2).sum(1) + (at.z**2) @ s
        if self.features.alike.any():
            found += by.bag + by.shared * (self.features.bags(at.x) ** 2).sum(1)
        return found

    def mean(self, at: Data, parameters: np.ndarray) -> np.ndarray:
        """``(N,)`` before any result: what earlier studies say together, as far as they are believed."""
        found: np.ndarray = self.unpacked(parameters)[1].trust * (at.z @ self.shares)
        return found
