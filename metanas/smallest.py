"""Whether a space has anything within the limits, and if not, how small it gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice, product

import numpy as np

from metanas.goals import Goals, latency_words, size_words
from metanas.sizing import Measure
from search_spaces import Candidate, Categorical, Choice, Costs, Space, Value
from search_spaces.errors import BudgetError

PARTS = ("architecture", "rule")  # what decides what a learner costs


def smallest(space: Space, goals: Goals, measure: Measure) -> Candidate:
    """A candidate within the limits.

    Of every architecture with every rule it looks at the one with the first value of each choice, which in
    most spaces is the smallest, and goes down from there, choice by choice.

    Args:
        space: What is proposed from.
        goals: With limits.
        measure: What a candidate's learner will cost.

    Raises:
        BudgetError: If none was found; says how small they get.
    """
    for one in _each(goals):
        nearest = _nearest(space, one, measure)
        if one.over(costs := measure(nearest)):
            raise BudgetError(
                f"nothing is within {one.in_words}: the smallest of space {space.name} {_has(one, costs)}"
            )
    return nearest


def _each(goals: Goals) -> Iterator[Goals]:
    """The limits one by one, so that it is said which cannot be kept; then both."""
    if goals.max_params is not None and goals.max_latency is not None:
        yield replace(goals, max_latency=None)
        yield replace(goals, max_params=None)
    yield goals


def _has(goals: Goals, costs: Costs) -> str:
    size = [f"has {size_words(costs)}"] if goals.max_params is not None else []
    return " and ".join(size + ([f"takes {latency_words(costs)} a task"] if goals.max_latency else []))


def _nearest(space: Space, goals: Goals, measure: Measure) -> Candidate:
    """The first candidate within the limits that is come upon, else the one that is least over them."""
    starts = _starts(space)
    for start in starts:
        if goals.excess(measure(start)) <= 1:
            return start
    found = [_down(space, start, goals, measure) for start in starts]
    return min(found, key=lambda candidate: goals.excess(measure(candidate)))


def _starts(space: Space) -> list[Candidate]:
    """Of every combination of parts, the first value of each choice, or what is near it and legal."""
    roots = [c for c in space.choices if isinstance(c, Categorical) and c.name in PARTS]
    found = []
    for values in product(*(root.values for root in roots)):
        first = _filled(space, dict(zip((root.name for root in roots), values, strict=True)))
        found += [first] if space.objection(first) is None else list(islice(_around(space, first), 1))
    return found or [space.sample(np.random.default_rng(0))]


def _down(space: Space, start: Candidate, goals: Goals, measure: Measure) -> Candidate:
    """Moves one choice at a time while that brings it nearer to the limits, until it is within them."""
    best, least = start, goals.excess(measure(start))
    moved = True
    while moved and least > 1:
        moved = False
        for neighbour in _around(space, best):
            excess = goals.excess(measure(neighbour))
            if excess < least:
                best, least, moved = neighbour, excess, True
    return best


def _around(space: Space, candidate: Candidate) -> Iterator[Candidate]:
    """Legal candidates that differ in one choice of the parts, and in what it opens."""
    for name in [name for name in candidate if name.startswith(PARTS) and name not in PARTS]:
        for value in _values(space.flat[name]):
            other = _filled(space, {**candidate, name: value})
            if other != candidate and space.objection(other) is None:
                yield other


def _filled(space: Space, given: Mapping[str, Value]) -> Candidate:
    """The candidate of these values, and of the first value of each other choice."""
    return space.walk(lambda choice: given[choice.name] if choice.name in given else _values(choice)[0])


def _values(choice: Choice) -> tuple[Value, ...]:
    """Its values; of a range both ends."""
    return choice.values if isinstance(choice, Categorical) else (choice.low, choice.high)
