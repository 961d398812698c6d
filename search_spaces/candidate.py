"""A candidate: one point of a search space."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping

from search_spaces.errors import SpaceError

_PLAIN = "a string, a whole number, a finite real number, true or false"
Value = str | int | float | bool


class Candidate(Mapping[str, Value]):
    """One architecture with one rule and their settings, by dotted name; frozen.

    Holds active choices only. Equal candidates have equal ids, in whatever order their
    values were given.

    Example:
        >>> a = Candidate({"rule": "ridge", "rule.ridge.strength": 1.0})
        >>> a["rule"], a.part("rule.ridge")
        ('ridge', {'strength': 1.0})

    Raises:
        SpaceError: If a name is not a string or a value is not plain.
    """

    __slots__ = ("_values", "id")

    def __init__(self, values: Mapping[str, Value]) -> None:
        for name, value in values.items():
            _check(name, value)
        self._values = dict(sorted(values.items()))
        self.id: str = hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Candidate) and self.id == other.id

    def __repr__(self) -> str:
        return f"Candidate({self.to_json()})"

    def part(self, prefix: str) -> dict[str, Value]:
        """The values whose names lie under ``prefix``, by their names without it."""
        start = prefix + "."
        return {name[len(start) :]: value for name, value in self.items() if name.startswith(start)}

    def to_json(self) -> str:
        """Canonical: names sorted, no spaces, so that equal candidates have equal text."""
        return json.dumps(self._values, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Candidate:
        """Reads what :meth:`to_json` wrote.

        Raises:
            SpaceError: If the text is not one JSON object of plain values.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:  # also of numbers and nesting beyond Python's limits
            raise SpaceError(f"a candidate is one JSON object; this is not JSON: {error}") from None
        if not isinstance(values, dict):
            raise SpaceError(f"a candidate is one JSON object, not a {type(values).__name__}")
        return cls(values)


def _check(name: object, value: object) -> None:
    plain = isinstance(value, (str, int, float, bool))
    if not isinstance(name, str) or not plain or (isinstance(value, float) and not math.isfinite(value)):
        raise SpaceError(f"a candidate maps names to {_PLAIN}; got {name!r}: {value!r}")
