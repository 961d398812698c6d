"""Sine waves of drawn amplitude and phase (Finn et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from metanas.tasks.curves import Curves, Function, refuse_path
from metanas.tasks.family import Family, Source


def build(source: Source) -> Family:
    r"""The sinusoid family: amplitude U[0.1, 5], phase U[0, π], x U[-5, 5], no noise.

    .. math:: y = a \sin(x - p)

    Variants: ``amplitude`` U[5, 7.5]; ``frequency`` 1.25 instead of 1.

    Raises:
        DataError: If ``source`` names a path.

    References:
        Finn, Abbeel, Levine, *Model-Agnostic Meta-Learning*, 2017, https://arxiv.org/abs/1703.03400
    """
    refuse_path("sinusoid", source)
    return Curves("sinusoid", _draw)


def _draw(uniform: Callable[[float, float], Tensor], variant: str | None) -> Function:
    amplitude = uniform(5.0, 7.5) if variant == "amplitude" else uniform(0.1, 5.0)
    phase = uniform(0.0, math.pi)
    frequency = 1.25 if variant == "frequency" else 1.0
    return lambda x: amplitude * torch.sin(frequency * x - phase)
