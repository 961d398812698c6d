"""Architectures by name: plug-ins, and model spaces of the user's own, ``nni:module:Class``.

A plug-in is code that was installed. A model space is code of any module that a candidate names, and
candidates may come from files and stores of others: it is loaded only if the user has named it, too.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import takewhile
from typing import Any

import numpy as np

from search_spaces import plugins
from search_spaces.candidate import Candidate, Value
from search_spaces.choices import Categorical, Choice
from search_spaces.errors import RuleError, SpaceError, UnknownNameError
from search_spaces.signature import Signature
from search_spaces.space import Space

ARCHITECTURES = ("search_spaces.architectures", "metanas.architectures")
_OWN = re.compile(r"nni:(?:\w+\.)*\w+:\w+")
_LONGEST = 200  # characters of a name; it may come from a file that somebody forged
_MOST, _SECONDS = 100, 30.0  # of models that are tried before a search


def is_own(name: str) -> bool:
    """Whether an architecture is a model space, which is no plug-in.

    Example:
        >>> is_own("nni:my_package.spaces:MySpace"), is_own("conv")
        (True, False)
    """
    return name.startswith("nni:")


def architecture(name: str, trusted: Collection[str] = ()) -> Any:
    """The architecture of that name.

    Args:
        name: Of a plug-in, or ``nni:module:Class``.
        trusted: Model spaces that the user has named: what may be imported.

    Raises:
        UnknownNameError: If there is none.
        RuleError: If it is a model space that the user has not named.
    """
    if not is_own(name):
        return plugins.load(*ARCHITECTURES, name)
    if not _OWN.fullmatch(name) or len(name) > _LONGEST:
        raise UnknownNameError(
            f"no architecture called {name[:_LONGEST]!r}: a model space is nni:module:Class"
        )
    if name not in trusted:
        raise RuleError(
            f"the network is {name}, of a module that is not metanas's: if you trust it, "
            f"say --architecture {name}, or in Python architectures=[{name!r}]"
        )
    from search_spaces.nni import models  # loads torch and NNI

    return models.load(name)


def consent(candidate: Mapping[str, Any]) -> tuple[str, str]:
    """What has to be said to have a candidate built: nothing, unless its network is a model space.

    Returns:
        For the command line, and for a call in Python; either begins with what sets it off.
    """
    name = str(candidate.get("architecture"))
    return (f" --architecture {name}", f", architectures=[{name!r}]") if is_own(name) else ("", "")


def narrowed(space: Space, names: Collection[str]) -> Space:
    """The space with those architectures alone.

    Raises:
        SpaceError: If it has one of them not.
    """
    if not names:
        return space
    root = _architectures(space)
    if missing := [name for name in names if name not in root.values]:
        known = ", ".join(map(str, root.values))
        raise SpaceError(f"space {space.name} has no {missing[0]} for these tasks (it has {known})")
    kept = Categorical(root.name, tuple(names), {v: b for v, b in root.branches.items() if v in names})
    return space.having(kept)


def check(space: Space, signature: Signature, trusted: Collection[str] = ()) -> None:
    """Whether the model spaces among the architectures can be meta-trained, whatever is chosen in them.

    Large ones, of which not all choices can be tried in half a minute, are tried in part.

    Raises:
        RuleError: If one cannot; names the layer.
    """
    root = _architectures(space)
    for name in root.values:
        if is_own(str(name)):
            prefix = f"architecture.{name}"
            inside = Space(prefix, root.branches.get(name, ()))
            settings = (candidate.part(prefix) for candidate in _in_time(covering(inside)))
            architecture(str(name), trusted).check(settings, signature)


def code(names: Collection[str]) -> dict[str, str]:
    """A hash of the source of each model space among the names, which the user trusts."""
    return {name: architecture(name, names).code() for name in names if is_own(name)}


def covering(space: Space) -> Iterator[Candidate]:
    """Candidates that have, together, every value of every categorical choice."""
    rng, given = np.random.default_rng(0), Counter[tuple[str, Value]]()

    def decide(choice: Choice) -> Value:
        if not isinstance(choice, Categorical):
            return choice.draw(rng)
        value = min(choice.values, key=lambda value: given[choice.name, value])
        given[choice.name, value] += 1
        return value

    wanted = {(c.name, v) for c in space.flat.values() if isinstance(c, Categorical) for v in c.values}
    for _ in range(_MOST):
        yield space.walk(decide)
        if not wanted - given.keys():
            return


def _in_time(candidates: Iterator[Candidate]) -> Iterator[Candidate]:
    end = time.monotonic() + _SECONDS
    return takewhile(lambda _: time.monotonic() < end, candidates)


def _architectures(space: Space) -> Categorical:
    root = space.flat["architecture"]
    assert isinstance(root, Categorical)
    return root
