"""Learning by steps that are composed: what the gradient is, what becomes of it, and what is adapted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from search_spaces import Categorical, Choice, Integer, Real, Signature, Value
from search_spaces.architectures.interface import Network
from search_spaces.rules import directions, metrics, recurrent
from search_spaces.rules.descent import HEADS, ORDERS, SCOPES, Descent
from search_spaces.rules.formulas import formula
from search_spaces.rules.interface import Rule
from search_spaces.rules.outer_losses import LOSSES
from search_spaces.rules.transforms import RATES, Transform, chain, step_size

__all__ = ["FORMULA", "PLACES", "build", "choices", "conflicts", "formula", "suits"]

FORMULA = (
    "g = ∇θ L(θ; support), made a step by one transform after the other: limit, metric, direction, pull",
    "θ ← θ − α ⊙ step, as often as there are steps; prediction f(x; θ)",
)
# what each place of the chain can hold, in the order in which a gradient meets them; a new transform is one
# function and one line here: the space proposes it, and the shared suite runs over it
PLACES: dict[str, dict[str, Callable[[], Transform]]] = {
    "limit": {"norm": directions.clip_norm, "value": directions.clip_value},
    "metric": {"tnet": metrics.tnet, "mtnet": metrics.mtnet, "curvature": metrics.curvature},
    "direction": {
        "momentum": directions.momentum,
        "adam": directions.adam,
        "sign": directions.sign,
        "lstm": recurrent.lstm,
        "meta_lstm": recurrent.meta_lstm,
    },
    "pull": {"start": directions.pull},
}
NONE = {"limit": "none", "metric": "none", "direction": "gradient", "pull": "none"}
_OF_ITS_OWN = "meta_lstm"  # the direction that has step sizes of its own


def suits(signature: Signature) -> bool:
    """Any kind of task."""
    return True


def choices(signature: Signature) -> tuple[Choice, ...]:
    """Steps, the head (classification), the outer loss, what is adapted, and each place of the chain."""
    rate = Real("rate", 1e-3, 1.0, log=True)
    names = (NONE["direction"], *PLACES["direction"])
    scaled: dict[Value, tuple[Choice, ...]] = {
        name: (Categorical("step_size", RATES), rate) for name in names if name != _OF_ITS_OWN
    }
    metric = (Categorical("metric", (NONE["metric"], *PLACES["metric"])),)
    inner: tuple[Choice, ...] = (
        Categorical("order", ORDERS),
        # a code of the task has no layers for a metric
        Categorical("scope", SCOPES, {scope: metric for scope in SCOPES if scope != "context"}),
        Categorical("limit", (NONE["limit"], *PLACES["limit"])),
        Categorical("direction", names, scaled),
        Categorical("pull", (NONE["pull"], *PLACES["pull"])),
    )
    heads = (Categorical("head", HEADS),) if signature.kind == "classification" else ()
    # what is learned through no step is the start alone
    losses: dict[Value, tuple[Choice, ...]] = {
        loss: (rate,) if loss == "distance" else inner for loss in LOSSES
    }
    return (Integer("steps", 1, 10), *heads, Categorical("loss", LOSSES, losses))


def conflicts(signature: Signature) -> tuple[tuple[dict[str, tuple[Value, ...]], str], ...]:
    """Settings that cannot work together, and why."""
    if signature.kind == "regression":
        return ()
    alike = "a shared head that is not adapted gives every class the same score"
    start = "a head of prototypes has no start that loss distance could move"
    return (
        ({"head": ("shared",), "scope": ("body", "context")}, alike),
        ({"head": ("prototype",), "loss": ("distance",)}, start),
    )


def build(choices: Mapping[str, Value], network: Network, signature: Signature) -> Rule:
    r"""Steps on the support loss, each the gradient turned by a chain of transforms.

    .. math:: \theta_{k+1} = \theta_k - \alpha_k \odot
        \mathrm{pull}(\mathrm{direction}(\mathrm{metric}(\mathrm{limit}(\nabla L(\theta_k; \text{support})))))

    MAML, Meta-SGD, CAVIA, T-net and others are points of it: ``recipes.py`` has them, with citations.
    Other settings are described at :class:`Descent` and at each transform.

    References:
        Finn, Abbeel, Levine, *MAML*, 2017, https://arxiv.org/abs/1703.03400
    """
    steps = int(choices["steps"])
    links = {place: PLACES[place][kind]() for place in PLACES if (kind := _kind(choices, place))}
    if "rate" in choices:
        links["rate"] = step_size(str(choices.get("step_size", "fixed")), float(choices["rate"]), steps)
    transform, loss = chain(**links), str(choices["loss"])
    order, scope = str(choices.get("order", "first")), str(choices.get("scope", "all"))
    return Descent(network, signature, transform, steps, order, loss, scope, str(choices.get("head", "rows")))


def _kind(choices: Mapping[str, Any], place: str) -> str:
    """What is in a place; the empty string for nothing."""
    kind = str(choices.get(place, NONE[place]))
    return "" if kind == NONE[place] else kind
