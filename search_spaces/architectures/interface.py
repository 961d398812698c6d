"""What an architecture builds: a network as pure functions of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from search_spaces.task import Tensors

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "silu": functional.silu,
    "gelu": functional.gelu,
}


class Network(Protocol):
    """Examples to features; the rule puts its own head on top.

    Attributes:
        size: D, features of one example.
        norm: Name of its norm, see ``norms.py``.

    One that has a true attribute ``half`` computes in the precision of its examples, which training may
    give in bfloat16; features and statistics are in the parameters' precision all the same.
    """

    @property
    def size(self) -> int: ...

    @property
    def norm(self) -> str: ...

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Initial parameters by name, ``layer.kind``; parameters of one layer share ``layer``.

        It looks at no value of a tensor: learner files are read with tensors that have but a shape.
        """
        ...

    def statistics(self) -> dict[str, Tensor]:
        """Initial running statistics; empty unless ``norm`` is ``"running"``."""
        ...

    def apply(
        self, params: Tensors, x: Tensor, mask: Tensor | None, statistics: Tensors
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Features of the examples.

        Args:
            params: As ``init`` gave them.
            x: ``(N, *x)``.
            mask: ``(N,)``, rows that count in the statistics of the batch; None: all.
            statistics: To normalise with; if empty, those of ``x`` are used.

        Returns:
            ``(N, D)``, and the statistics that were used (empty for norms that have none).
        """
        ...
