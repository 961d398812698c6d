"""Spaces drawn by hypothesis."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from search_spaces import Categorical, Choice, Forbidden, Integer, Real, Space


@st.composite
def spaces(draw: st.DrawFn, finite: bool = False, forbid: bool = True) -> Space:
    """Trees up to three deep; a choice may open under several values, as widths do under depths."""
    numbers = itertools.count()

    def choice(depth: int) -> Choice:
        name = f"c{next(numbers)}"
        kind = draw(st.sampled_from(["categorical"] * 3 + ["integer"] + ([] if finite else ["real"])))
        if kind == "integer":
            low = draw(st.integers(1, 3))
            return Integer(name, low, low + draw(st.integers(0, 2)), log=draw(st.booleans()))
        if kind == "real":
            return Real(name, 0.5, 0.5 + draw(st.integers(0, 2)), log=draw(st.booleans()))
        values = draw(st.sampled_from([("a",), ("a", "b"), (1, 2, 4), (False, True)]))
        below = several(depth - 1, draw(st.integers(0, 2))) if depth else ()
        opened = draw(st.lists(st.sampled_from(values), unique=True)) if below else []
        # each value opens the first few of the same choices
        branches = {value: below[: draw(st.integers(0, len(below)))] for value in opened}
        return Categorical(name, values, branches, ordered=draw(st.booleans()))

    def several(depth: int, count: int) -> tuple[Choice, ...]:
        return tuple(choice(depth) for _ in range(count))

    roots = several(2, draw(st.integers(1, 3)))
    if not forbid:
        return Space("drawn", roots)
    # one pair of many-valued choices: it always leaves a neighbour
    wide = [c for c in Space("all", roots).flat.values() if isinstance(c, Categorical) and c.width > 1]
    pairs = list(itertools.combinations(wide, 2))
    banned = [draw(st.sampled_from(pairs))] if pairs and draw(st.booleans()) else []
    return Space("drawn", roots, tuple(Forbidden({c.name: c.values[:1] for c in b}, "no") for b in banned))
