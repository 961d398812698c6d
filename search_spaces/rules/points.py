"""Recipes in the words of a space, and the candidates that a search begins with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from search_spaces.candidate import Candidate, Value
from search_spaces.choices import Categorical, Choice
from search_spaces.errors import SpaceError, UnknownNameError
from search_spaces.rules.recipes import RECIPES, USUAL, recipe
from search_spaces.rules.steps import STEPS
from search_spaces.signature import Signature
from search_spaces.space import Space

WIDE = "gradient-methods"  # the space that has all recipes of gradient rules
WRITTEN = "symbolic"  # the space that has the steps, which are formulas

_NARROW = ("steps", "step_size", "rate", "scope", "head")  # choices that the rule ``gradient`` has as well
_ORDERS = {"first": 1, "second": 2}
# the networks of MAML's sinusoid and MiniImagenet, where a space has them
_NETWORKS: dict[str, dict[str, Value]] = {
    "conv": {
        "depth": 4,
        "width": 32,
        "kernel": 3,
        "activation": "relu",
        "norm": "support",
        "downsample": "pool",
        "residual": False,
    },
    "mlp": {"depth": 2, "width_1": 40, "width_2": 40, "activation": "relu", "norm": "none"},
}


def candidate(name: str, space: Space, signature: Signature, rng: np.random.Generator) -> Candidate:
    """A candidate that learns by that method, on its paper's network where the space has it.

    Args:
        name: Of a recipe, or of a known step.
        space: That it is a point of.
        signature: Of the tasks.
        rng: Draws what the recipe leaves open.

    Raises:
        UnknownNameError: If there is no such recipe.
        SpaceError: If the space does not have it; names one that does.
    """
    wanted = _surroundings(space, signature) | point(name, space, signature)

    def decide(choice: Choice) -> Value:
        value = wanted.get(choice.name)
        return value if value is not None and _has(space, choice.name, value) else choice.draw(rng)

    return space.legal(lambda: space.walk(decide))


def point(name: str, space: Space, signature: Signature) -> dict[str, Value]:
    """The choices by which a space says that method, by dotted name.

    Where the space has the rule ``chain``, in its words; else in those of ``gradient``, if they suffice.
    Known steps are points of the rule ``symbolic``.

    Raises:
        UnknownNameError: If there is no such recipe.
        SpaceError: If the space does not have it; names one that does.
    """
    rules = space.flat["rule"]
    known = rules.values if isinstance(rules, Categorical) else ()
    for rule, settings in _settings(name, signature).items():
        if rule in known and settings is not None:
            named = {"rule": rule, **{f"rule.{rule}.{key}": value for key, value in settings.items()}}
            if all(_has(space, key, value) for key, value in named.items()):
                return named
    where = WRITTEN if name in STEPS else WIDE
    raise SpaceError(
        f"recipe {name} is no point of space {space.name}: take --space {where}, or leave it out"
    )


def _settings(name: str, signature: Signature) -> dict[str, dict[str, Value] | None]:
    """By rule, the choices that say the method; None if the rule's cannot."""
    if name in STEPS:
        return {"symbolic": STEPS[name].choices}
    if name not in RECIPES:
        raise UnknownNameError(f"no recipe called {name!r} (known: {', '.join((*RECIPES, *STEPS))})")
    wanted = recipe(name).choices(signature)
    return {"chain": wanted, "gradient": narrowed(wanted)}


def _surroundings(space: Space, signature: Signature) -> dict[str, Value]:
    """The network, and training tasks of as many classes as will be scored."""
    kind = next(name for name in _NETWORKS if _has(space, "architecture", name) or name == "mlp")
    network = {f"architecture.{kind}.{key}": value for key, value in _NETWORKS[kind].items()}
    return {"architecture": kind, **network, "outer.ways": signature.outputs}


def narrowed(wanted: Mapping[str, Value]) -> dict[str, Value] | None:
    """The same in the choices of the rule ``gradient``; None if they cannot say it."""
    others = {key: value for key, value in wanted.items() if key not in (*_NARROW, "order")}
    if any(USUAL[key] != value for key, value in others.items()) or wanted.get("order") not in _ORDERS:
        return None
    return {key: wanted[key] for key in _NARROW if key in wanted} | {"order": _ORDERS[str(wanted["order"])]}


def _has(space: Space, name: str, value: Value) -> bool:
    try:
        space.flat[name].check(value)
    except (KeyError, SpaceError):
        return False
    return True
