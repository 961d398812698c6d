"""What becomes of a gradient before it is scaled: limits, memories, directions, a pull."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from search_spaces.rules.transforms import Named, Point, State, Transform, learned, zeros
from search_spaces.task import Tensors

_LENGTH = 1e-12  # of a squared gradient: keeps the slope of a root finite where a gradient is zero
_EPSILON = 1e-3  # of Adam's root: what is far smaller than this is not blown up to a full step


def momentum(keep: float = 0.9) -> Transform:
    r"""Adds up gradients, older ones less: ``m ← μ m + g``, μ learned from ``keep`` on.

    References:
        Polyak, *Some methods of speeding up the convergence of iteration methods*, 1964.
    """

    def update(own: Tensors, state: State, gradients: Tensors, point: Point) -> tuple[Named, State]:
        mean = own["logit"].sigmoid()
        moved = {name: mean * state[name] + g for name, g in gradients.items()}
        return moved, moved

    return Transform(update, learned(logit=_logit(keep)), zeros)


def adam(first: float = 0.9, second: float = 0.99) -> Transform:
    r"""Divides the mean gradient by the root of the mean squared one, with both memories learned.

    .. math:: \hat m / \sqrt{\hat v + \epsilon^2}

    References:
        Kingma, Ba, *Adam*, 2015, https://arxiv.org/abs/1412.6980. Differs: ε = 0.001 under the root,
        whose slope is then finite where a gradient is zero.
    """

    def start(own: Tensors, params: Tensors, key: Tensor | None) -> State:
        return zeros(own, params, key), zeros(own, params, key)

    def update(own: Tensors, state: State, gradients: Tensors, point: Point) -> tuple[Named, State]:
        b1, b2, done = own["first"].sigmoid(), own["second"].sigmoid(), point.step + 1
        means, squares = state
        means = {name: b1 * means[name] + (1 - b1) * g for name, g in gradients.items()}
        squares = {name: b2 * squares[name] + (1 - b2) * g**2 for name, g in gradients.items()}
        scale = {name: (v / (1 - b2**done) + _EPSILON**2).sqrt() for name, v in squares.items()}
        return {n: m / (1 - b1**done) / scale[n] for n, m in means.items()}, (means, squares)

    return Transform(update, learned(first=_logit(first), second=_logit(second)), start)


def sign() -> Transform:
    """Only the direction of each entry counts.

    References:
        Bernstein et al., *signSGD*, 2018, https://arxiv.org/abs/1802.04434
    """

    def update(own: Tensors, state: State, gradients: Tensors, point: Point) -> tuple[Named, State]:
        return {name: torch.sign(g) for name, g in gradients.items()}, state

    return Transform(update)


def clip_norm(bound: float = 10.0) -> Transform:
    """Shortens a gradient, all tensors together, that is longer than a bound, which is learned."""

    def update(own: Tensors, state: State, gradients: Tensors, point: Point) -> tuple[Named, State]:
        squared = torch.stack([(g**2).sum() for g in gradients.values()]).sum()
        factor = (own["log"].exp() / (squared + _LENGTH).sqrt()).clamp(max=1.0)
        return {name: factor * g for name, g in gradients.items()}, state

    return Transform(update, learned(log=math.log(bound)))


def clip_value(bound: float = 10.0) -> Transform:
    """Cuts each entry of a gradient at a bound to either side, which is learned."""

    def update(own: Tensors, state: State, gradients: Tensors, point: Point) -> tuple[Named, State]:
        most = own["log"].exp()
        return {name: g.minimum(most).maximum(-most) for name, g in gradients.items()}, state

    return Transform(update, learned(log=math.log(bound)))


def pull(strength: float = 0.01) -> Transform:
    r"""Decays toward the initial point, with a learned strength: adds ``λ (θ − θ₀)``.

    References:
        Rajeswaran et al., *iMAML*, 2019, https://arxiv.org/abs/1909.04630, whose proximal term it is.
        Differs: a step of it, where iMAML solves for its minimum.
    """

    def start(own: Tensors, params: Tensors, key: Tensor | None) -> State:
        return dict(params)

    def update(own: Tensors, state: State, gradients: Tensors, point: Point) -> tuple[Named, State]:
        how = own["log"].exp()
        return {n: g + how * (point.params[n] - state[n]) for n, g in gradients.items()}, state

    return Transform(update, learned(log=math.log(strength)), start)


def _logit(part: float) -> float:
    """Whose sigmoid is ``part``."""
    return math.log(part / (1 - part))
