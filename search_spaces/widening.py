"""What a choice can be beyond what its space names: of numbers others, as many layers as are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from search_spaces.candidate import Value
from search_spaces.choices import Categorical, Choice, Integer, Real
from search_spaces.errors import SpaceError
from search_spaces.toml_file import as_toml

RANGE = {"low", "high", "log"}
"""What a file says of a range."""

_THEIRS = "architecture.nni:"  # how choices of a model space begin: what else it could be, only it knows
_MOST = 10_000  # of what is counted, as steps and widths are: a file of others must not cost hours
_MOST_COUNTED = 50  # layers, each of which has choices of its own


def values_of(choice: Categorical, given: Any) -> tuple[Value, ...]:
    """The values that are asked for, in their order.

    Raises:
        SpaceError: If one cannot be, none is given, or one twice.
    """
    values = given if isinstance(given, list) else [given]
    for value in values:
        _check(choice, value)
    if not values or len(set(values)) < len(values):
        raise SpaceError(f"{choice.name} should have at least one value, none of them twice")
    return tuple(sorted(values) if choice.ordered else values)


def _check(choice: Categorical, value: Any) -> None:
    kinds = {type(known) for known in choice.values}
    # of what has an order others may be built; first and second order are all that there is
    numbers = choice.ordered and kinds <= {int, float} and not choice.name.startswith(_THEIRS)
    known = type(value) in kinds and value in choice.values
    if known or (numbers and type(value) in kinds and 0 < value <= _MOST):
        return
    allowed = ", ".join(as_toml(known) for known in choice.values)
    most = f" up to {_MOST:,}" if type(value) in kinds and numbers and value > _MOST else ""
    others = f", or other numbers{most}" if numbers else ""
    foreign = choice.name == "architecture" and str(value).startswith("nni:")
    trust = f"; if you trust it, add --architecture {value}" if foreign else ""
    raise SpaceError(f"{choice.name} cannot be {as_toml(value)} (allowed: {allowed}{others}){trust}")


def opened(choice: Categorical, value: Value) -> tuple[Choice, ...]:
    """What a value opens; a new number goes on counting: six layers have six widths.

    Raises:
        SpaceError: If there is nothing to count on, or too much.
    """
    if value in choice.values or not choice.branches:
        return choice.branches.get(value, ())
    most = max(choice.branches.values(), key=len)
    stem, _, last = most[-1].name.rpartition("_")
    # of what opens more, as an instruction does its operands, there are no others
    plain = not isinstance(most[-1], Categorical) or not most[-1].branches
    lengths = all(len(opens) == known for known, opens in choice.branches.items())
    counted = plain and last == str(len(most)) and lengths
    if not counted or type(value) is not int or value > _MOST_COUNTED:
        known = ", ".join(as_toml(known) for known in choice.values)
        others = f", or others up to {_MOST_COUNTED}" if counted else ""
        raise SpaceError(f"{choice.name} cannot be {as_toml(value)} (allowed: {known}{others})")
    more = (replace(most[-1], name=f"{stem}_{i}") for i in range(len(most) + 1, value + 1))
    return (*most, *more)[:value]


def ranged(choice: Integer | Real, given: Any) -> Integer | Real:
    """The range that is asked for: one number, or its ends.

    Raises:
        SpaceError: If it is none.
    """
    ends = given if isinstance(given, dict) else _fixed(given)
    word = "whole numbers" if isinstance(choice, Integer) else "numbers"
    right = (int,) if isinstance(choice, Integer) else (int, float)
    numbers = [v for n, v in ends.items() if n != "log"]
    if (
        ends.keys() - RANGE
        or any(type(v) not in right for v in numbers)
        or not isinstance(ends.get("log", True), bool)
    ):
        usual = f"{{ low = {choice.low}, high = {choice.high} }}"
        raise SpaceError(f"{choice.name} takes {word}: one, or {usual}, not {as_toml(given)}")
    if isinstance(choice, Integer) and max(numbers, default=0) > max(_MOST, choice.high):
        raise SpaceError(f"{choice.name} should be at most {max(_MOST, choice.high):,}, got {as_toml(given)}")
    found = replace(choice, **ends)
    if choice.name.startswith(_THEIRS) and not choice.low <= found.low <= found.high <= choice.high:
        raise SpaceError(f"{choice.name} should be from {choice.low} to {choice.high}, got {as_toml(given)}")
    return found


def _fixed(value: Any) -> dict[str, Any]:
    """Both ends of a range of one number, which has no scale: it may be 0 where others are logarithmic."""
    is_none = isinstance(value, (int, float)) and value <= 0
    return {"low": value, "high": value} | ({"log": False} if is_none else {})


def admitting(choices: tuple[Choice, ...], candidate: Mapping[str, Value]) -> tuple[Choice, ...]:
    """The same choices, wide enough for a candidate that may come from a space file which widened them.

    Raises:
        SpaceError: If no file could have.
    """
    return tuple(_admitting(choice, candidate) for choice in choices)


def _admitting(choice: Choice, candidate: Mapping[str, Value]) -> Choice:
    if choice.name not in candidate:
        return choice
    value = candidate[choice.name]
    if not isinstance(choice, Categorical):
        return ranged(choice, value)
    (value,) = values_of(choice, value)
    below = admitting(opened(choice, value), candidate)
    return Categorical(choice.name, (value,), {value: below} if below else {}, choice.ordered)
