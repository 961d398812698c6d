"""Seeds: one number from the user, and from it one for every purpose."""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """A seed of 63 bits for that purpose; different purposes give unrelated ones.

    Example:
        >>> derive(0, "valid") == derive(0, "valid"), derive(0, "valid") == derive(0, "test")
        (True, False)
    """
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(device: torch.device, seed: int, *purpose: str | int) -> torch.Generator:
    """A generator on the device, seeded for that purpose."""
    return torch.Generator(device).manual_seed(derive(seed, *purpose))
