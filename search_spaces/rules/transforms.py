"""What a step of learning is made of: pairs of pure functions, chained, in the manner of optax.

Everything here is for ONE task and free of side effects, so that it can be batched over tasks,
differentiated twice and traced. What is learned of a transform begins at numbers that the caller
gives, and is meta-trained with the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from search_spaces.rules.interface import sub, under
from search_spaces.task import Tensors

State = Any  # whatever a transform remembers of one task: tensors, or dictionaries and tuples of them
Named = dict[str, Tensor]

RATES = ("fixed", "layer", "layer_step", "tensor", "tensor_step", "parameter", "parameter_step")


class Point(NamedTuple):
    """Where the inner loop is.

    Attributes:
        params: What it changes, by name.
        loss: ``()``, of the support set there.
        step: From 0.
    """

    params: Tensors
    loss: Tensor
    step: int


def _nothing(params: Tensors, generator: torch.Generator) -> tuple[Named, Named]:
    return {}, {}


def _forgets(own: Tensors, params: Tensors, key: Tensor | None) -> State:
    return ()


def _as_they_are(own: Tensors, params: Tensors) -> Named:
    return dict(params)


def _untouched(own: Tensors, state: State, gradients: Tensors, point: Point) -> tuple[Named, State]:
    return dict(gradients), state


@dataclass(frozen=True)
class Transform:
    """Turns the gradient into a step, which is subtracted: ``θ ← θ − step``.

    Attributes:
        init: Parameters ``(*p,)`` by name and a generator → its own tensors, those that are
            meta-trained and those that are not.
        start: Own tensors, parameters before the first step, and a seed ``()`` int64, None when not
            meta-training → what it remembers of one task.
        update: Own tensors, memory, gradients and :class:`Point` → step, memory.
        view: Own tensors and parameters → the parameters that the network runs with.
    """

    update: Callable[[Tensors, State, Tensors, Point], tuple[Named, State]] = _untouched
    init: Callable[[Tensors, torch.Generator], tuple[Named, Named]] = _nothing
    start: Callable[[Tensors, Tensors, Tensor | None], State] = _forgets
    view: Callable[[Tensors, Tensors], Named] = _as_they_are

    @property
    def turns(self) -> bool:
        """Whether the network runs with other parameters than those that are moved."""
        return self.view is not _as_they_are


def chain(**links: Transform) -> Transform:
    """One transform after the other, each with tensors under its own name.

    Example:
        >>> sizes = {name: step_size("layer", 0.1, steps=1) for name in ("first", "second")}
        >>> chain(**sizes).init({"head.weight": torch.zeros(2, 3)}, torch.Generator())[0]
        {'first.head': tensor(-2.3026), 'second.head': tensor(-2.3026)}
    """

    def init(params: Tensors, generator: torch.Generator) -> tuple[Named, Named]:
        learned: Named = {}
        fixed: Named = {}
        for name, link in links.items():
            meta, buffers = link.init(params, generator)
            learned, fixed = learned | under(name, meta), fixed | under(name, buffers)
        return learned, fixed

    def start(own: Tensors, params: Tensors, key: Tensor | None) -> State:
        return {name: link.start(sub(own, name), params, key) for name, link in links.items()}

    def update(own: Tensors, state: State, gradients: Tensors, point: Point) -> tuple[Named, State]:
        after, step = {}, dict(gradients)
        for name, link in links.items():
            step, after[name] = link.update(sub(own, name), state[name], step, point)
        return step, after

    def view(own: Tensors, params: Tensors) -> Named:
        seen = dict(params)
        for name, link in links.items():
            seen = link.view(sub(own, name), seen)
        return seen

    turns = any(link.turns for link in links.values())
    return Transform(update, init, start, view if turns else _as_they_are)


def step_size(kind: str, rate: float, steps: int) -> Transform:
    r"""Scales the step by a step size, fixed or learned.

    .. math:: \Delta\theta_i = \alpha_i\, g_i

    Args:
        kind: One of ``RATES``: one size a layer, tensor or parameter; ``_step``: for each step too.
        rate: Initial size, > 0. Those of a parameter may become negative, as in Meta-SGD; others not.
        steps: That have sizes of their own; steps beyond take the last one's.

    References:
        Li et al., *Meta-SGD*, 2017, https://arxiv.org/abs/1707.09835 (a parameter);
        Antoniou, Edwards, Storkey, *MAML++*, 2019, https://arxiv.org/abs/1810.09502 (a layer and step).
        Differs from the latter: sizes stay positive, through their logarithm.
    """
    per, _, each = kind.partition("_")

    def owner(name: str) -> str:
        return layer(name) if per in ("fixed", "layer") else name

    def init(params: Tensors, generator: torch.Generator) -> tuple[Named, Named]:
        first = rate if per == "parameter" else math.log(rate)
        shapes = {owner(name): tuple(p.shape) if per == "parameter" else () for name, p in params.items()}
        lead = (steps,) if each else ()
        sizes = {name: torch.full((*lead, *shapes[name]), first) for name in sorted(shapes)}
        return ({}, sizes) if per == "fixed" else (sizes, {})

    def start(own: Tensors, params: Tensors, key: Tensor | None) -> State:
        sizes = {name: value if per == "parameter" else value.exp() for name, value in own.items()}
        return {name: value.unbind() if each else (value,) for name, value in sizes.items()}

    def update(own: Tensors, state: State, gradients: Tensors, point: Point) -> tuple[Named, State]:
        def size(name: str) -> Tensor:
            sizes: tuple[Tensor, ...] = state[owner(name)]
            return sizes[min(point.step, len(sizes) - 1)]

        return {name: size(name) * g for name, g in gradients.items()}, state

    return Transform(update, init, start)


def layer(name: str) -> str:
    """The layer of a tensor: ``network.layer0.weight`` → ``network.layer0``."""
    return name.rpartition(".")[0]


def learned(**values: float) -> Callable[[Tensors, torch.Generator], tuple[Named, Named]]:
    """Numbers of its own that begin at these values."""

    def init(params: Tensors, generator: torch.Generator) -> tuple[Named, Named]:
        return {name: torch.tensor(value) for name, value in values.items()}, {}

    return init


def zeros(own: Tensors, params: Tensors, key: Tensor | None) -> Named:
    """A memory that begins at zero, of every parameter."""
    return {name: torch.zeros_like(p) for name, p in params.items()}
