"""What training may do to images: whole batches at once, each image in its own way."""

from __future__ import annotations

import torch
from torch import Tensor

SHIFT = 2  # pixels


def turned(images: Tensor, turns: Tensor) -> Tensor:
    """Turns each image by its own number of right angles.

    Args:
        images: ``(B, C, H, H)``.
        turns: ``(B,)`` in [0, 4), counter-clockwise.

    Returns:
        ``(B, C, H, H)``.
    """
    for turn in (1, 2):  # the two bits of a number of right angles
        chosen = (turns & turn).bool()[:, None, None, None]
        images = torch.where(chosen, torch.rot90(images, turn, (-2, -1)), images)
    return images


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Moves each image by up to two pixels each way, its border repeated.

    Args:
        images: ``(B, C, H, W)``.
        generator: The only source of randomness.

    Returns:
        ``(B, C, H, W)``.
    """
    count, channels, height, width = images.shape
    shift = torch.randint(-SHIFT, SHIFT + 1, (2, count, 1), generator=generator, device=generator.device)
    down, right = shift.to(images.device)
    rows = (torch.arange(height, device=images.device) + down).clamp_(0, height - 1)  # (B, H)
    columns = (torch.arange(width, device=images.device) + right).clamp_(0, width - 1)  # (B, W)
    images = images.gather(2, rows[:, None, :, None].expand(-1, channels, -1, width))
    return images.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))
