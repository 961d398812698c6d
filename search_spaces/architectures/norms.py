"""Normalisation as pure functions: what the statistics are taken over is the caller's choice.

``running``: training normalises with the batch and keeps running means, scoring uses those.
``support``: statistics of the support set, for support and query alike: never transductive.
``group``, ``layer``: within one example. ``none``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from search_spaces.task import Tensors

NORMS = ("running", "support", "group", "layer", "none")
_EPSILON = 1e-5
_GROUPS = 8
# channels of a group, at least: one normalised by itself is always 0, of two only the order is left
_MEMBERS = 4


def init(norm: str, name: str, channels: int, fan_in: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Scale 1 and a small random shift of one layer's norm; a shift alone where there is no norm.

    The shifts differ, else all units of a layer on few inputs would bend at the same place.
    """
    shift = {f"{name}.bias": uniform((channels,), fan_in, generator)}
    return shift if norm == "none" else shift | {f"{name}.scale": torch.ones(channels)}


def uniform(shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> Tensor:
    """U(-1/√fan_in, 1/√fan_in), as torch starts its own layers: gradient steps of 0.01 stay stable."""
    drawn = torch.rand(shape, generator=generator)
    # of shapes alone nothing is to be computed: torch would load its compiler for that
    return drawn if drawn.is_meta else (2 * drawn - 1) / math.sqrt(fan_in)


def statistics(norm: str, name: str, channels: int) -> dict[str, Tensor]:
    """Running mean 0 and variance 1 of one layer, if its norm keeps them."""
    if norm != "running":
        return {}
    return {f"{name}.mean": torch.zeros(channels), f"{name}.var": torch.ones(channels)}


def normalise(
    norm: str,
    params: Tensors,
    name: str,
    x: Tensor,
    mask: Tensor | None,
    given: Tensors,
    epsilon: float = _EPSILON,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Normalises, scales and shifts one layer.

    Args:
        norm: One of ``NORMS``.
        params: Hold ``name.scale`` and ``name.bias``, ``(C,)``.
        name: Of the layer.
        x: ``(N, C)`` or ``(N, C, H, W)``.
        mask: ``(N,)``, rows that count; None: all.
        given: Statistics to use; if empty, those of ``x``.
        epsilon: Added to variances, of all norms but ``group`` and ``layer``.

    Returns:
        The same shape as ``x``, and the statistics used, ``name.mean`` and ``name.var``, ``(C,)``;
        those that running means are made of carry no gradient.
    """
    bias = params[f"{name}.bias"]
    if norm == "none":
        return x + _columns(bias.to(x.dtype), x), {}
    scale = params[f"{name}.scale"]
    if norm in ("group", "layer"):
        return _grouped(x, 1 if norm == "layer" else _groups(x.shape[1]), scale, bias), {}
    if norm == "running" and not given and mask is None and x.ndim > 2:
        return _fused(params, name, x, epsilon)
    if given:
        mean, var = given[f"{name}.mean"], given[f"{name}.var"]
    else:
        mean, var = _moments(x.to(scale.dtype), mask)
    factor = scale * torch.rsqrt(var + epsilon)
    # one multiplication and one addition over the large tensor, in full precision: large parts cancel
    out = x * _columns(factor, x) + _columns(bias - mean * factor, x)
    return out.to(x.dtype), {f"{name}.mean": mean, f"{name}.var": var}


def _fused(params: Tensors, name: str, x: Tensor, epsilon: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Batch normalisation in torch's own kernel: a quarter faster over a Conv-4's training step."""
    scale, bias = params[f"{name}.scale"], params[f"{name}.bias"]
    # the kernel's own statistics: taking them again would cost as much as half a convolution
    out, mean, inverse = torch.native_batch_norm(x, scale, bias, None, None, True, 0.0, epsilon)
    var = inverse.detach() ** -2 - epsilon
    return out, {f"{name}.mean": mean.detach(), f"{name}.var": var}


def _grouped(x: Tensor, groups: int, scale: Tensor, bias: Tensor) -> Tensor:
    # not functional.group_norm, which asks for a memory layout that vmap does not know
    rows, channels = x.shape[:2]
    places = math.prod(x.shape[2:])
    # torch's kernel for several groups takes five times as long in half precision as in full
    full = x.to(scale.dtype) if groups > 1 else x
    out: Tensor = torch.native_group_norm(full, scale, bias, rows, channels, places, groups, _EPSILON)[0]
    return out.to(x.dtype)


def _moments(x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    axes = [0, *range(2, x.ndim)]
    if mask is None:
        var, mean = torch.var_mean(x, axes, correction=0)
        return mean, var
    weight = mask.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
    count = weight.sum().clamp(min=1.0) * (x[0, 0].numel())
    # where, not a product: what stands behind the mask may be NaN
    kept = torch.where(weight > 0, x, 0.0)
    mean = kept.sum(axes) / count
    var = (torch.where(weight > 0, x - _columns(mean, x), 0.0) ** 2).sum(axes) / count
    return mean, var


def _groups(channels: int) -> int:
    most = max(1, min(_GROUPS, channels // _MEMBERS))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)


def _columns(values: Tensor, x: Tensor) -> Tensor:
    return values.reshape(1, -1, *[1] * (x.ndim - 2))
