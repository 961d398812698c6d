"""Sums of two sine waves of drawn amplitudes, phases and base frequency."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from metanas.tasks.curves import Curves, Function, refuse_path
from metanas.tasks.family import Family, Source


def build(source: Source) -> Family:
    r"""The harmonics family: amplitudes U[0.1, 2.5], phases U[0, 2π], base frequency U[0.5, 1].

    .. math:: y = a_1 \sin(w x + p_1) + a_2 \sin(2 w x + p_2)

    Variants: ``amplitude`` U[2.5, 4]; ``frequency`` U[1, 1.25].

    Raises:
        DataError: If ``source`` names a path.
    """
    refuse_path("harmonics", source)
    return Curves("harmonics", _draw)


def _draw(uniform: Callable[[float, float], Tensor], variant: str | None) -> Function:
    low, high = (2.5, 4.0) if variant == "amplitude" else (0.1, 2.5)
    first, second = uniform(low, high), uniform(low, high)
    p1, p2 = uniform(0.0, 2 * math.pi), uniform(0.0, 2 * math.pi)
    w = uniform(1.0, 1.25) if variant == "frequency" else uniform(0.5, 1.0)
    return lambda x: first * torch.sin(w * x + p1) + second * torch.sin(2 * w * x + p2)
