"""A small space of network and learning rule of which every candidate can be trained.

The names and values are those of ``metanas search``; what is not varied is in ``FIXED``. 24 networks x 18
rules are 432 candidates: gradient steps (MAML and its learned step sizes), ridge regression on features, and
the chain with a step size for each parameter (Meta-SGD, with T-net's maps or without, and CAVIA's code).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces import Candidate, Categorical, Choice, Space, Value

_WIDTHS = [Categorical(f"architecture.mlp.width_{i}", (16, 40), ordered=True) for i in (1, 2)]
_METRIC = Categorical("rule.chain.metric", ("none", "tnet"))
_RULES: dict[Value, tuple[Choice, ...]] = {
    "gradient": (
        Categorical("rule.gradient.steps", (1, 5), ordered=True),
        Categorical("rule.gradient.step_size", ("fixed", "layer")),
        Categorical("rule.gradient.rate", (0.01, 0.1), ordered=True),
    ),
    "ridge": (Categorical("rule.ridge.strength", (0.001, 0.01, 0.1, 1.0), ordered=True),),
    "chain": (
        # a code of the task has no layers for a metric
        Categorical("rule.chain.scope", ("all", "context"), {"all": (_METRIC,)}),
        Categorical("rule.chain.rate", (0.05, 0.5), ordered=True),
    ),
}
SPACE = Space(
    "joint",
    (
        Categorical(
            "architecture.mlp.depth", (1, 2), {1: tuple(_WIDTHS[:1]), 2: tuple(_WIDTHS)}, ordered=True
        ),
        Categorical("architecture.mlp.activation", ("relu", "tanh")),
        Categorical("architecture.mlp.norm", ("none", "layer")),
        Categorical("rule", tuple(_RULES), _RULES),
    ),
)
# by rule, what its candidates have besides; "": all candidates
FIXED: dict[Value, dict[str, Value]] = {
    "": {
        "architecture": "mlp",
        "outer.learning_rate": 3e-3,
        "outer.schedule": "cosine",
        "outer.weight_decay": 1e-5,
        "outer.shots": "same",
        "outer.augmentation": "none",
        "outer.tasks": 16,
        "outer.queries": 10,
    },
    "gradient": {"rule.gradient.order": 2, "rule.gradient.scope": "all"},
    "ridge": {},
    "chain": {
        "rule.chain.steps": 1,
        "rule.chain.loss": "last",
        "rule.chain.order": "second",
        "rule.chain.limit": "none",
        "rule.chain.direction": "gradient",
        "rule.chain.step_size": "parameter",
        "rule.chain.pull": "none",
    },
}
# MAML as the baselines of a search have it, and its network: Finn et al. 2017, https://arxiv.org/abs/1703.03400
MAML: dict[str, Value] = {
    "rule": "gradient",
    "rule.gradient.steps": 5,
    "rule.gradient.step_size": "fixed",
    "rule.gradient.rate": 0.01,
}
NETWORK: dict[str, Value] = {
    "architecture.mlp.depth": 2,
    "architecture.mlp.width_1": 40,
    "architecture.mlp.width_2": 40,
    "architecture.mlp.activation": "relu",
    "architecture.mlp.norm": "none",
}


def points(choices: Sequence[Choice] = SPACE.choices) -> list[Candidate]:
    """Every candidate of the space, in the order of its values, without what is fixed."""
    return [Candidate(values) for values in _walks(choices)]


def whole(point: Candidate) -> Candidate:
    """The candidate that is trained: with what is fixed."""
    return Candidate({**point, **FIXED[""], **FIXED[point["rule"]]})


def dimensions() -> list[dict[str, Any]]:
    """The choices as a table has them, see ``recorded.py``."""
    return [{"name": name, "choices": list(_values(choice))} for name, choice in SPACE.flat.items()]


def config(point: Mapping[str, Value]) -> list[int]:
    """``(D,)``: the index of each choice's value, -1 where it is inactive."""
    return [
        _values(choice).index(point[name]) if name in point else -1 for name, choice in SPACE.flat.items()
    ]


def _walks(choices: Sequence[Choice]) -> list[dict[str, Value]]:
    found: list[dict[str, Value]] = [{}]
    for choice in choices:
        below = {value: _walks(_opened(choice, value)) for value in _values(choice)}
        ways = [{choice.name: value, **walk} for value, walks in below.items() for walk in walks]
        found = [{**one, **way} for one in found for way in ways]
    return found


def _values(choice: Choice) -> tuple[Value, ...]:
    assert isinstance(choice, Categorical)  # a grid has no ranges
    return choice.values


def _opened(choice: Choice, value: Value) -> Sequence[Choice]:
    return choice.branches.get(value, ()) if isinstance(choice, Categorical) else ()
