"""Learning by gradient steps from a learned start: MAML and its nearest kin."""

from __future__ import annotations

from collections.abc import Mapping

from search_spaces import Categorical, Choice, Integer, Real, Signature, Value
from search_spaces.architectures.interface import Network
from search_spaces.rules.descent import Descent
from search_spaces.rules.interface import Rule
from search_spaces.rules.transforms import chain, step_size

FORMULA = (
    "θ ← θ − α ∇θ L(θ; support), as often as there are steps",
    "prediction f(x; θ), from a learned start θ and, where so chosen, learned step sizes α",
)
_ORDERS = {1: "first", 2: "second"}


def suits(signature: Signature) -> bool:
    """Any kind of task."""
    return True


def choices(signature: Signature) -> tuple[Choice, ...]:
    """Steps, order, step sizes, what is adapted, and how the head begins (classification).

    These stay as they are, and in this order, so that a search with a seed repeats: what gradient
    rules can be besides is in ``chain``.
    """
    always: tuple[Choice, ...] = (
        Integer("steps", 1, 10),
        Categorical("order", tuple(_ORDERS)),
        Categorical("step_size", ("fixed", "layer", "layer_step")),
        Real("rate", 1e-3, 1.0, log=True),
        Categorical("scope", ("all", "head", "body")),
    )
    heads = Categorical("head", ("shared", "rows"))
    return always if signature.kind == "regression" else (*always, heads)


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
    steps, order = int(choices["steps"]), _ORDERS[int(choices["order"])]
    transform = chain(rate=step_size(str(choices["step_size"]), float(choices["rate"]), steps))
    scope, head = str(choices["scope"]), str(choices.get("head", "rows"))
    return Descent(network, signature, transform, steps, order, "last", scope, head)
