"""Prototypical networks: a class is the mean of its examples' features."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from search_spaces import Categorical, Choice, Signature, Value
from search_spaces.architectures.interface import Network
from search_spaces.errors import RuleError
from search_spaces.rules.closed_form import ClosedForm
from search_spaces.rules.interface import Rule, under
from search_spaces.rules.losses import clean
from search_spaces.task import Tensors

FORMULA = (
    "cₖ = mean of f(x) over the support of class k",
    "p(y = k | x) ∝ exp(−τ d(f(x), cₖ)),  d the mean squared or cosine distance, τ learned",
)
_DISTANCES = ("euclid", "cosine")
_INITIAL = {"euclid": 64.0, "cosine": 10.0}  # euclid: the squared distance of a 64-dimensional embedding


def suits(signature: Signature) -> bool:
    """Classification only."""
    return signature.kind == "classification"


def choices(signature: Signature) -> tuple[Choice, ...]:
    """The distance."""
    return (Categorical("distance", _DISTANCES),)


def build(choices: Mapping[str, Value], network: Network, signature: Signature) -> Rule:
    r"""Nearest prototype in the features of ``network``.

    .. math:: p(c \mid x) \propto \exp(-\tau\, d(f(x), \mu_c)), \quad \mu_c = \text{mean of } f

    Raises:
        RuleError: If the tasks are not classification.

    References:
        Snell, Swersky, Zemel, *Prototypical Networks*, 2017, https://arxiv.org/abs/1703.05175.
        Differs: the temperature is learned; squared distances are means, not sums, over features.
    """
    if signature.kind != "classification":
        raise RuleError("prototype needs classes; for regression try ridge or gradient")
    return Prototype(network, signature, str(choices["distance"]))


@dataclass(frozen=True)
class Prototype(ClosedForm):
    """See :func:`build`."""

    distance: str

    def init(self, generator: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        meta = under("network", self.network.init(generator))
        temperature = torch.tensor(math.log(_INITIAL[self.distance]))
        return meta | {"temperature.log": temperature}, under("statistics", self.network.statistics())

    def fit(self, meta: Tensors, features: Tensor, y: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        features, y = clean(features, mask), clean(y, mask)
        counts = y.sum(0).clamp(min=1.0)
        return {"prototypes": (y.mT @ features) / counts[:, None]}  # (ways, D)

    def read(self, meta: Tensors, head: Tensors, features: Tensor) -> Tensor:
        temperature = meta["temperature.log"].exp()
        prototypes = head["prototypes"]
        if self.distance == "cosine":
            unit = functional.normalize(features, dim=-1) @ functional.normalize(prototypes, dim=-1).mT
            return temperature * unit
        # |q - p|² less |q|², which is the same for every class
        squared = (prototypes**2).sum(-1) - 2 * features @ prototypes.mT
        return -temperature * squared / features.shape[-1]
