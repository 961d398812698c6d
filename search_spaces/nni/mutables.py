"""Our spaces as NNI's mutables, and NNI's as ours.

NNI has no conditional choices of its own; :class:`Branching` adds them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from nni import mutable as theirs
from nni.mutable.exception import SampleValidationError

from search_spaces.candidate import Candidate, Value
from search_spaces.choices import Categorical, Choice, Integer, Real
from search_spaces.errors import SpaceError
from search_spaces.nni.guard import LOCK
from search_spaces.space import Forbidden, Space

_ROUNDING = 1e-9  # of numbers of steps

Sample = Mapping[str, Any]  # label → value, of inactive choices too


class Ordered(theirs.Categorical):  # type: ignore[misc]  # NNI has no types
    """Values of which neighbours are alike."""


class Branching(theirs.Mutable):  # type: ignore[misc]
    """One of a few values, each of which may open further mutables.

    Args:
        selector: Which of them.
        branches: What a value opens.
    """

    def __init__(self, selector: Any, branches: Mapping[Value, Together]) -> None:
        self.selector, self.branches = selector, dict(branches)

    def leaf_mutables(self, is_leaf: Callable[[Any], bool]) -> Iterable[Any]:
        yield from self.selector.leaf_mutables(is_leaf)
        for branch in self.branches.values():
            yield from branch.leaf_mutables(is_leaf)

    def check_contains(self, sample: Sample) -> Exception | None:
        error: Exception | None = self.selector.check_contains(sample)
        branch = None if error else self.branches.get(sample[self.selector.label])
        return branch.check_contains(sample) if branch else error

    def freeze(self, sample: Sample) -> dict[str, Value]:
        """The values of what is active, by label."""
        self.validate(sample)
        value = sample[self.selector.label]
        below = self.branches[value].freeze(sample) if value in self.branches else {}
        return {self.selector.label: value} | below


class Together(theirs.Mutable):  # type: ignore[misc]
    """Several mutables, and combinations of their values that are forbidden.

    Args:
        parts: Labelled mutables, and :class:`Branching` ones.
        space: What the name and the forbidden combinations are of; None inside a branch.
    """

    def __init__(self, parts: Sequence[Any], space: Space | None = None) -> None:
        self.parts, self.space = list(parts), space

    def leaf_mutables(self, is_leaf: Callable[[Any], bool]) -> Iterable[Any]:
        for part in self.parts:
            yield from part.leaf_mutables(is_leaf)

    def check_contains(self, sample: Sample) -> Exception | None:
        for part in self.parts:
            if error := _strictly(part, sample):
                return error
        reason = self.space.objection(self._active(sample)) if self.space else None
        return _refusal(reason) if reason else None

    def freeze(self, sample: Sample) -> dict[str, Value]:
        """The values of what is active, by label."""
        self.validate(sample)
        return self._active(sample)

    def _active(self, sample: Sample) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for part in self.parts:
            found |= part.freeze(sample) if isinstance(part, Branching) else {part.label: sample[part.label]}
        return found


def _strictly(part: Any, sample: Sample) -> Exception | None:
    """NNI's check, which takes NaN for a number and raises for words."""
    if isinstance(part, theirs.Numerical) and part.label in sample and not _is_number(sample[part.label]):
        return _refusal(f"{part.label} should be a number, not {sample[part.label]!r}")
    error: Exception | None = part.check_contains(sample)
    return error


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _refusal(why: str) -> Exception:
    error: Exception = SampleValidationError(why)
    return error


def to_nni(space: Space) -> Together:
    """A space as an NNI mutable: samples are ``{label: value}``, of inactive choices too.

    Raises:
        SpaceError: If a name has a ``/``, which NNI's labels may not have.
    """
    if bad := [name for name in space.flat if "/" in name]:
        raise SpaceError(f"{bad[0]}: NNI's labels may not contain /")
    with LOCK:
        return Together([_to(choice) for choice in space.choices], space)


def _to(choice: Choice) -> Any:
    if isinstance(choice, Categorical):
        kind = Ordered if choice.ordered else theirs.Categorical
        selector = kind(list(choice.values), label=choice.name)
        branches = {value: Together([_to(b) for b in below]) for value, below in choice.branches.items()}
        return Branching(selector, branches) if branches else selector
    if choice.low == choice.high:  # of which NNI makes a distribution without a density
        return _Single(choice)
    quantize = 1 if isinstance(choice, Integer) else None
    return theirs.Numerical(
        choice.low, choice.high, log_distributed=choice.log, quantize=quantize, label=choice.name
    )


