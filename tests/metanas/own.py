"""Families as users write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class Lines:
    """Right; the wrong ones differ from it in one thing."""

    def sample(self, n_tasks: int, examples: int, generator: torch.Generator) -> Any:
        slope = torch.randn(n_tasks, 1, 1, generator=generator)
        x = torch.rand(n_tasks, examples, 2, generator=generator)
        return x, slope * x


class Spots:
    """Classes around means of their own, of which a split has 8; in NumPy."""

    classes = 8
    features = ("left", "right")

    def sample(self, n_tasks: int, ways: int, examples: int, split: str, generator: torch.Generator) -> Any:
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        which = np.stack([rng.permutation(8)[:ways] for _ in range(n_tasks)])
        means = which + {"train": 0, "valid": 10, "test": 20}[split]
        return means[:, :, None, None] + 0.1 * rng.standard_normal((n_tasks, ways, examples, 2))
