"""Learned geometry of the inner loop: metrics, masks and curvature, a matrix or two a layer."""

from __future__ import annotations

import torch
from torch import Tensor

from search_spaces.rules.keys import uniform
from search_spaces.rules.transforms import Named, Point, State, Transform, chain, layer
from search_spaces.task import Tensors

LONGEST = 1024  # of an axis that gets a matrix: one of a large image would not fit
_TEMPERATURE = 1.0


def tnet() -> Transform:
    r"""T-net: behind each layer a learned linear map that the inner loop leaves as it is.

    .. math:: y = T (W x + b), \quad W \leftarrow W - \alpha \nabla_W L

    In terms of the map A = TW that is run, a step follows the learned metric of its outputs:
    ``A ← A − α T Tᵀ ∇_A L``. T begins at the identity; for convolutions it mixes channels. A bias is
    mapped too, unless a norm stands between.

    References:
        Lee, Choi, *Gradient-based meta-learning with learned layerwise metric and subspace*, 2018,
        https://arxiv.org/abs/1801.05558
    """

    def init(params: Tensors, generator: torch.Generator) -> tuple[Named, Named]:
        return {name: torch.eye(len(p)) for name, p in params.items() if _has_matrix(p, 0)}, {}

    def view(own: Tensors, params: Tensors) -> Named:
        seen = dict(params)
        for name, matrix in own.items():
            seen[name] = _turned(matrix, params[name], 0)
            bias = f"{layer(name)}.bias"
            if _is_shift(params, bias):
                seen[bias] = _turned(matrix, params[bias], 0)
        return seen

    return Transform(init=init, view=view)


def mask() -> Transform:
    r"""MT-net's mask: which outputs of a layer the inner loop changes, learned as a probability.

    .. math:: W \leftarrow W - \alpha\, M \odot \nabla_W L, \quad
        M_j = \sigma\!\left(\zeta_j + g_{j1} - g_{j2}\right)

    with ``g`` Gumbel noise, drawn once a task, and one row of M for all parameters of an output.
    Nothing is drawn when a learner adapts: M is σ(ζ) then. ζ begins at 0.

    References:
        Lee, Choi, 2018, https://arxiv.org/abs/1801.05558, with their temperature 1. Differs: the
        authors' own code rounds M in the forward pass.
    """

    def init(params: Tensors, generator: torch.Generator) -> tuple[Named, Named]:
        return {name: torch.zeros(rows) for name, rows in sorted(_outputs(params).items())}, {}

    def start(own: Tensors, params: Tensors, key: Tensor | None) -> State:
        logits = torch.cat(list(own.values()))
        if key is not None:
            drawn = uniform(key, len(logits), logits)
            logits = logits + torch.log(drawn) - torch.log1p(-drawn)  # two Gumbels' difference
        parts = torch.split((logits / _TEMPERATURE).sigmoid(), [len(value) for value in own.values()])
        return dict(zip(own, parts, strict=True))

    def update(own: Tensors, state: State, gradients: Tensors, point: Point) -> tuple[Named, State]:
        return {name: _rows(state[layer(name)], g) * g for name, g in gradients.items()}, state

    return Transform(update, init, start)


def mtnet() -> Transform:
    """MT-net: T-net's maps, and a learned mask on what the inner loop changes.

    References:
        Lee, Choi, 2018, https://arxiv.org/abs/1801.05558
    """
    return chain(warp=tnet(), mask=mask())


def curvature() -> Transform:
    r"""Meta-Curvature: multiplies a gradient by a learned matrix along each of its axes.

    .. math:: \mathrm{MC}(G) = G \times_3 M_f \times_2 M_i \times_1 M_o

    with ``G (out, in, places)`` of a convolution, ``(out, in)`` of a linear layer. Matrices begin at the
    identity. Vectors, and axes longer than 1,024, are left alone.

    References:
        Park, Oliva, *Meta-Curvature*, 2019, https://arxiv.org/abs/1902.03356
    """

    def axes(gradient: Tensor) -> list[int]:
        return [axis for axis in range(min(3, gradient.ndim)) if _has_matrix(_flat(gradient), axis)]

    def init(params: Tensors, generator: torch.Generator) -> tuple[Named, Named]:
        return {
            f"{name}.{axis}": torch.eye(_flat(p).shape[axis])
            for name, p in params.items()
            for axis in axes(p)
        }, {}

    def update(own: Tensors, state: State, gradients: Tensors, point: Point) -> tuple[Named, State]:
        turned = {}
        for name, g in gradients.items():
            found = _flat(g)
            for axis in range(found.ndim - 1, -1, -1):
                if f"{name}.{axis}" in own:
                    found = _turned(own[f"{name}.{axis}"], found, axis)
            turned[name] = found.reshape(g.shape)
        return turned, state

    return Transform(update, init)


def _flat(tensor: Tensor) -> Tensor:
    """``(out, in, places)`` of a convolution's ``(out, in, *k)``; others as they are."""
    return tensor.flatten(2) if tensor.ndim > 2 else tensor


def _has_matrix(tensor: Tensor, axis: int) -> bool:
    return tensor.ndim >= 2 and tensor.shape[axis] <= LONGEST


def _turned(matrix: Tensor, tensor: Tensor, axis: int) -> Tensor:
    """The matrix times the tensor along an axis; one number serves any length of it."""
    if len(matrix) == 1:  # of a head that all classes share
        return matrix[0, 0] * tensor
    moved = tensor.movedim(axis, 0)
    return (matrix @ moved.reshape(len(matrix), -1)).reshape(moved.shape).movedim(0, axis)


def _is_shift(params: Tensors, bias: str) -> bool:
    """Whether that tensor is added to what the layer's one matrix gives, with nothing between."""
    here = [name for name in params if layer(name) == layer(bias)]
    return bias in params and f"{layer(bias)}.scale" not in params and len(here) == 2


def _outputs(params: Tensors) -> dict[str, int]:
    """Outputs of each layer: the longest first axis of its tensors."""
    found: dict[str, int] = {}
    for name, p in params.items():
        found[layer(name)] = max([found.get(layer(name), 1), *p.shape[:1]])
    return found


def _rows(values: Tensor, like: Tensor) -> Tensor:
    """One value an output, shaped to multiply a tensor of that layer."""
    if like.ndim == 0 or len(values) not in (1, len(like)):  # in a layer of a foreign network
        return torch.ones_like(like)
    return values.reshape(-1, *[1] * (like.ndim - 1))
