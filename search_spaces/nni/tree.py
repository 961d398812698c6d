"""The choices of a model space as a tree of ours: what a layer that is not chosen would ask is not asked.

NNI lists the mutables of a model space side by side. What lies inside the candidates of a ``LayerChoice``, or
in blocks that a ``Repeat`` may leave out, becomes a branch here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import isbuiltin
from itertools import combinations
from typing import Any

from nni import mutable as theirs
from torch import nn

from search_spaces.candidate import Value
from search_spaces.choices import Categorical, Choice, Integer
from search_spaces.errors import SpaceError
from search_spaces.nni.layers import LayerChoice, Repeat
from search_spaces.nni.mutables import number
from search_spaces.space import every

_MOST = 256  # ways to choose some of several


@dataclass(frozen=True)
class Tree:
    """The choices of a model space, and how they are said to NNI.

    Attributes:
        choices: Named by NNI's labels, with dots for slashes.
        labels: NNI's label of each name.
        values: NNI's value for ours, of choices where these differ.
        defaults: A sample of NNI's, of every label.
    """

    choices: tuple[Choice, ...]
    labels: Mapping[str, str]
    values: Mapping[str, Mapping[Value, Any]]
    defaults: Mapping[str, Any]

    def sample(self, choices: Mapping[str, Value]) -> dict[str, Any]:
        """What NNI builds the model of: the choices' values, and of inactive ones the default."""
        said = {self.labels[n]: self.values[n][v] if n in self.values else v for n, v in choices.items()}
        return {**self.defaults, **said}


def read(module: Any) -> Tree:
    """The tree of a model space.

    Raises:
        SpaceError: If one of its mutables has no counterpart here; says which.
    """
    reader = _Reader()
    choices = reader.below(module)
    defaults = {label: leaf.default() for label, leaf in module.simplify(is_leaf=_is_leaf).items()}
    return Tree(choices, reader.labels, reader.values, defaults)


def _is_leaf(mutable: Any) -> bool:
    return isinstance(mutable, theirs.LabeledMutable)


class _Reader:
    """Walks the modules, and remembers what it has met."""

    def __init__(self) -> None:
        self.labels: dict[str, str] = {}
        self.values: dict[str, dict[Value, Any]] = {}

    def below(self, module: nn.Module) -> tuple[Choice, ...]:
        """The choices of a module and what is in it."""
        if isinstance(module, LayerChoice):
            selector = self._categorical(module.choice.values, module.choice.label)
            inside = {value: self.below(module[self._theirs(selector, value)]) for value in selector.values}
            return _settled([_opening(selector, inside)])
        if isinstance(module, Repeat):
            return self._repeat(module)
        own = [self._leaf(leaf) for mutable in getattr(module, "mutables", ()) for leaf in _leaves(mutable)]
        return _settled([*own, *(choice for child in module.children() for choice in self.below(child))])

    def _repeat(self, module: Any) -> tuple[Choice, ...]:
        blocks = [self.below(block) for block in module.blocks]
        depth = module.depth_choice
        if not isinstance(depth, theirs.Categorical):  # a number, or computed: all blocks may be there
            own = [self._leaf(leaf) for leaf in _leaves(depth)] if isinstance(depth, theirs.Mutable) else []
            return _settled([*own, *(choice for block in blocks for choice in block)])
        always = min(depth.values)
        selector = replace(self._categorical(depth.values, depth.label), ordered=True)
        opened = {v: [c for block in blocks[always : int(v)] for c in block] for v in selector.values}
        branches = {value: _settled(choices) for value, choices in opened.items()}
        return _settled([_opening(selector, branches), *(c for block in blocks[:always] for c in block)])

    def _leaf(self, part: Any) -> Choice:
        if isinstance(part, theirs.CategoricalMultiple):
            return self._some(part)
        if isinstance(part, theirs.Categorical):
            return self._categorical(part.values, part.label)
        if not isinstance(part, theirs.Numerical):
            raise SpaceError(f"NNI's {part!r} has no counterpart here: choices and numbers have")
        found = number(part)
        if isinstance(found, Integer):
            return Integer(self._name(part.label), found.low, found.high, found.log)
        if not isinstance(found, Categorical):
            # candidates that differ in reals alone share one computation, of which this would be a constant
            raise SpaceError(f"NNI's number {part.label} is any real: make it a choice of a few (nni.choice)")
        return replace(self._categorical(found.values, part.label), ordered=True)

    def _categorical(self, values: Sequence[Any], label: str) -> Categorical:
        return self._named(label, {_said(value): value for value in values}, len(values))

    def _some(self, part: Any) -> Categorical:
        """Some of several values, as one choice of the ways to do so; never none of them."""
        sizes = range(1, len(part.values) + 1) if part.n_chosen is None else [part.n_chosen]
        count = sum(math.comb(len(part.values), size) for size in sizes)
        if count > _MOST:
            raise SpaceError(f"NNI's {part.label} has {count:,} ways to choose; {_MOST} are the most")
        ways = [list(way) for size in sizes for way in combinations(part.values, size)]
        said = {
            _said(way[0]) if part.n_chosen == 1 else "+".join(str(_said(v)) for v in way): way for way in ways
        }
        return self._named(part.label, said, count)

    def _named(self, label: str, values: dict[Value, Any], count: int) -> Categorical:
        if len(values) < count:
            raise SpaceError(f"NNI's choice {label} has values that read the same: {list(values)}")
        name = self._name(label)
        if any(ours is not said for ours, said in values.items()):
            self.values[name] = values
        return Categorical(name, tuple(values))

    def _name(self, label: str) -> str:
        name = label.replace("/", ".")
        if self.labels.setdefault(name, str(label)) != label:
            raise SpaceError(f"NNI's labels {label} and {self.labels[name]} are one name here: change one")
        return name

    def _theirs(self, choice: Categorical, value: Value) -> Any:
        return self.values[choice.name][value] if choice.name in self.values else value


