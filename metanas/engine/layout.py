"""Named tensors as one flat vector and back: one optimizer step, one checkpoint, one stack for all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Where each named tensor lies in the vector.

    Example:
        >>> layout = Layout.of({"a": torch.zeros(2, 3), "b": torch.zeros(())})
        >>> layout.size, layout.unflatten(torch.arange(7.0))["b"]
        (7, tensor(6.))
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Layout:
        """The layout of those tensors, in their order."""
        return cls(tuple(tensors), tuple(tuple(tensor.shape) for tensor in tensors.values()))

    @property
    def sizes(self) -> list[int]:
        return [math.prod(shape) for shape in self.shapes]

    @property
    def size(self) -> int:
        """Length of the vector."""
        return sum(self.sizes)

    def flatten(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """``{name: shape}`` to ``(P,)``; a name's missing tensor is an error."""
        if not self.names:
            return torch.zeros(0)
        return torch.cat([tensors[name].reshape(-1) for name in self.names])

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        """``(P,)`` to ``{name: shape}``, as views."""
        parts = torch.split(flat, self.sizes) if self.names else ()
        return {
            name: part.reshape(shape)
            for name, shape, part in zip(self.names, self.shapes, parts, strict=True)
        }
