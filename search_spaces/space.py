"""A space: a tree of choices, of which every root-to-leaf walk gives a candidate."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search_spaces.candidate import Candidate, Value
from search_spaces.choices import Categorical, Choice, Integer, Real, Suggests
from search_spaces.errors import IllegalCandidateError, SpaceError

_TRIES = 1000


@dataclass(frozen=True)
class Forbidden:
    """A combination that cannot be built: every named choice has one of the values beside it."""

    when: Mapping[str, tuple[Value, ...]]
    reason: str

    def matches(self, values: Mapping[str, Value]) -> bool:
        return all(name in values and values[name] in some for name, some in self.when.items())


@dataclass(frozen=True)
class Space:
    """What a search may propose.

    Args:
        name: Of the space.
        choices: The roots of the tree.
        forbidden: Combinations refused before training, and not counted.

    Example:
        >>> rule = Categorical("rule", ("ridge", "gradient"), {"gradient": (Integer("steps", 1, 10),)})
        >>> space = Space("tiny", (rule,))
        >>> space.size
        11
        >>> space.validate(Candidate({"rule": "gradient", "steps": 5}))

    Raises:
        SpaceError: If two choices that can be active together, or differ, share a name.
    """

    name: str
    choices: tuple[Choice, ...]
    forbidden: tuple[Forbidden, ...] = ()
    _flat: Mapping[str, Choice] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        flat: dict[str, Choice] = {}
        for choice in every(self.choices):
            if flat.setdefault(choice.name, choice) != choice:
                raise SpaceError(f"space {self.name}: two different choices are called {choice.name}")
        if twice := _active_twice(self.choices)[1]:
            raise SpaceError(f"space {self.name}: two choices active together are called {sorted(twice)[0]}")
        if unknown := {name for rule in self.forbidden for name in rule.when} - flat.keys():
            raise SpaceError(f"space {self.name} forbids values of {sorted(unknown)}, which it does not have")
        object.__setattr__(self, "_flat", flat)

    @property
    def flat(self) -> Mapping[str, Choice]:
        """Every choice of the tree by name, in the order of the walk."""
        return self._flat

    @property
    def size(self) -> float:
        """Number of candidates, forbidden ones included; infinite where a real number is free."""
        return _size(self.choices)

    def sample(self, rng: np.random.Generator) -> Candidate:
        """A legal candidate, each active choice drawn uniformly on its own scale.

        Raises:
            SpaceError: If 1,000 draws were all forbidden.
        """
        return self.legal(lambda: self.walk(lambda choice: choice.draw(rng)))

    def walk(self, decide: Callable[[Choice], Value]) -> Candidate:
        """The candidate that ``decide`` makes of the active choices; may be forbidden."""
        return Candidate(dict(_walk(self.choices, decide)))

    def legal(self, attempt: Callable[[], Candidate]) -> Candidate:
        """The first of 1,000 attempts that is not forbidden.

        Raises:
            SpaceError: If there is none.
        """
        for _ in range(_TRIES):
            candidate = attempt()
            if self.objection(candidate) is None:
                return candidate
        raise SpaceError(f"space {self.name}: {_TRIES} draws in a row were forbidden; it leaves no room")

    def suggest(self, trial: Suggests) -> Candidate:
        """The candidate whose values are the trial's parameters; single values are merged in.

        Raises:
            SpaceError: If a value is none of its choice, whoever gave it.
            IllegalCandidateError: If the values are forbidden together.
        """

        def decide(choice: Choice) -> Value:
            if isinstance(choice, Categorical) and len(choice.values) == 1:
                return choice.values[0]
            value = choice.suggest(trial)
            choice.check(value)
            return value

        candidate = self.walk(decide)
        if (reason := self.objection(candidate)) is not None:
            raise IllegalCandidateError(reason)
        return candidate

    def objection(self, candidate: Mapping[str, Value]) -> str | None:
        """Why the values are forbidden together, or None."""
        return next((rule.reason for rule in self.forbidden if rule.matches(candidate)), None)

    def validate(self, candidate: Candidate) -> None:
        """Checks that the candidate is a point of this space.

        Raises:
            SpaceError: If a choice is missing, unknown, inactive or out of its range.
            IllegalCandidateError: If the values are forbidden together.
        """

        def decide(choice: Choice) -> Value:
            if choice.name not in candidate:
                raise SpaceError(f"candidate lacks {choice.name}, a choice of space {self.name}")
            choice.check(candidate[choice.name])
            return candidate[choice.name]

        active = dict(_walk(self.choices, decide))
        if strangers := sorted(candidate.keys() - active.keys()):
            raise SpaceError(f"{', '.join(strangers)}: not active choices of space {self.name} here")
        if (reason := self.objection(candidate)) is not None:
            raise IllegalCandidateError(reason)

    def shared(self, candidate: Mapping[str, Value]) -> Candidate:
        """What of another space's candidate this one has, too: its choices, with values that they allow."""
        found = {}
        for name, value in candidate.items():
            with suppress(SpaceError):
                if name in self.flat:
                    self.flat[name].check(value)
                    found[name] = value
        return Candidate(found)

    def encode(self, candidate: Candidate) -> tuple[np.ndarray, np.ndarray]:
        """A fixed-length view of a candidate, for controllers.

        Returns:
            ``(D,)`` floats in [0, 1], inactive entries 0, and ``(D,)`` booleans: what is active.
        """
        values: list[float] = []
        mask: list[bool] = []
        for name, choice in self.flat.items():
            active = name in candidate
            values += choice.encode(candidate[name]) if active else [0.0] * choice.width
            mask += [active] * choice.width
        return np.array(values), np.array(mask)

    def having(self, root: Choice) -> Space:
        """The space with another root of that name, less the rules on what is no more in it."""
        choices = tuple(root if choice.name == root.name else choice for choice in self.choices)
        return Space(self.name, choices, still(self.forbidden, choices))

    def describe(self) -> str:
        """The tree, one choice a line."""
        return "\n".join([f"{self.name}: {_words(self.size)} candidates", *_lines(self.choices, 1)])

    def to_json(self) -> str:
        """Canonical text; equal spaces have equal text."""
        forbidden = [
            {"when": {k: list(v) for k, v in f.when.items()}, "reason": f.reason} for f in self.forbidden
        ]
        tree = [_to_dict(choice) for choice in self.choices]
        return json.dumps({"name": self.name, "choices": tree, "forbidden": forbidden}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Space:
        """Reads what :meth:`to_json` wrote.

        Raises:
            SpaceError: If the text is not a space.
        """
        try:
            data = json.loads(text)
            rules = ((dict(f["when"]), str(f["reason"])) for f in data["forbidden"])
            forbidden = tuple(Forbidden({k: tuple(v) for k, v in when.items()}, why) for when, why in rules)
            return cls(str(data["name"]), tuple(_from_dict(item) for item in data["choices"]), forbidden)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise SpaceError(f"not a space: {error!r}") from None


def still(forbidden: Iterable[Forbidden], choices: Iterable[Choice]) -> tuple[Forbidden, ...]:
    """Rules over choices that are still in these trees."""
    names = {choice.name for choice in every(choices)}
    return tuple(rule for rule in forbidden if rule.when.keys() <= names)


def every(choices: Iterable[Choice]) -> Iterator[Choice]:
    """The choices of these trees, each before what it opens."""
    for choice in choices:
        yield choice
        if isinstance(choice, Categorical):
            for below in choice.branches.values():
                yield from every(below)


def _walk(choices: tuple[Choice, ...], decide: Callable[[Choice], Value]) -> Iterator[tuple[str, Value]]:
    for choice in choices:
        value = decide(choice)
        yield choice.name, value
        if isinstance(choice, Categorical):
            yield from _walk(choice.branches.get(value, ()), decide)


def _active_twice(choices: tuple[Choice, ...]) -> tuple[set[str], set[str]]:
    """Names in these trees, and those of them that a walk can meet twice."""
    met: set[str] = set()
    twice: set[str] = set()
    for choice in choices:
        here: set[str] = set()
        for below in choice.branches.values() if isinstance(choice, Categorical) else ():
            names, again = _active_twice(below)
            here, twice = here | names, twice | again
        twice |= (here & {choice.name}) | (met & (here | {choice.name}))
        met |= here | {choice.name}
    return met, twice


def _size(choices: tuple[Choice, ...]) -> float:
    return math.prod(_size_of(choice) for choice in choices)


def _size_of(choice: Choice) -> float:
    if isinstance(choice, Categorical):
        return sum(_size(choice.branches.get(value, ())) for value in choice.values)
    if isinstance(choice, Integer):
        return choice.high - choice.low + 1
    return math.inf if choice.high > choice.low else 1


def _words(size: float) -> str:
    return "infinitely many" if math.isinf(size) else f"{size:,}"


def _lines(choices: tuple[Choice, ...], depth: int) -> Iterator[str]:
    for choice in choices:
        if isinstance(choice, Categorical):
            yield "  " * depth + f"{choice.name}: {' | '.join(map(str, choice.values))}"
            for value, below in choice.branches.items():
                if below:
                    yield "  " * (depth + 1) + f"if {value}:"
                    yield from _lines(below, depth + 2)
        else:
            scale = ", logarithmic" if choice.log else ""
            yield "  " * depth + f"{choice.name}: {choice.low} to {choice.high}{scale}"


def _to_dict(choice: Choice) -> dict[str, Any]:
    if not isinstance(choice, Categorical):
        kind = "integer" if isinstance(choice, Integer) else "real"
        return {"kind": kind, "name": choice.name, "low": choice.low, "high": choice.high, "log": choice.log}
    # a list of pairs: a JSON object would turn the values, which may be numbers, into text
    branches = [[value, [_to_dict(c) for c in below]] for value, below in choice.branches.items()]
    plain = {"name": choice.name, "values": list(choice.values), "ordered": choice.ordered}
    return {"kind": "categorical", "branches": branches, **plain}


def _from_dict(data: dict[str, Any]) -> Choice:
    kind, name = data["kind"], data["name"]
    if kind == "categorical":
        branches = {value: tuple(_from_dict(item) for item in below) for value, below in data["branches"]}
        return Categorical(name, tuple(data["values"]), branches, data["ordered"])
    if kind == "integer":
        return Integer(name, data["low"], data["high"], log=data["log"])
    if kind == "real":
        return Real(name, data["low"], data["high"], log=data["log"])
    raise SpaceError(f"{name}: no kind of choice is called {kind!r}")
