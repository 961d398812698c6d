"""What the suites assert with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def close(a: Tensor, b: Tensor, tolerance: float, what: str = "they") -> None:
    """Asserts that two tensors agree, relative to the larger of 1 and their largest number."""
    assert a.shape == b.shape, f"{what} differ in shape: {tuple(a.shape)} and {tuple(b.shape)}"
    if a.numel() == 0:
        return
    gap = (a - b).abs().max().item()
    scale = max(1.0, a.abs().max().item())
    assert gap <= tolerance * scale, f"{what} differ by {gap:.3g}, may by {tolerance * scale:.3g}"


@contextmanager
def untouched() -> Iterator[None]:
    """Asserts that what happens inside neither draws from nor seeds torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state()), "torch's global generator was used"
