"""Model spaces as users write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

nni = pytest.importorskip("nni", reason="NNI is not installed on this machine")
from search_spaces.nni.layers import LayerChoice, ModelSpace, Repeat  # noqa: E402  # before NNI's own modules

from nni.nas.nn.pytorch import InputChoice, MutableConv2d, MutableLinear  # noqa: E402  # isort: skip


class Vectors(ModelSpace):  # type: ignore[misc]  # NNI has no types
    """A layer inside a layer's candidate, blocks that may be left out, a width that several share."""

    def __init__(self, input_shape: tuple[int, ...] = (1,)) -> None:
        super().__init__()
        width = nni.choice("width", [6, 8])
        inner = LayerChoice([nn.SiLU(), nn.Softplus()], label="inner")
        self.first = MutableLinear(input_shape[0], width)
        self.act = LayerChoice({"tanh": nn.Tanh(), "smooth": inner}, label="act")
        self.more = Repeat(lambda i: block(i, width), (1, 3), label="more")
        self.head = MutableLinear(width, 2)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.more(self.act(self.first(x))))


def block(i: int, width: Any) -> nn.Module:
    return nn.Sequential(MutableLinear(width, width), LayerChoice([nn.Tanh(), nn.GELU()], label=f"act_{i}"))


class Pictures(ModelSpace):  # type: ignore[misc]
    """Batch norms, some of several inputs, a layer that works in place, a head behind pooling."""

    def __init__(self, input_shape: tuple[int, ...] = (1, 28, 28)) -> None:
        super().__init__()
        width = 4
        self.stem = nn.Sequential(nn.ELU(inplace=True), MutableConv2d(input_shape[0], width, 3, padding=1))
        self.norm = nn.BatchNorm2d(width, eps=1e-3)
        kernel = nni.choice("kernel", [(1, 1), (3, 3)])
        self.body = nn.Sequential(MutableConv2d(width, width, kernel, padding="same"), nn.BatchNorm2d(width))
        self.join = InputChoice(3, 2, label="join")
        self.pool = LayerChoice([nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)], label="pool")
        self.drop = nn.Dropout(0.0)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Any:
        x = torch.tanh(self.body(self.norm(self.stem(x))))
        return self.head(self.drop(self.pool(self.join([x, x.square(), x.abs()])).flatten(1)))


class Recreated(ModelSpace, label_prefix="recreated"):  # type: ignore[misc]
    """Choices that its constructor computes with, a fixed table, no head."""

    def __init__(self) -> None:
        super().__init__()
        depth = self.add_mutable(nni.choice("depth", [1, 2]))
        scale = self.add_mutable(nni.choice("scale", [0.5, 2.0]))
        self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(nni.mutable.ensure_frozen(depth)))
        self.scale = nni.mutable.ensure_frozen(scale)
        self.register_buffer("table", torch.arange(3.0))
        self.still = nn.Parameter(torch.ones(3), requires_grad=False)

    def forward(self, x: Tensor) -> Any:
        for layer in self.layers:
            x = torch.tanh(layer(x)) * self.scale
        return (x + self.table * self.still,)[0]


class _One(ModelSpace):  # type: ignore[misc]
    layer: Callable[[], nn.Module]

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Conv2d(1, 4, 3, padding=1)
        # the second of two: found although a search would begin with the first
        self.odd = LayerChoice({"plain": nn.Identity(), "odd": type(self).layer()}, label="odd")
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.odd(self.before(x)).mean((2, 3)))


class Shifting(ModelSpace):  # type: ignore[misc]
    """Changes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Any:
        x -= 0.5
        return self.head(self.body(x).mean((2, 3)))


def around(layer: Callable[[], nn.Module]) -> type:
    """A model space with that layer as a candidate."""
    return type("One", (_One,), {"layer": staticmethod(layer)})


class DropPath(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.empty(len(x), 1, 1, 1).bernoulli_(0.5) if self.training else x


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x


class Replacing(Counting):
    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return x


class Deciding(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Any:
        return self.norm(torch.tanh(self.norm(x)))


class Attention(nn.Module):
    """Of which torch has no second derivative, in a layer that is called with more than tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Any:
        rows = x.flatten(2).mT
        return self.heads(rows, rows, rows, need_weights=False)[0].mT.unflatten(2, x.shape[2:])


class Functions(ModelSpace):  # type: ignore[misc]
    """A choice between functions, whose texts are others in each process."""

    def __init__(self, input_shape: tuple[int, ...] = (1,)) -> None:
        super().__init__()
        act = self.add_mutable(nni.choice("act", [nn.functional.relu, torch.tanh]))
        self.act = nni.mutable.ensure_frozen(act)
        self.first = nn.Linear(input_shape[0], 4)

    def forward(self, x: Tensor) -> Any:
        return self.act(self.first(x))


class Nameless(Functions):
    def __init__(self, input_shape: tuple[int, ...] = (1,)) -> None:
        super().__init__(input_shape)
        self.more = self.add_mutable(nni.choice("more", [object(), 1]))


class Tied(ModelSpace):  # type: ignore[misc]
    """The same layer several times: what comes out of it last is no head."""

    def __init__(self, input_shape: tuple[int, ...] = (1,)) -> None:
        super().__init__()
        self.stem = nn.Linear(input_shape[0], 4)
        self.cell = self.again = nn.Linear(4, 4)
        self.repeats = LayerChoice([nn.Tanh(), nn.GELU()], label="act")

    def forward(self, x: Tensor) -> Any:
        return self.again(self.repeats(self.cell(self.repeats(self.stem(x)))))


class Lazily(ModelSpace):  # type: ignore[misc]
    """Imports its neighbour where it is made."""

    def __init__(self) -> None:
        super().__init__()
        from blocks_beside import width  # type: ignore[import-not-found]

        self.act = LayerChoice([nn.Tanh(), nn.GELU()], label="act")
        self.first = nn.Linear(1, width)

    def forward(self, x: Tensor) -> Any:
        return self.act(self.first(x))