def _leaves(mutable: Any) -> Iterable[Any]:
    found: Iterable[Any] = mutable.simplify(is_leaf=_is_leaf).values()
    return found


def _said(value: Any) -> Value:
    """A value as ours: what is no text and no whole number, as text, since reals never change a shape.

    Raises:
        SpaceError: If its text is another one in the next process.
    """
    text = value if isinstance(value, str | int) else str(value)
    if isinstance(text, str) and " at 0x" in text:  # a function, or an object that says nothing of itself
        name = getattr(value, "__name__" if isbuiltin(value) else "__qualname__", None)
        if name is None:
            raise SpaceError(f"NNI's choice has the value {text}, without a name that lasts: use LayerChoice")
        return f"{value.__module__}.{name}" if value.__module__ else str(name)
    return text


def _opening(selector: Categorical, branches: Mapping[Value, tuple[Choice, ...]]) -> Categorical:
    return replace(selector, branches={value: below for value, below in branches.items() if below})


def _settled(choices: Sequence[Choice]) -> tuple[Choice, ...]:
    """The same choices, each at one place: one that several may open is asked before them."""
    level: dict[str, Choice] = {}
    for choice in choices:
        level[choice.name] = _joined(level[choice.name], choice) if choice.name in level else choice
    met = Counter(name for choice in level.values() for name in {c.name for c in every([choice])})
    twice = {name for name, times in met.items() if times > 1}
    if not twice:
        return tuple(level.values())
    lifted = list(_outermost(level.values(), twice))
    kept = [_without(choice, twice) for choice in level.values() if choice.name not in twice]
    return _settled([*kept, *lifted])


def _joined(a: Choice, b: Choice) -> Choice:
    """Two places that ask the same: what either opens."""
    if isinstance(a, Categorical) and isinstance(b, Categorical) and a.values == b.values:
        opened = {v: [*a.branches.get(v, ()), *b.branches.get(v, ())] for v in a.values}
        return _opening(a, {value: _settled(below) for value, below in opened.items()})
    if a != b:
        raise SpaceError(f"two different mutables of NNI's are labelled {a.name}")
    return a


def _outermost(choices: Iterable[Choice], names: set[str]) -> Iterator[Choice]:
    """Choices of those names, with what they open."""
    for choice in choices:
        if choice.name in names:
            yield choice
        elif isinstance(choice, Categorical):
            for below in choice.branches.values():
                yield from _outermost(below, names)


def _without(choice: Choice, names: set[str]) -> Choice:
    if not isinstance(choice, Categorical):
        return choice
    kept = {
        v: tuple(_without(c, names) for c in b if c.name not in names) for v, b in choice.branches.items()
    }
    return _opening(choice, kept)
