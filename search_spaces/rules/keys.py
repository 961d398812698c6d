"""Random numbers from a key that is a tensor, where no generator can go: into batches and traces."""

from __future__ import annotations

import torch
from torch import Tensor

_STRIDE = 0x9E3779B97F4A7C15 - 2**64
_MIX = ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64))
_BITS = 23  # of a number: single precision tells them all from 0 and from 1


def uniform(key: Tensor, count: int, like: Tensor) -> Tensor:
    """Numbers between 0 and 1, neither included, that the key alone decides.

    Args:
        key: ``()`` int64.
        count: How many.
        like: Whose type and device they have.

    Returns:
        ``(count,)``.

    References:
        Steele, Lea, Flood, *Fast splittable pseudorandom number generators* (SplitMix64), 2014.
    """
    z = key + _STRIDE * torch.arange(1, count + 1, device=key.device)  # products wrap around, as they should
    for shift, factor in _MIX:
        z = (z ^ _shifted(z, shift)) * factor
    z = z ^ _shifted(z, 31)
    return (_shifted(z, 64 - _BITS).to(like.dtype) + 0.5) * 2.0**-_BITS


def _shifted(bits: Tensor, by: int) -> Tensor:
    """To the right, with zeros from the left."""
    shifted: Tensor = (bits >> by) & (2 ** (64 - by) - 1)
    return shifted
