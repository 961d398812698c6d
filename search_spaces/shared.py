"""One space for several families: what suits the tasks of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from search_spaces.candidate import Candidate, Value
from search_spaces.choices import Categorical, Choice, Integer, Real
from search_spaces.errors import SpaceError
from search_spaces.space import Forbidden, Space, still

Words = Mapping[Value, Value]
Level = tuple[Choice, ...]


@dataclass(frozen=True)
class Shared:
    """A space that several families share, and what its candidates are to each of them.

    Attributes:
        space: What is proposed from.
        own: Of each family, the part of its space that is shared: its candidates are points of it.
        words: Of each family, choice name → shared value → its own, where these are different.
    """

    space: Space
    own: tuple[Space, ...]
    words: tuple[Mapping[str, Words], ...]

    def of(self, candidate: Candidate, family: int) -> Candidate:
        """A shared candidate as that family's."""
        words = self.words[family]

        def decide(choice: Choice) -> Value:
            value = candidate[choice.name]
            return words.get(choice.name, {}).get(value, value)

        return self.own[family].walk(decide)


def share(spaces: Mapping[str, Space]) -> Shared:
    """The space of what suits all families.

    Of each choice it has the values that all families have, of numbers the common range. What only
    some families have (a classifier's head) is chosen for those alone. Outer settings that come in
    sizes which differ by family (a training task's classes: multiples of a test task's; its queries)
    are chosen by their place: the second smallest is the second smallest of each.

    Args:
        spaces: Of the families, by what they are called; of one recipe.

    Raises:
        SpaceError: If a choice has no value that suits all; names it.
    """
    names, words = tuple(spaces), [dict[str, Words]() for _ in spaces]
    shared, own = _level([space.choices for space in spaces.values()], names, words)
    name = next(iter(spaces.values())).name
    parts = [
        Space(name, level, still(space.forbidden, level))
        for space, level in zip(spaces.values(), own, strict=True)
    ]
    found = (_translated(rule, w) for part, w in zip(parts, words, strict=True) for rule in part.forbidden)
    return Shared(Space(name, shared, tuple(_once(found))), tuple(parts), tuple(words))


def _level(
    levels: Sequence[Level], names: tuple[str, ...], words: list[dict[str, Words]]
) -> tuple[Level, list[Level]]:
    """The shared choices of one level of the trees, and each family's part of them."""
    shared: list[Choice] = []
    own: list[list[Choice]] = [[] for _ in levels]
    for name in dict.fromkeys(choice.name for level in levels for choice in level):
        having = {i: choice for i, level in enumerate(levels) for choice in level if choice.name == name}
        together, parts = _choice(having, names, words)
        shared.append(together)
        for i, part in parts.items():
            own[i].append(part)
    return tuple(shared), [tuple(level) for level in own]


def _choice(
    having: Mapping[int, Choice], names: tuple[str, ...], words: list[dict[str, Words]]
) -> tuple[Choice, dict[int, Choice]]:
    """One choice of the families that have it: as it is shared, and as each of these has it."""
    categorical = {i: choice for i, choice in having.items() if isinstance(choice, Categorical)}
    if not categorical:
        ranges = [choice for choice in having.values() if not isinstance(choice, Categorical)]
        together = _range(ranges)
        return together, dict.fromkeys(having, together)
    if len(categorical) < len(having):
        raise SpaceError(
            f"{next(iter(having.values())).name} is of different kinds for {' and '.join(names)}"
        )
    values = _values(categorical, names)
    first = next(iter(categorical))
    for i in categorical:
        if values[i] != values[first]:
            words[i][categorical[i].name] = dict(zip(values[first], values[i], strict=True))
    return _branched(categorical, values, names, words)


def _branched(
    having: Mapping[int, Categorical],
    values: Mapping[int, tuple[Value, ...]],
    names: tuple[str, ...],
    words: list[dict[str, Words]],
) -> tuple[Choice, dict[int, Choice]]:
    places, first = list(having), next(iter(having))
    branches: dict[Value, Level] = {}
    own: dict[int, dict[Value, Level]] = {i: {} for i in having}
    for at, value in enumerate(values[first]):
        below = [having[i].branches.get(values[i][at], ()) for i in places]
        here = [words[i] for i in places]
        branches[value], parts = _level(below, tuple(names[i] for i in places), here)
        for i, part in zip(places, parts, strict=True):
            own[i][values[i][at]] = part
    kept = {
        i: replace(having[i], values=values[i], branches={v: b for v, b in own[i].items() if b})
        for i in having
    }
    opened = {value: level for value, level in branches.items() if level}
    return replace(having[first], values=values[first], branches=opened), dict(kept)


def _values(having: Mapping[int, Categorical], names: tuple[str, ...]) -> dict[int, tuple[Value, ...]]:
    """Of each family the values that are shared, in one order."""
    first = next(iter(having.values()))
    if all(choice.values == first.values for choice in having.values()):
        return {i: choice.values for i, choice in having.items()}
    if first.ordered and first.name.startswith("outer."):
        count = min(len(choice.values) for choice in having.values())
        return {i: choice.values[:count] for i, choice in having.items()}
    common = tuple(v for v in first.values if all(v in choice.values for choice in having.values()))
    if not common:
        told = "; ".join(f"{names[i]}: {', '.join(map(str, c.values))}" for i, c in having.items())
        raise SpaceError(f"no {first.name} suits all families ({told}): search them apart")
    return dict.fromkeys(having, common)


def _range(having: Sequence[Integer | Real]) -> Choice:
    first, low, high = having[0], max(c.low for c in having), min(c.high for c in having)
    if low > high:
        raise SpaceError(f"no {first.name} suits all families: their ranges do not meet; search them apart")
    ends: dict[str, Any] = {"low": low, "high": high}
    return replace(first, **ends)


def _translated(rule: Forbidden, words: Mapping[str, Words]) -> Forbidden:
    """A family's rule in shared values."""

    def shared(name: str, values: tuple[Value, ...]) -> tuple[Value, ...]:
        known = words.get(name)
        return values if known is None else tuple(v for v, own in known.items() if own in values)

    return replace(rule, when={name: shared(name, values) for name, values in rule.when.items()})


def _once(rules: Iterable[Forbidden]) -> Iterator[Forbidden]:
    """Each rule once; none that never matches."""
    met: list[Forbidden] = []
    for rule in rules:
        if rule not in met and all(rule.when.values()):
            met.append(rule)
            yield rule
