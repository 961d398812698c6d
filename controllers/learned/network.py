r"""The network of a policy: probabilities of one choice after the other, as pure functions of its weights.

.. math::
    p(x) = \prod_j p(x_j \mid x_{<j}, c), \quad
    p(\cdot \mid x_{<j}, c) = (1 - \epsilon)\, \mathrm{softmax}(O_j h_j + o_j + s_j l\, y_j) + \epsilon / K_j,
    \quad h_j = u + \tanh(W u + b), \quad u = \tanh(F f + l\, n + a_j + \sum_{i<j} E_{i, x_i})

over the active choices of a candidate, in an order in which what opens a choice stands before it. c is f,
what is known of the family of tasks, l, the logarithm of the number of results so far, and y, the mean of the
best of these. A candidate is ``(J, K)`` ones and zeros, all zeros where a choice is inactive: it says nothing
there.

References:
    Larochelle, Murray, *The neural autoregressive distribution estimator*, 2011,
    https://proceedings.mlr.press/v15/larochelle11a.html. Differs: categories instead of bits, a second
    layer, and a condition.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

UNIFORM = 0.1  # ε: nothing is ever ruled out
_TEN = math.log(11)  # so that ten results are 1


@dataclass(frozen=True)
class Weights:
    """The arrays of :func:`controllers.learned.policy.shapes`, and ``exists`` ``(J, K)``: real categories."""

    value: Tensor
    family: Tensor
    found: Tensor
    again: Tensor
    choice: Tensor
    hidden: Tensor
    bias: Tensor
    out: Tensor
    out_bias: Tensor
    exists: Tensor

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], exists: np.ndarray, dtype: torch.dtype) -> Weights:
        """From NumPy."""
        tensors = {name: torch.as_tensor(array, dtype=dtype) for name, array in arrays.items()}
        return cls(**tensors, exists=torch.as_tensor(exists))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """To NumPy, without ``exists``."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: tensor.detach().numpy() for name, tensor in named if name != "exists"}


class Context(NamedTuple):
    """What a search knows: what it adds to the units ``(*n, H)``, and to the logits ``(*n, J, K)``."""

    units: Tensor
    logits: Tensor


def context(weights: Weights, family: Tensor, best: Tensor, found: Tensor) -> Context:
    """What a search knows, of plain values.

    Args:
        weights: Of the network.
        family: ``(*n, F)``, as :meth:`controllers.learned.policy.Policy.family` gives it.
        best: ``(*n, J, K)``: mean of the best candidates so far; zeros before there are any.
        found: ``(*n,)``: how many results there are.
    """
    results = (torch.log1p(found) / _TEN)[..., None]
    units = family @ weights.family + results * weights.found
    return Context(units, results[..., None] * weights.again[:, None] * best)


def before(weights: Weights, candidates: Tensor) -> Tensor:
    """``(*n, J, H)``: by choice of candidates ``(*n, J, K)``, what the values of those before it add."""
    own = torch.einsum("...jk,jkh->...jh", candidates, weights.value)
    return own.cumsum(-2) - own


def probabilities(weights: Weights, before: Tensor, known: Context) -> Tensor:
    """``(*n, J, K)``: of each category, given the values before it; ``before`` is of :func:`before`."""
    h = _units(weights, before + known.units[..., None, :] + weights.choice)
    logits = torch.einsum("...jh,jkh->...jk", h, weights.out) + weights.out_bias
    return _mixed(logits + known.logits, weights.exists)


def of_one(weights: Weights, choice: int, before: Tensor, known: Context) -> Tensor:
    """``(N, K)``: the same of a single choice; ``before`` is ``(N, H)``, the context that of one search."""
    h = _units(weights, before + known.units + weights.choice[choice])
    logits = h @ weights.out[choice].T + weights.out_bias[choice]
    return _mixed(logits + known.logits[choice], weights.exists[choice])


def log_probabilities(probabilities: Tensor, candidates: Tensor) -> Tensor:
    """``(*n,)``: of candidates ``(*n, J, K)``, by the probabilities of their values."""
    inactive = 1 - candidates.sum(-1)
    return ((probabilities * candidates).sum(-1) + inactive).log().sum(-1)


def _units(weights: Weights, inputs: Tensor) -> Tensor:
    u = torch.tanh(inputs)
    return u + torch.tanh(u @ weights.hidden + weights.bias)


def _mixed(logits: Tensor, exists: Tensor) -> Tensor:
    drawn = torch.softmax(logits.masked_fill(~exists, -math.inf), -1)
    uniform = exists / exists.sum(-1, keepdim=True, dtype=drawn.dtype)
    return (1 - UNIFORM) * drawn + UNIFORM * uniform
