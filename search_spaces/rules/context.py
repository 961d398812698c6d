"""A code of the task that is all the inner loop changes, and how it reaches the network (CAVIA)."""

from __future__ import annotations

import torch
from torch import Tensor

from search_spaces.architectures.norms import uniform
from search_spaces.errors import RuleError
from search_spaces.rules.transforms import layer
from search_spaces.task import Tensors

SIZE = 5
CODE = "context.code"


def init(params: Tensors, generator: torch.Generator) -> dict[str, Tensor]:
    """What carries the code into the network: a matrix ``(C, SIZE)`` to each vector of its first layer.

    Args:
        params: Of the network, ``network.layer.kind``.
        generator: Of the matrices.

    Raises:
        RuleError: If no layer has a bias.
    """
    vectors = _vectors(params)
    if not vectors:
        raise RuleError("scope context needs a network with a bias; try another scope")
    return {
        f"context.{name}": uniform((len(params[name]), SIZE), SIZE, generator) for name in sorted(vectors)
    }


def code(like: Tensor) -> dict[str, Tensor]:
    """Of a task about which nothing is known yet: ``(SIZE,)`` zeros."""
    return {CODE: torch.zeros(SIZE, dtype=like.dtype, device=like.device)}


def applied(params: Tensors) -> dict[str, Tensor]:
    """The parameters of the network once the code has been added to its vectors."""
    added = {
        name.removeprefix("context."): matrix @ params[CODE]
        for name, matrix in params.items()
        if name.startswith("context.network.")
    }
    return {name: value + added[name] if name in added else value for name, value in params.items()}


def _vectors(params: Tensors) -> list[str]:
    """The bias of the first layer that has one, and its scale, if it has that."""
    first = next((name for name, p in params.items() if name.endswith(".bias") and p.ndim == 1), "")
    return [n for n in (first, f"{layer(first)}.scale") if n in params]
