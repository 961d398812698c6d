"""Optimizers that are recurrent networks themselves, the same one for every coordinate."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from search_spaces.architectures.norms import uniform
from search_spaces.rules.interface import sub, under
from search_spaces.rules.transforms import Named, Point, State, Transform
from search_spaces.task import Tensors

HIDDEN = 20
_SPREAD = 10.0  # p: numbers below exp(-p) in size are told as they are, others by their logarithm
_FORGET, _INPUT = 5.0, -4.0  # at first almost nothing is forgotten, and steps are small
_SMALL = 0.01


def lstm() -> Transform:
    r"""A coordinate-wise LSTM of two layers of 20: the step is what it makes of the gradients so far.

    .. math:: \theta_{t+1} = \theta_t + g_t, \quad (g_t, h_{t+1}) = \mathrm{LSTM}(\nabla_t, h_t)

    The gradient is told as :func:`told` does. To be scaled by a step size: the paper's is 0.1.

    References:
        Andrychowicz et al., *Learning to learn by gradient descent by gradient descent*, 2016,
        https://arxiv.org/abs/1606.04474
    """

    def init(params: Tensors, generator: torch.Generator) -> tuple[Named, Named]:
        layers = under("first", _cell(2, generator)) | under("second", _cell(HIDDEN, generator))
        return layers | {"out": uniform((HIDDEN,), HIDDEN, generator), "shift": torch.zeros(())}, {}

    def start(own: Tensors, params: Tensors, key: Tensor | None) -> State:
        still = torch.zeros_like(own["out"]).expand(_count(params), -1)
        return (still, still), (still, still)

    def update(own: Tensors, state: State, gradients: Tensors, point: Point) -> tuple[Named, State]:
        first = _stepped(sub(own, "first"), told(_flat(gradients)), state[0])
        second = _stepped(sub(own, "second"), first[0], state[1])
        return _named(-(second[0] @ own["out"] + own["shift"]), gradients), (first, second)

    return Transform(update, init, start)


def meta_lstm() -> Transform:
    r"""The LSTM meta-learner: the parameters are the cell of an LSTM, its gates are the step sizes.

    .. math:: \theta_t = f_t \odot \theta_{t-1} - i_t \odot \nabla_t, \quad
        i_t = \sigma(W_I [h_t, \theta_{t-1}, i_{t-1}] + b_I), \quad
        f_t = \sigma(W_F [h_t, \theta_{t-1}, f_{t-1}] + b_F)

    with ``h`` a first LSTM layer of 20 over gradient and loss, told as :func:`told` does; the gates
    begin at 0 memory, biased to forget next to nothing and to take small steps.

    References:
        Ravi, Larochelle, *Optimization as a model for few-shot learning*, 2017,
        https://openreview.net/forum?id=rJY0-Kcll
    """

    def init(params: Tensors, generator: torch.Generator) -> tuple[Named, Named]:
        gates = {f"{g}.weight": _SMALL * _signed((HIDDEN + 2,), generator) for g in ("forget", "input")}
        biases = {"forget.bias": torch.tensor(_FORGET), "input.bias": torch.tensor(_INPUT)}
        return under("first", _cell(4, generator)) | gates | biases, {}

    def start(own: Tensors, params: Tensors, key: Tensor | None) -> State:
        still = torch.zeros_like(own["first.bias"][:HIDDEN]).expand(_count(params), -1)
        return (still, still), still[:, 0], still[:, 0]

    def update(own: Tensors, state: State, gradients: Tensors, point: Point) -> tuple[Named, State]:
        slope, params = _flat(gradients), _flat({name: point.params[name] for name in gradients})
        seen = torch.cat([told(slope), told(point.loss[None]).expand(len(slope), -1)], -1)
        first = _stepped(sub(own, "first"), seen, state[0])
        forget, take = (
            (
                torch.cat([first[0], params[:, None], last[:, None]], -1) @ own[f"{g}.weight"]
                + own[f"{g}.bias"]
            ).sigmoid()
            for g, last in (("forget", state[1]), ("input", state[2]))
        )
        return _named((1 - forget) * params + take * slope, gradients), (first, forget, take)

    return Transform(update, init, start)


def told(values: Tensor) -> Tensor:
    """How an LSTM is told numbers of any size ``(N,)``: ``(N, 2)``, their size and their sign.

    ``(log|x| / p, sign x)`` where ``|x| ≥ exp(−p)``, else ``(−1, exp(p) x)``, with p = 10.
    """
    least = math.exp(-_SPREAD)
    large = values.abs() >= least
    # the smaller ones are taken out before the logarithm, whose slope at 0 would be NaN
    size = torch.where(large, values, 1.0).abs().log() / _SPREAD
    return torch.stack(
        [torch.where(large, size, -1.0), torch.where(large, values.sign(), values / least)], -1
    )


def _cell(inputs: int, generator: torch.Generator) -> Named:
    """The tensors of one layer: four gates of ``HIDDEN``."""
    shapes = {"input": (4 * HIDDEN, inputs), "hidden": (4 * HIDDEN, HIDDEN), "bias": (4 * HIDDEN,)}
    return {name: uniform(shape, HIDDEN, generator) for name, shape in shapes.items()}


def _stepped(cell: Tensors, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Outputs and cells ``(N, HIDDEN)`` after inputs ``(N, inputs)``."""
    gates = x @ cell["input"].mT + state[0] @ cell["hidden"].mT + cell["bias"]
    take, keep, new, show = gates.chunk(4, -1)
    memory = keep.sigmoid() * state[1] + take.sigmoid() * new.tanh()
    return show.sigmoid() * memory.tanh(), memory


def _flat(tensors: Tensors) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


def _count(tensors: Tensors) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


def _named(flat: Tensor, like: Tensors) -> Named:
    parts = torch.split(flat, [tensor.numel() for tensor in like.values()])
    return {name: part.reshape(like[name].shape) for name, part in zip(like, parts, strict=True)}


def _signed(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return 2 * torch.rand(shape, generator=generator) - 1
