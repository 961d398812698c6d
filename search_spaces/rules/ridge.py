"""A ridge-regression head, fitted in closed form on learned features."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from search_spaces import Choice, Real, Signature, Value
from search_spaces.architectures.interface import Network
from search_spaces.rules.closed_form import ClosedForm
from search_spaces.rules.interface import Rule, under
from search_spaces.rules.losses import clean
from search_spaces.task import Tensors

FORMULA = (
    "Z = D features f(x) of the support and a column of ones, Y its targets",
    "W = (ZᵀZ + λD I)⁻¹ ZᵀY,  prediction [f(x), 1] W,  of classes a [f(x), 1] W + b;  λ, a, b learned",
)
_SCALE = 10.0  # initial scale of the logits; one-hot regression gives values near 0 and 1


def suits(signature: Signature) -> bool:
    """Any kind of task."""
    return True


def choices(signature: Signature) -> tuple[Choice, ...]:
    """Where the learned regulariser starts, per feature."""
    return (Real("strength", 1e-4, 1.0, log=True),)


def build(choices: Mapping[str, Value], network: Network, signature: Signature) -> Rule:
    r"""Linear regression on the features, regularised by a learned strength.

    .. math:: W = X^T (X X^T + \lambda D I)^{-1} Y

    with X the features and a constant column, D their number. For classification Y is one-hot, and
    the predictions become logits by a learned scale and shift.

    References:
        Bertinetto, Henriques, Torr, Vedaldi, *Meta-learning with differentiable closed-form solvers*
        (R2-D2), 2019, https://arxiv.org/abs/1805.08136. Differs: a bias column; λ per feature.
    """
    return Ridge(network, signature, float(choices["strength"]))


@dataclass(frozen=True)
class Ridge(ClosedForm):
    """See :func:`build`."""

    strength: float

    def init(self, generator: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        meta = under("network", self.network.init(generator))
        meta |= {"strength.log": torch.tensor(math.log(self.strength))}
        if self.signature.kind == "classification":
            meta |= {"scale.log": torch.tensor(math.log(_SCALE)), "shift": torch.tensor(0.0)}
        return meta, under("statistics", self.network.statistics())

    def fit(self, meta: Tensors, features: Tensor, y: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        x = _with_constant(features)
        # rows of zeros weigh nothing in either form below
        x, y = clean(x, mask), clean(y, mask)
        strength = meta["strength.log"].exp() * features.shape[-1]
        rows, columns = x.shape
        if rows <= columns:
            eye = torch.eye(rows, dtype=x.dtype, device=x.device)
            return {"head": x.mT @ _solve(x @ x.mT + strength * eye, y)}
        eye = torch.eye(columns, dtype=x.dtype, device=x.device)
        return {"head": _solve(x.mT @ x + strength * eye, x.mT @ y)}  # (D + 1, O)

    def read(self, meta: Tensors, head: Tensors, features: Tensor) -> Tensor:
        prediction = _with_constant(features) @ head["head"]
        if self.signature.kind == "regression":
            return prediction
        return meta["scale.log"].exp() * prediction + meta["shift"]


def _with_constant(features: Tensor) -> Tensor:
    return torch.cat([features, torch.ones_like(features[:, :1])], -1)


def _solve(a: Tensor, b: Tensor) -> Tensor:
    # solve_ex: no check for singular matrices, which would wait for the device; λ > 0 rules them out
    solution: Tensor = torch.linalg.solve_ex(a, b).result
    return solution
