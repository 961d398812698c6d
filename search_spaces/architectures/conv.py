"""Convolutional networks in the manner of Conv-4 (Vinyals et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from search_spaces import Categorical, Choice, Signature, Value
from search_spaces.architectures import norms
from search_spaces.architectures.interface import ACTIVATIONS, Network
from search_spaces.errors import RuleError
from search_spaces.task import Tensors


def suits(signature: Signature) -> bool:
    """Images ``(channels, height, width)``."""
    return len(signature.input_shape) == 3


def choices(signature: Signature) -> tuple[Choice, ...]:
    """Depth, width, kernel, norm, activation, pooling or strides, residual connections."""
    return (
        Categorical("depth", (2, 3, 4, 5), ordered=True),
        Categorical("width", (16, 32, 64), ordered=True),
        Categorical("kernel", (3, 5), ordered=True),
        Categorical("activation", tuple(ACTIVATIONS)),
        Categorical("norm", norms.NORMS),
        Categorical("downsample", ("pool", "stride")),
        Categorical("residual", (False, True)),
    )


def build(choices: Mapping[str, Value], signature: Signature) -> Network:
    """The network of those choices.

    Raises:
        RuleError: If the tasks' inputs are not ``(channels, height, width)``.
    """
    if not suits(signature):
        raise RuleError(f"conv needs inputs (channels, height, width), not {signature.input_shape}; try mlp")
    sizes = (int(choices["depth"]), int(choices["width"]), int(choices["kernel"]))
    if sizes[2] % 2 == 0:
        raise RuleError(f"architecture.conv.kernel should be odd, not {sizes[2]}: an even one moves images")
    names = (str(choices["activation"]), str(choices["norm"]), str(choices["downsample"]))
    return Conv(signature.input_shape, *sizes, *names, bool(choices["residual"]))


@dataclass(frozen=True)
class Conv:
    """Convolution, norm, halving of the sides while they are at least 2, activation; flattened."""

    input_shape: tuple[int, ...]
    depth: int
    width: int
    kernel: int
    activation: str
    norm: str
    downsample: str
    residual: bool
    half: ClassVar[bool] = True

    @property
    def size(self) -> int:
        height, width = self.input_shape[1:]
        for halves in self._halvings():
            height, width = (self._side(height, halves), self._side(width, halves))
        return self.width * height * width

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        params: dict[str, Tensor] = {}
        channels = (self.input_shape[0], *[self.width] * (self.depth - 1))
        for i, planes in enumerate(channels):
            shape, fan_in = (self.width, planes, self.kernel, self.kernel), planes * self.kernel**2
            params[f"layer{i}.weight"] = norms.uniform(shape, fan_in, generator)
            params |= norms.init(self.norm, f"layer{i}", self.width, fan_in, generator)
        return params

    def statistics(self) -> dict[str, Tensor]:
        found = (norms.statistics(self.norm, f"layer{i}", self.width) for i in range(self.depth))
        return {name: value for layer in found for name, value in layer.items()}

    def apply(
        self, params: Tensors, x: Tensor, mask: Tensor | None, statistics: Tensors
    ) -> tuple[Tensor, dict[str, Tensor]]:
        used: dict[str, Tensor] = {}
        for i, halves in enumerate(self._halvings()):
            stride = 2 if halves and self.downsample == "stride" else 1
            weight = _laid_out(params[f"layer{i}.weight"].to(x.dtype))
            out = functional.conv2d(x, weight, stride=stride, padding=self.kernel // 2)
            out, here = norms.normalise(self.norm, params, f"layer{i}", out, mask, statistics)
            if self.residual and i > 0:
                out = out + x[..., ::stride, ::stride]
            # pooled before the activation: the same for one that never falls, at a quarter of the cost
            out = functional.max_pool2d(out, 2) if halves and self.downsample == "pool" else out
            x = ACTIVATIONS[self.activation](out)
            used |= here
        return x.flatten(1).to(params["layer0.weight"].dtype), used

    def _halvings(self) -> list[bool]:
        """Per layer, whether it halves the sides."""
        side, found = min(self.input_shape[1:]), []
        for _ in range(self.depth):
            found.append(side >= 2)
            side = self._side(side, side >= 2)
        return found

    def _side(self, side: int, halves: bool) -> int:
        if not halves:
            return side
        return side // 2 if self.downsample == "pool" else (side + 1) // 2


def _laid_out(weight: Tensor) -> Tensor:
    """The same ``(out, in, k, k)``, on a CPU with channels innermost in memory: what comes of it is so, too.

    Torch's kernels for convolutions, norms and pooling there take a half to three quarters of the time.
    """
    if weight.device.type != "cpu":
        return weight
    # not by memory_format, which vmap does not know; flattened, so that strides of one channel tell, too
    last = weight.permute(0, 2, 3, 1)
    return last.flatten().reshape(last.shape).permute(0, 3, 1, 2)
