"""Features of support and query, and which statistics normalise them."""

from __future__ import annotations

import torch
from torch import Tensor

from search_spaces.architectures.interface import Network
from search_spaces.rules.interface import sub, under
from search_spaces.rules.losses import clean
from search_spaces.task import Task, Tensors


def embed_support(
    network: Network, meta: Tensors, buffers: Tensors, x: Tensor, mask: Tensor | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Features ``(S, D)`` of the support set, and the statistics that the queries must use."""
    known = sub(buffers, "statistics")
    features, used = network.apply(sub(meta, "network"), clean(x, mask), mask, known)
    # running statistics are in the buffers already: only those of the support set are the task's own
    return features, {} if known else under("statistics", used)


def embed_query(network: Network, meta: Tensors, buffers: Tensors, adapted: Tensors, x: Tensor) -> Tensor:
    """Features ``(Q, D)`` of queries, each on its own: no statistics of theirs are taken."""
    given = sub(adapted, "statistics") or sub(buffers, "statistics")
    return network.apply(sub(meta, "network"), x, None, given)[0]


def embed_together(network: Network, meta: Tensors, task: Task) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Features of support ``(S, D)`` and query ``(Q, D)`` in one pass, for training.

    With running norms both are normalised by the statistics of their union, as batch norms are
    trained; those statistics are returned, for the running means that scoring uses.
    """
    x = torch.cat([task["support_x"], task["query_x"]])
    mask = _both_masks(task)
    features, used = network.apply(sub(meta, "network"), clean(x, mask), mask, {})
    at = len(task["support_x"])
    return features[:at], features[at:], under("statistics", used) if network.norm == "running" else {}


def _both_masks(task: Task) -> Tensor | None:
    if "support_mask" not in task and "query_mask" not in task:
        return None
    parts = (("support_mask", "support_x"), ("query_mask", "query_x"))
    return torch.cat([_mask(task.get(mask), task[x]) for mask, x in parts])  # type: ignore[literal-required, arg-type]


def _mask(mask: Tensor | None, x: Tensor) -> Tensor:
    return torch.ones(len(x), dtype=torch.bool, device=x.device) if mask is None else mask
