"""A space without some of its values, and the file that makes one space of another."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from search_spaces.candidate import Value
from search_spaces.choices import Categorical, Choice, Integer
from search_spaces.errors import SpaceError
from search_spaces.files import LISTS
from search_spaces.space import Space, still
from search_spaces.toml_file import as_toml

Cut = Collection[tuple[Value, ...]]


def without(space: Space, cuts: Mapping[str, Cut]) -> Space:
    """The space less some values.

    Args:
        space: What is narrowed.
        cuts: By name of a choice: tuples of one value each; of a range, the lower and the upper end of
            what is cut off from either side.

    Raises:
        SpaceError: If nothing would be left of a choice.

    Example:
        >>> rule = Categorical("rule", ("ridge", "maml"), {"maml": (Integer("steps", 1, 10),)})
        >>> print(without(Space("tiny", (rule,)), {"rule": [("ridge",)], "steps": [(1, 3)]}).describe())
        tiny: 7 candidates
          rule: maml
            if maml:
              steps: 4 to 10
    """

    def of(choice: Choice) -> Choice:
        cut = cuts.get(choice.name, ())
        if not isinstance(choice, Categorical):
            return _ranged(choice, cut)
        values = tuple(value for value in choice.values if (value,) not in cut)
        branches = {v: tuple(map(of, below)) for v, below in choice.branches.items() if v in values}
        return Categorical(choice.name, values, branches, choice.ordered)

    choices = tuple(map(of, space.choices))
    return Space(space.name, choices, still(space.forbidden, choices))


def as_file(space: Space, start: Space) -> str:
    """The text of a space file that makes the space of the one that it starts from, see ``files``."""
    words = {root: word for word, root in LISTS.items()}
    sections: dict[str, list[str]] = {"": [f"from = {json.dumps(start.name)}"]}
    for name, choice in space.flat.items():
        if (given := _given(choice, start.flat.get(name))) is None:
            continue
        section, _, key = name.rpartition(".")
        sections.setdefault(section, []).append(f"{_key(words.get(name, key))} = {given}")
    return "\n".join(line for section in sections.items() for line in _section(*section))


def _section(name: str, lines: list[str]) -> list[str]:
    head = [f"[{'.'.join(map(_key, name.split('.')))}]"] if name else []
    return [*head, *lines, ""]


def _ranged(choice: Choice, cut: Cut) -> Choice:
    assert not isinstance(choice, Categorical)
    step = 1 if isinstance(choice, Integer) else 0
    for low, high in cut:
        if isinstance(low, str) or isinstance(high, str):
            raise SpaceError(f"{choice.name} is a range of numbers: {low!r} to {high!r} cannot be cut off")
        lower = {"low": high + step} if low <= choice.low else {"high": low - step}
        choice = replace(choice, **lower)  # type: ignore[arg-type]
    return choice


def _given(choice: Choice, before: Choice | None) -> str | None:
    """What a file gives for a choice; None if that is as it was."""
    if isinstance(choice, Categorical):
        if isinstance(before, Categorical) and before.values == choice.values:
            return None
        return f"[{', '.join(map(_word, choice.values))}]"
    if before == choice:
        return None
    scale = getattr(before, "log", None)
    log = "" if choice.log == scale else f", log = {as_toml(choice.log)}"
    return f"{{ low = {as_toml(choice.low)}, high = {as_toml(choice.high)}{log} }}"


def _word(value: Value) -> str:
    return json.dumps(value) if isinstance(value, str) else as_toml(value)


def _key(part: str) -> str:
    return part if re.fullmatch(r"[\w-]+", part, re.ASCII) else json.dumps(part)
