"""The parameters of the kernel, and what is believed of them beforehand; its formula is in its module."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np


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
JITTER = 1e-6
DEVIATION = 1.0  # of a parameter's logarithm
TRUST = 2.0  # of those of s, and of trust
REACH = 3.0  # median of w summed over choices
SOURCE = 0.3  # median of s summed over studies
_FARTHEST = 10.0  # in logarithms: what is farther away is believed as little as that


def closeness(far: np.ndarray) -> float:
    """How near earlier studies ``(S,)`` are, in (0, 1]: their mean weight, each by its own; 1 of none."""
    if not len(far):
        return 1.0
    near = np.exp(-np.minimum(far, _FARTHEST))
    return float(near @ near / near.sum())


class Priors(NamedTuple):
    """Medians of parameters, in logarithms.

    Attributes:
        lengths: ``(B,)``, of w.
        scales: ``(9,)``, of :class:`Scales`.
    """

    lengths: np.ndarray
    scales: np.ndarray
