"""Moves in a space: what evolution and local search are made of."""

from __future__ import annotations

import numpy as np

from search_spaces.candidate import Candidate, Value
from search_spaces.choices import Choice
from search_spaces.space import Space


def mutate(space: Space, parent: Candidate, rng: np.random.Generator, changes: int = 1) -> Candidate:
    """A legal neighbour: ``changes`` active choices moved, what they newly open drawn afresh.

    Raises:
        SpaceError: If no legal neighbour was found in 1,000 tries.
    """
    names = [name for name in parent if name in space.flat and _can_move(space.flat[name])]

    def attempt() -> Candidate:
        moved = set(rng.choice(names, size=min(changes, len(names)), replace=False)) if names else set()
        return space.walk(lambda choice: _inherit(choice, parent, moved, rng))

    return space.legal(attempt)


def crossover(space: Space, a: Candidate, b: Candidate, rng: np.random.Generator) -> Candidate:
    """A legal candidate that takes each choice from one of its parents, where they have it."""

    def decide(choice: Choice) -> Value:
        having = [parent for parent in (a, b) if choice.name in parent]
        return having[int(rng.integers(len(having)))][choice.name] if having else choice.draw(rng)

    return space.legal(lambda: space.walk(decide))


def _inherit(choice: Choice, parent: Candidate, moved: set[str], rng: np.random.Generator) -> Value:
    if choice.name not in parent:
        return choice.draw(rng)
    return choice.move(parent[choice.name], rng) if choice.name in moved else parent[choice.name]


def _can_move(choice: Choice) -> bool:
    return choice.width > 1 or getattr(choice, "low", 0) != getattr(choice, "high", 0)
