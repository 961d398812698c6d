"""Multilayer perceptrons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from search_spaces import Categorical, Choice, Signature, Value
from search_spaces.architectures import norms
from search_spaces.architectures.interface import ACTIVATIONS, Network
from search_spaces.task import Tensors

_WIDTHS = (16, 32, 40, 64, 128, 256)
_DEPTHS = (1, 2, 3, 4)


def suits(signature: Signature) -> bool:
    """Any input."""
    return True


def choices(signature: Signature) -> tuple[Choice, ...]:
    """Depth, the width of each layer, activation, norm."""
    widths = [Categorical(f"width_{i}", _WIDTHS, ordered=True) for i in range(1, _DEPTHS[-1] + 1)]
    return (
        Categorical("depth", _DEPTHS, {depth: tuple(widths[:depth]) for depth in _DEPTHS}, ordered=True),
        Categorical("activation", tuple(ACTIVATIONS)),
        Categorical("norm", norms.NORMS),
    )


def build(choices: Mapping[str, Value], signature: Signature) -> Network:
    """The network of those choices; inputs are flattened."""
    widths = tuple(int(choices[f"width_{i}"]) for i in range(1, int(choices["depth"]) + 1))
    inputs = math.prod(signature.input_shape)
    return Mlp(inputs, widths, str(choices["activation"]), str(choices["norm"]))


@dataclass(frozen=True)
class Mlp:
    """Linear, norm, activation, as often as there are widths."""

    inputs: int
    widths: tuple[int, ...]
    activation: str
    norm: str

    @property
    def size(self) -> int:
        return self.widths[-1]

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        params: dict[str, Tensor] = {}
        for i, (fan_in, width) in enumerate(zip((self.inputs, *self.widths), self.widths, strict=False)):
            params[f"layer{i}.weight"] = norms.uniform((width, fan_in), fan_in, generator)
            params |= norms.init(self.norm, f"layer{i}", width, fan_in, generator)
        return params

    def statistics(self) -> dict[str, Tensor]:
        found = (norms.statistics(self.norm, f"layer{i}", width) for i, width in enumerate(self.widths))
        return {name: value for layer in found for name, value in layer.items()}

    def apply(
        self, params: Tensors, x: Tensor, mask: Tensor | None, statistics: Tensors
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x = x.flatten(1)
        used: dict[str, Tensor] = {}
        for i in range(len(self.widths)):
            x = x @ params[f"layer{i}.weight"].mT
            x, here = norms.normalise(self.norm, params, f"layer{i}", x, mask, statistics)
            x = ACTIVATIONS[self.activation](x)
            used |= here
        return x, used
