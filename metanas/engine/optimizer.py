"""AdamW over flat vectors of several candidates, each with its own learning rate."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8
_CLIP = 10.0  # largest norm of a candidate's outer gradient
_AVERAGE = 0.99  # of the averaged weights, which are what is scored
_MOMENTUM = 0.1  # of running statistics


class Moving(NamedTuple):
    """What training moves, of C candidates.

    Attributes:
        meta: ``(C, P)``.
        first: ``(C, P)`` mean of gradients.
        second: ``(C, P)`` mean of squared gradients.
        average: ``(C, P)`` mean of the last hundred or so ``meta``.
        buffers: ``(C, B)``.
    """

    meta: Tensor
    first: Tensor
    second: Tensor
    average: Tensor
    buffers: Tensor

    @classmethod
    def start(cls, meta: Tensor, buffers: Tensor) -> Moving:
        return cls(meta, torch.zeros_like(meta), torch.zeros_like(meta), meta, buffers)


def update(
    now: Moving, gradients: Tensor, observed: Tensor, rates: Tensor, decays: Tensor, step: int
) -> Moving:
    r"""One step of AdamW, of the averaged weights and of the running statistics.

    .. math:: \theta \leftarrow \theta - \alpha (\hat m / (\sqrt{\hat v} + \epsilon) + \lambda \theta)

    A gradient that is not finite counts as zero: one bad meta-batch does not end a trial.

    Args:
        now: What training moves.
        gradients: ``(C, P)``.
        observed: ``(C, B)`` statistics to fold into the buffers.
        rates: ``(C, 1)`` learning rates.
        decays: ``(C, 1)`` weight decays.
        step: From 0, of all candidates.

    References:
        Loshchilov, Hutter, *Decoupled weight decay regularization*, 2019, https://arxiv.org/abs/1711.05101
    """
    norm = gradients.norm(dim=1, keepdim=True)
    fine = torch.isfinite(norm)
    gradients = torch.where(fine, gradients * (_CLIP / norm).clamp(max=1.0), 0.0)
    first = torch.lerp(gradients, now.first, _BETAS[0])
    second = torch.lerp(gradients**2, now.second, _BETAS[1])
    scale = (second / (1 - _BETAS[1] ** (step + 1))).sqrt_().add_(_EPSILON)
    move = (first / (1 - _BETAS[0] ** (step + 1))) / scale + decays * now.meta
    meta = now.meta - rates * move
    kept = min(_AVERAGE, (1 + step) / (10 + step))
    average = torch.lerp(meta, now.average, kept)
    buffers = torch.lerp(now.buffers, torch.where(torch.isfinite(observed), observed, now.buffers), _MOMENTUM)
    return Moving(meta, first, second, average, buffers)