class _Single(theirs.Categorical):  # type: ignore[misc]
    """A number with one value, which remembers what kind of number."""

    def __init__(self, choice: Integer | Real) -> None:
        super().__init__([choice.low], label=choice.name)
        self.choice = choice


def from_nni(mutable: Any, name: str = "nni") -> Space:
    """An NNI mutable, or a model space of it, as a space of ours.

    Args:
        mutable: A ``Mutable``: labelled ones, containers of them, and what :func:`to_nni` made.
        name: Of the space, if it has none of its own.

    Raises:
        SpaceError: If one of its mutables has no counterpart here; says which.
    """
    with LOCK:
        if isinstance(mutable, Together) and mutable.space:
            own = mutable.space
            return Space(own.name, tuple(map(_from, mutable.parts)), _copied(own.forbidden))
        parts = mutable.parts if isinstance(mutable, Together) else _parts(mutable)
        return Space(name, tuple(map(_from, parts)))


def _copied(rules: Iterable[Forbidden]) -> tuple[Forbidden, ...]:
    return tuple(Forbidden(dict(rule.when), rule.reason) for rule in rules)


def _parts(mutable: Any) -> list[Any]:
    if isinstance(mutable, Branching):
        return [mutable]
    if not hasattr(mutable, "simplify"):
        raise SpaceError(f"{type(mutable).__name__} is no mutable of NNI's")
    return list(mutable.simplify().values())


def _from(part: Any) -> Choice:
    if isinstance(part, Branching):
        selector = _from(part.selector)
        branches = {value: tuple(map(_from, below.parts)) for value, below in part.branches.items()}
        return Categorical(selector.name, selector.values, branches, selector.ordered)  # type: ignore[union-attr]
    if isinstance(part, _Single):
        return part.choice
    if isinstance(part, theirs.Categorical):
        if strange := [v for v in part.values if not isinstance(v, str | int | float | bool)]:
            raise SpaceError(f"NNI's choice {part.label} has the value {strange[0]!r}: no text and no number")
        return Categorical(part.label, tuple(part.values), ordered=isinstance(part, Ordered))
    if isinstance(part, theirs.Numerical):
        return number(part)
    raise SpaceError(f"NNI's {part!r} has no counterpart here: choices and numbers have")


def number(part: Any) -> Choice:
    """NNI's ``Numerical`` as a choice of ours.

    Raises:
        SpaceError: If it has no ends, or is not uniform.
    """
    bounded = math.isfinite(part.low) and math.isfinite(part.high)
    if not bounded or part.mu is not None or part.distribution.dist.name not in ("uniform", "loguniform"):
        raise SpaceError(f"NNI's number {part.label} has no ends, or another distribution than uniform")
    if part.quantize is None:
        return Real(part.label, part.low, part.high, part.log_distributed)
    if part.quantize == 1 and float(part.low).is_integer() and float(part.high).is_integer():
        return Integer(part.label, int(part.low), int(part.high), part.log_distributed)
    first, last = part.low / part.quantize, part.high / part.quantize  # which rounding may have made less
    steps = np.arange(math.ceil(first - _ROUNDING), math.floor(last + _ROUNDING) + 1)
    values = (float(np.clip(step * part.quantize, part.low, part.high)) for step in steps)
    return Categorical(part.label, tuple(values), ordered=True)


def candidate_of(space: Space, sample: Sample) -> Candidate:
    """The candidate that a sample of :func:`to_nni` stands for; may be forbidden.

    Raises:
        SpaceError: If the sample lacks an active choice.
    """

    def decide(choice: Choice) -> Value:
        if choice.name not in sample:
            raise SpaceError(f"the sample lacks {choice.name}, a choice of space {space.name}")
        value = sample[choice.name]
        if isinstance(choice, Categorical):
            return next((known for known in choice.values if known == value), value)
        return (
            round(value) if isinstance(choice, Integer) else min(max(float(value), choice.low), choice.high)
        )

    return space.walk(decide)


def sample_of(mutable: Together, candidate: Mapping[str, Value], random_state: Any) -> dict[str, Any]:
    """A sample of :func:`to_nni`'s that stands for the candidate; what is inactive in it is drawn."""
    sample: dict[str, Any] = dict(candidate)
    with LOCK:
        for label, leaf in mutable.simplify().items():
            if label not in sample:
                sample[label] = leaf.random({}, random_state)
    return sample
