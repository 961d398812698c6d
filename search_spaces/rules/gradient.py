"""Learning by gradient steps from a learned start: MAML and its nearest kin."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from search_spaces import Categorical, Choice, Integer, Real, Signature, Value
from search_spaces.architectures.interface import Network
from search_spaces.architectures.norms import uniform
from search_spaces.rules.interface import Rule, sub, under
from search_spaces.rules.losses import clean, task_loss
from search_spaces.task import Task, Tensors

FORMULA = (
    "θ ← θ − α ∇θ L(θ; support), as often as there are steps",
    "prediction f(x; θ), from a learned start θ and, where so chosen, learned step sizes α",
)
_SCOPES = ("all", "head", "body")
_RATES = ("fixed", "layer", "layer_step")
_HEADS = ("shared", "rows")


def suits(signature: Signature) -> bool:
    """Any kind of task."""
    return True


def choices(signature: Signature) -> tuple[Choice, ...]:
    """Steps, order, step sizes, what is adapted, and how the head begins (classification)."""
    always: tuple[Choice, ...] = (
        Integer("steps", 1, 10),
        Categorical("order", (1, 2)),
        Categorical("step_size", _RATES),
        Real("rate", 1e-3, 1.0, log=True),
        Categorical("scope", _SCOPES),
    )
    return always if signature.kind == "regression" else (*always, Categorical("head", _HEADS))


def build(choices: Mapping[str, Value], network: Network, signature: Signature) -> Rule:
    r"""Gradient descent on the support loss, from a meta-learned start.

    .. math:: \theta_{k+1} = \theta_k - \alpha_k \nabla L(\theta_k; \text{support})

    MAML: order 2, scope all, a fixed step size. First-order MAML: order 1. ANIL: scope head.
    BOIL: scope body. Learned step sizes per layer, or per layer and step, as in MAML++. A ``shared``
    head begins as the same learned row for every class, so that it serves any number of ways and
    any order of them (Ye & Chao 2022); ``rows`` learns one row a class.

    References:
        Finn, Abbeel, Levine, *MAML*, 2017, https://arxiv.org/abs/1703.03400
        Raghu et al., *ANIL*, 2020, https://arxiv.org/abs/1909.09157
        Oh et al., *BOIL*, 2021, https://arxiv.org/abs/2008.08882
        Antoniou, Edwards, Storkey, *MAML++*, 2019, https://arxiv.org/abs/1810.09502
        Ye, Chao, *How to train your MAML*, 2022, https://arxiv.org/abs/2106.16245
    """
    steps, order, rate = int(choices["steps"]), int(choices["order"]), float(choices["rate"])
    step_size, scope, head = (str(choices.get(name, "rows")) for name in ("step_size", "scope", "head"))
    return Gradient(network, signature, steps, order, step_size, rate, scope, head)


@dataclass(frozen=True)
class Gradient(Rule):
    """See :func:`build`. Running norms use their running statistics, in training too."""

    steps: int
    order: int
    step_size: str
    rate: float
    scope: str
    head: str

    def init(self, generator: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        rows = 1 if self.head == "shared" else self.signature.outputs
        weight = uniform((rows, self.network.size), self.network.size, generator)
        meta = under("network", self.network.init(generator))
        meta |= {"head.weight": weight, "head.bias": torch.zeros(rows)}
        layers = {_layer(name) for name in self._split(meta)[0]}
        shape = (self.steps,) if self.step_size == "layer_step" else ()
        rates = {f"rate.{layer}": torch.full(shape, math.log(self.rate)) for layer in sorted(layers)}
        buffers = under("statistics", self.network.statistics())
        return (meta, buffers | rates) if self.step_size == "fixed" else (meta | rates, buffers)

    def adapt(
        self, meta: Tensors, buffers: Tensors, x: Tensor, y: Tensor, mask: Tensor | None, key: Tensor
    ) -> dict[str, Tensor]:
        x, y = clean(x, mask), clean(y, mask)
        learned = {k: v for k, v in meta.items() if k.startswith(("network.", "head."))}
        fast, slow = self._split(self._open_head(learned, y.shape[-1]))
        known = sub(buffers, "statistics")
        features = self._features(slow, x, mask, known) if self.scope == "head" else None

        def loss(fast: dict[str, Tensor]) -> Tensor:
            params = {**slow, **fast}
            seen = self._features(params, x, mask, known) if features is None else features
            return task_loss(self.signature.kind, _read(params, seen), y, mask)

        rates = self._rates(meta, buffers)
        for step in range(self.steps):
            gradients = torch.func.grad(loss)(fast)
            fast = {k: v - rates[_layer(k)][step] * self._through(gradients[k]) for k, v in fast.items()}
        params = {**slow, **fast}
        if self.network.norm != "support":
            return params
        # queries are normalised by what the adapted network makes of the support set
        used = self.network.apply(sub(params, "network"), x, mask, {})[1]
        return params | under("statistics", used)

    def predict(self, meta: Tensors, buffers: Tensors, adapted: Tensors, x: Tensor) -> Tensor:
        given = sub(adapted, "statistics") or sub(buffers, "statistics")
        return _read(adapted, self._features(adapted, x, None, given))

    def outer_loss(
        self, meta: Tensors, buffers: Tensors, task: Task, key: Tensor, progress: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The default; for running norms, also the statistics of the support set before adapting."""
        loss, _ = super().outer_loss(meta, buffers, task, key, progress)
        if self.network.norm != "running":
            return loss, {}
        mask = task.get("support_mask")
        params = {name: value.detach() for name, value in sub(meta, "network").items()}
        used = self.network.apply(params, clean(task["support_x"], mask), mask, {})[1]
        return loss, under("statistics", used)

    def _features(self, params: Tensors, x: Tensor, mask: Tensor | None, statistics: Tensors) -> Tensor:
        return self.network.apply(sub(params, "network"), x, mask, statistics)[0]

    def _open_head(self, learned: dict[str, Tensor], outputs: int) -> dict[str, Tensor]:
        if self.head == "rows":
            return learned
        weight, bias = learned["head.weight"], learned["head.bias"]
        return learned | {"head.weight": weight.expand(outputs, -1), "head.bias": bias.expand(outputs)}

    def _split(self, params: Tensors) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What the inner loop changes, and what it leaves."""
        starts = {"all": ("network.", "head."), "head": ("head.",), "body": ("network.",)}
        fast = {k: v for k, v in params.items() if k.startswith(starts[self.scope])}
        return fast, {k: v for k, v in params.items() if k not in fast}

    def _rates(self, meta: Tensors, buffers: Tensors) -> dict[str, list[Tensor]]:
        """The step size of each layer at each step, ``()``."""
        logs = sub(buffers if self.step_size == "fixed" else meta, "rate")
        per_step = self.step_size == "layer_step"
        return {k: list(v.exp().unbind()) if per_step else [v.exp()] * self.steps for k, v in logs.items()}

    def _through(self, gradient: Tensor) -> Tensor:
        return gradient.detach() if self.order == 1 else gradient


def _read(params: Tensors, features: Tensor) -> Tensor:
    return features @ params["head.weight"].mT + params["head.bias"]


def _layer(name: str) -> str:
    return name.rpartition(".")[0]
