"""Which families the user asked for, in one search or several, and with which options each."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from metanas.tasks.family import Progress, Source

_COLUMNS = ("task_column", "target", "features", "group", "kind")
_FILES = ("test_data", "splits")
OWN_OPTIONS = (*_COLUMNS, *_FILES, "image_size", "ways", "shots", "queries")
"""Options that a family may have of its own; the others are of the search."""


@dataclass(frozen=True)
class Asked:
    """A family as the user asked for it.

    Attributes:
        name: What the study calls it; no two are called the same.
        family: Its kind: of ``metanas family list``, or ``module:Class``.
        path: Of its data.
        own: Options that are for it alone.
    """

    name: str
    family: str
    path: Path | None = None
    own: Mapping[str, Any] = field(default_factory=dict)

    def options(self, given: Mapping[str, Any], beside: Sequence[Asked]) -> dict[str, Any]:
        """Its options: its own, else those given for all, less those that are for others beside it."""
        found = {name: given[name] for name in OWN_OPTIONS}
        for name in OWN_OPTIONS:
            if not self._takes(name) and any(other._takes(name) for other in beside):
                found[name] = None
        return found | dict(self.own)

    def _takes(self, option: str) -> bool:
        if option in _COLUMNS:
            return self.path is not None and self.family != "images" and ":" not in self.family
        if option in _FILES:
            return (
                self.path is not None
                and ":" not in self.family
                and (self.family, option) != ("table", "test_data")
            )
        return option != "image_size" or (
            self.path is not None and self.family != "table" and ":" not in self.family
        )


def parse(words: Sequence[str], known: Sequence[str]) -> list[Asked]:
    """The families of a command line: each a name, with a path after it where it has data.

    A further path is one more family of the same kind. What is nearly the name of a family, and no
    file, is taken for a name, so that it is said what was meant. ``images images`` is the folder of that
    name, if there is one.

    Args:
        words: Of the command line; the first is a family.
        known: Names of families.

    Example:
        >>> [(one.name, one.family, str(one.path)) for one in parse(["table", "a.csv", "b.csv"], ["table"])]
        [('a', 'table', 'a.csv'), ('b', 'table', 'b.csv')]
    """
    found: list[Asked] = []
    for word in words:
        itself = found and found[-1].path is None and word == found[-1].family and Path(word).exists()
        if not found or (_is_family(word, known) and not itself):
            found.append(Asked("", word))
        elif found[-1].path is None:
            found[-1] = replace(found[-1], path=Path(word))
        else:
            found.append(Asked("", found[-1].family, Path(word)))
    return _named(found)


def study_of(asked: Sequence[Asked]) -> str:
    """The usual name of a study of these families."""
    return "-".join(one.name for one in asked)


def source(asked: Asked, options: Mapping[str, Any], progress: Progress) -> Source:
    """Where a family finds its data."""
    return Source(
        asked.path,
        options["test_data"],
        options["splits"],
        task=options["task_column"],
        target=options["target"],
        features=_listed(options["features"]),
        group=options["group"],
        kind=options["kind"],
        shots=options["shots"],
        image_size=options["image_size"] or Source.image_size,
        progress=progress,
    )


def _is_family(word: str, known: Sequence[str]) -> bool:
    if word in known or (re.fullmatch(r"[\w.]+:\w+", word) and not Path(word).exists()):
        return True
    return bool(get_close_matches(word, known, n=1)) and not Path(word).exists()


def _named(asked: Sequence[Asked]) -> list[Asked]:
    """With names: of the family; of the file where several are of one; numbered where these are alike."""
    short = [one.family.rpartition(":")[2] or one.family for one in asked]
    many = Counter(short)
    usual = [
        one.path.stem if one.path and many[name] > 1 else name for one, name in zip(asked, short, strict=True)
    ]
    taken: set[str] = set()
    found = []
    for one, name in zip(asked, usual, strict=True):
        free = next(n for n in (name, *(f"{name}-{i}" for i in range(2, len(asked) + 2))) if n not in taken)
        taken.add(free)
        found.append(replace(one, name=free))
    return found


def _listed(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names with commas between them; one that has a comma itself stands in quotes."""
    names = next(csv.reader([given], skipinitialspace=True), []) if isinstance(given, str) else given or ()
    return tuple(name.strip() for name in names if name.strip())
