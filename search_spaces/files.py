"""Spaces by file: TOML that narrows, widens or fixes choices of a named space.

.. code-block:: toml

    from = "default"                    # a named space; this is the usual one
    architectures = ["conv"]            # of those that suit the tasks
    rules = ["prototype", "ridge"]

    [architecture.conv]
    depth = [3, 4]                      # some of the values, or, of numbers, others
    norm = "running"                    # fixed

    [outer]
    learning_rate = { low = 1e-4, high = 1e-2 }
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from search_spaces.choices import Categorical, Choice
from search_spaces.errors import SpaceError
from search_spaces.space import Space, still
from search_spaces.toml_file import as_toml, read_toml
from search_spaces.widening import RANGE, opened, ranged, values_of

LISTS = {"architectures": "architecture", "rules": "rule"}
"""What a file calls the roots of the tree."""

T = TypeVar("T")


@dataclass(frozen=True)
class SpaceFile:
    """What a file says of a space.

    Attributes:
        path: Of the file.
        start: Name of the space that it starts from.
        wanted: Choice name → what the file gives for it.
        lines: Choice name → line of the file, from 1.
    """

    path: Path
    start: str
    wanted: Mapping[str, Any]
    lines: Mapping[str, int]

    def applied(self, space: Space) -> Space:
        """The space as the file wants it.

        Raises:
            SpaceError: If a choice is unknown or a value cannot be; names line and allowed values.
        """
        choices = tuple(self._of(choice) for choice in space.choices)
        flat = Space(self.path.stem, choices).flat
        for name in self.wanted.keys() - flat.keys():
            if name not in space.flat:
                near = get_close_matches(name, space.flat, n=1) or get_close_matches(
                    name, [known.rpartition(".")[2] for known in space.flat], n=1
                )
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(space.flat)}"
                raise self.wrong(name, f"{name} is no choice of space {space.name} for these tasks ({hint})")
            raise self.wrong(name, f"{name} has no effect: it belongs to what the file leaves out")
        return Space(self.path.stem, choices, still(space.forbidden, choices))

    def _of(self, choice: Choice) -> Choice:
        given = self.wanted.get(choice.name)
        if not isinstance(choice, Categorical):
            return choice if given is None else self._said(choice, lambda: ranged(choice, given))
        values = choice.values if given is None else self._said(choice, lambda: values_of(choice, given))
        below = self._said(choice, lambda: {value: opened(choice, value) for value in values})
        branches = {v: tuple(map(self._of, b)) for v, b in below.items() if v in choice.branches or b}
        return Categorical(choice.name, values, branches, choice.ordered)

    def _said(self, choice: Choice, asked: Callable[[], T]) -> T:
        try:
            return asked()
        except SpaceError as error:
            raise self.wrong(choice.name, str(error)) from None

    def wrong(self, name: str, why: str) -> SpaceError:
        """An error that names the line of the file."""
        return SpaceError(f"{self.path} line {self.lines.get(name, 1)}: {why}")


def read(path: Path) -> SpaceFile:
    """Reads a space file.

    Raises:
        SpaceError: If it is not there, not TOML, or says what no space file says.
    """
    data, lines = read_toml(path, "a space file", SpaceError)
    start = data.pop("from", "default")
    if not isinstance(start, str) or start.endswith(".toml"):
        where = f"{path} line {lines.get('from', 1)}"
        raise SpaceError(f"{where}: from should be the name of a space, not {as_toml(start)}")
    wanted = {LISTS.get(name, name): value for name, value in _flat(data)}
    lines = {LISTS.get(name, name): line for name, line in lines.items()}
    return SpaceFile(path, start, wanted, lines)


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        # a model space's labels may be called as the ends of a range are
        is_model_space = prefix == "architecture." and name.startswith("nni:")
        if isinstance(value, dict) and (is_model_space or not value.keys() & RANGE):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
