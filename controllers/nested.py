"""A space as NNI's tuners have it: ``{"_type": "choice", "_value": [{"_name": …, …}, …]}``.

They document spaces that nest at any depth; NNI 3.0 raises a KeyError on what lies two choices deep. So the
branches of a root are nested, and what lies deeper is asked in any case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from search_spaces import Candidate, Categorical, Choice, Integer, Space, Value


def search_space(space: Space) -> dict[str, Any]:
    """NNI's description of a space."""
    return {choice.name: _described(choice) for choice in space.choices}


def parameters_of(space: Space, candidate: Candidate, rng: np.random.Generator) -> dict[str, Any]:
    """A candidate as NNI nests it; what is asked of inactive choices is drawn."""

    def value(choice: Choice) -> Value:
        return candidate[choice.name] if choice.name in candidate else choice.draw(rng)

    found: dict[str, Any] = {}
    for choice in space.choices:
        here = found[choice.name] = value(choice)
        if _opens(choice):
            inside = {inner.name: value(inner) for inner in _below(choice, here)}
            found[choice.name] = {"_name": here, **inside}
    return found


def candidate_of(space: Space, parameters: Mapping[str, Any]) -> Candidate:
    """The candidate that NNI's parameters stand for; may be forbidden."""
    found: dict[str, Any] = {}
    for name, value in parameters.items():
        found |= {**value, name: value["_name"]} if isinstance(value, dict) else {name: value}
    return space.walk(lambda choice: _ours(choice, found[choice.name]))


def _described(choice: Choice) -> dict[str, Any]:
    if not _opens(choice):
        return _flat(choice)
    values = choice.values if isinstance(choice, Categorical) else ()
    options = [{"_name": v, **{inner.name: _flat(inner) for inner in _below(choice, v)}} for v in values]
    return {"_type": "choice", "_value": options}


def _flat(choice: Choice) -> dict[str, Any]:
    if isinstance(choice, Categorical):
        return {"_type": "choice", "_value": list(choice.values)}
    if choice.low == choice.high:  # of which NNI makes a distribution without a width
        return {"_type": "choice", "_value": [choice.low]}
    whole = isinstance(choice, Integer)
    kind = f"{'q' if whole else ''}{'log' if choice.log else ''}uniform"
    return {"_type": kind, "_value": [choice.low, choice.high, *([1] if whole else [])]}


def _opens(choice: Choice) -> bool:
    return isinstance(choice, Categorical) and any(choice.branches.values())


def _below(choice: Choice, value: Value) -> list[Choice]:
    """Every choice that a value may open, at any depth, each once."""
    opened = choice.branches.get(value, ()) if isinstance(choice, Categorical) else ()
    return list({inner.name: inner for inner in _all(opened)}.values())


def _all(choices: Sequence[Choice]) -> Iterator[Choice]:
    for choice in choices:
        yield choice
        for below in choice.branches.values() if isinstance(choice, Categorical) else ():
            yield from _all(below)


def _ours(choice: Choice, value: Any) -> Value:
    """A value of NNI's, inside the choice: what it computes may lie a rounding beyond an end."""
    if isinstance(choice, Categorical):
        known: Value = value
        return known
    inside = min(max(float(value), choice.low), choice.high)
    return round(inside) if isinstance(choice, Integer) else inside
