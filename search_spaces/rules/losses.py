"""Losses of a task, with masks."""

from __future__ import annotations

import torch
from torch import Tensor

from search_spaces.signature import Kind


def task_loss(kind: Kind, prediction: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over rows of the squared error (regression) or the cross-entropy (classification).

    Args:
        kind: Of the task.
        prediction: ``(N, O)``: targets, or logits.
        y: ``(N, O)``: targets, or one-hot rows.
        mask: ``(N,)`` rows that count; None: all.

    Returns:
        ``()``; 0 where no row counts.
    """
    y = clean(y, mask)
    if kind == "regression":
        rows = ((prediction - y) ** 2).mean(-1)
    else:
        # a product with one-hot rows, not an index: it can be differentiated twice, batched and traced
        rows = -(y * torch.log_softmax(prediction, -1)).sum(-1)
    if mask is None:
        return rows.mean()
    return torch.where(mask, rows, 0.0).sum() / mask.sum().clamp(min=1)


def clean(x: Tensor, mask: Tensor | None) -> Tensor:
    """``x`` with zeros behind the mask ``(N,)``, so that NaNs there reach neither value nor gradient."""
    if mask is None:
        return x
    return torch.where(mask.reshape(-1, *[1] * (x.ndim - 1)), x, 0.0)
