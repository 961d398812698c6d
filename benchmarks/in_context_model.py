"""A transformer that reads the results of a search and predicts others, without being fitted to them.

It is a prior-fitted network (Müller et al., *Transformers Can Do Bayesian Inference*, 2022,
https://arxiv.org/abs/2112.10510; *PFNs4BO*, 2023, https://arxiv.org/abs/2305.17535): one token a candidate,
queries look at results alone. ``in_context_teaching.py`` teaches it.

Differs: a normal distribution in place of bins; and what each head looks at decays with the distance of two
candidates, at a rate that is learned, so that it begins as a kernel smoother does and not from nothing.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from controllers.learned.features import Features
from search_spaces import Categorical, Choice
from search_spaces.errors import DataError, SpaceError

CHOICES, VALUES = 32, 10  # at most, and values of each
FEWEST, MOST = 6, 128  # results that it is taught to read
WIDTH = 2 * CHOICES * VALUES  # of a token: columns of choices without an order, and of those with one
TAUGHT = "minutes", "steps", "searches", "loss"  # what is told of its teaching
_LEAST = 1e-3  # variance


@dataclass
class View:
    """Choices and values in an order that means nothing, and is drawn: what is read is the same in any.

    Args:
        features: Of at most 32 choices; of at most ten values, those that have no order.
        rng: That draws the order.

    Raises:
        SpaceError: If there are more.
    """

    features: Features
    rng: np.random.Generator
    _columns: np.ndarray = field(init=False)
    _factors: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        widths, choices = self.features.widths.tolist(), self.features.choices
        wide = any(w > VALUES and not _is_ordered(c) for w, c in zip(widths, choices, strict=True))
        if len(choices) > CHOICES or wide:
            raise SpaceError(f"an in-context model reads at most {CHOICES} choices of {VALUES} values")
        slots, values = self.rng.permutation(CHOICES), self.rng.permutation(VALUES)
        columns, factors = [np.zeros(0, dtype=int)], [np.zeros(0)]
        for slot, width, choice in zip(slots, widths, choices, strict=False):
            ordered = _is_ordered(choice)
            up = not ordered or self.rng.random() < 0.5
            # one order of values for all choices: those that have the same ones stay alike
            places = np.arange(width) * VALUES // width if ordered else values[:width]
            together = np.bincount(places)[places]  # so that switches that share a column count as much
            columns.append(VALUES * (slot + CHOICES * ordered) + (places if up else VALUES - 1 - places))
            factors.append((1.0 if up else -1.0) / np.sqrt(together))
        self._columns, self._factors = np.concatenate(columns), np.concatenate(factors)

    def of(self, x: np.ndarray) -> np.ndarray:
        """``(N, WIDTH)`` of features ``(N, F)``; distances stay what they are, but of numbers about so."""
        found = np.zeros((WIDTH, len(x)), dtype=np.float32)
        turned = self.features.centred(x) * self._factors
        np.add.at(found, self._columns, turned.T.astype(np.float32))
        return found.T


def _is_ordered(choice: Choice) -> bool:
    return not isinstance(choice, Categorical) or choice.ordered


class InContext(nn.Module):
    """See the module.

    Args:
        width: Of a token inside.
        layers: Of the transformer.
        heads: Of each layer.
    """

    def __init__(self, width: int = 64, layers: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.candidate, self.result = nn.Linear(WIDTH, width), nn.Linear(1, width)
        self.unknown = nn.Parameter(torch.zeros(width))
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, 0.0, F.silu, batch_first=True, norm_first=True
        )
        # it holds the weights; its own products would be of all pairs, and queries look at results alone
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2))
        self.near = nn.Parameter(torch.linspace(-1.0, 2.0, heads))  # logarithms of rates of decay

    def forward(self, known: Tensor, results: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        """Means and variances ``(B, Q)``; of ``(B, N, WIDTH)``, ``(B, N)`` and ``(B, Q, WIDTH)``."""
        told, query = (math.sqrt(WIDTH) * self.candidate(one) for one in (known, asked))
        told, query = told + self.result(results[..., None]), query + self.unknown
        rates = -self.near.exp()[:, None, None]
        among, between = (rates * torch.cdist(one, known).square()[:, None] for one in (known, asked))
        for layer in self.layers.layers:
            told, query = _after(layer, told, query, among, between)
        mean, log = self.out(query).unbind(-1)
        return mean, F.softplus(log) + _LEAST


def _after(layer: Any, told: Tensor, query: Tensor, among: Tensor, between: Tensor) -> tuple[Tensor, Tensor]:
    """Results ``(B, N, C)`` and queries ``(B, Q, C)`` after a layer.

    Args:
        layer: That holds the weights.
        told: Results.
        query: Queries.
        among: ``(B, H, N, N)``: what is added to how much results look at each other.
        between: ``(B, H, Q, N)``: the same of queries.
    """
    attention, heads = layer.self_attn, among.shape[1]
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    q, k, v = _parts(F.linear(layer.norm1(told), weight, bias), heads)
    its_q, its_k, its_v = _parts(F.linear(layer.norm1(query), weight, bias), heads)
    seen = torch.softmax(q @ k.mT + among, -1) @ v
    # a query sees itself, at no distance, beside the results
    own = (its_q * its_k).sum(-1, keepdim=True)
    at = torch.softmax(torch.cat([its_q @ k.mT + between, own], -1), -1)
    its_seen = at[..., :-1] @ v + at[..., -1:] * its_v
    pairs = ((told, seen), (query, its_seen))
    told, query = (old + attention.out_proj(new.transpose(1, 2).flatten(2)) for old, new in pairs)
    told, query = (one + layer.linear2(F.silu(layer.linear1(layer.norm2(one)))) for one in (told, query))
    return told, query


def _parts(projected: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values ``(B, H, L, D)`` of ``(B, L, 3 * H * D)``; queries are scaled."""
    q, k, v = projected.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    return q / math.sqrt(q.shape[-1]), k, v


def load(path: Path) -> tuple[InContext, dict[str, float]]:
    """A model, and what it took to teach it.

    Raises:
        DataError: If it is no file of one.
    """
    model = InContext()
    try:
        with safe_open(path, "pt") as file:
            told = json.loads(file.metadata()["taught"])
            taught = {name: float(told[name]) for name in TAUGHT}
            model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        first = str(error).partition("\n")[0]
        raise DataError(f"{path} is no model that in_context.py saved: {first}") from None
    return model, taught
