"""What a family of tasks is like, in a few numbers: how near one family is to another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from search_spaces.errors import DataError
from search_spaces.signature import Signature

OTHER_KIND = 1.0  # what regression is further from classification than any two of one kind


class Likeness(NamedTuple):
    """One number of two families; ``apart`` is its part of the squared distance."""

    what: str
    ours: float
    theirs: float
    apart: float


@dataclass(frozen=True)
class Fingerprint:
    """What a family is like at one setting.

    Attributes:
        family: Its name.
        signature: Of its tasks.
        measures: By name, statistics of sampled support sets and the scores of cheap probe learners on them;
            of about the size of 1, so that a difference of 1 is a large one.

    Example:
        >>> curves = Signature("regression", (1,), 1, 5)
        >>> a, b = Fingerprint("a", curves, {"linear": 0.9}), Fingerprint("b", curves, {"linear": 0.1})
        >>> a.distance(a), round(a.distance(b), 2), a.alike(b)[0].what
        (0.0, 0.36, 'linear')
    """

    family: str
    signature: Signature
    measures: Mapping[str, float]

    @property
    def coordinates(self) -> dict[str, float]:
        """Sizes, on logarithmic scales, and measures."""
        of = self.signature
        sizes = {
            "inputs, powers of ten": math.log10(math.prod(of.input_shape)),
            "images": float(len(of.input_shape) == 3),
            "outputs, powers of four": math.log2(of.outputs) / 2,
            "shots, powers of four": math.log2(of.shots) / 2,
        }
        return {**sizes, **self.measures}

    def distance(self, other: Fingerprint) -> float:
        """Root of the mean squared difference of what both have; more where their kinds differ."""
        kinds = OTHER_KIND * (self.signature.kind != other.signature.kind)
        return kinds + math.sqrt(sum(part.apart for part in self.alike(other)))

    def alike(self, other: Fingerprint) -> list[Likeness]:
        """What tells the two apart, the most first."""
        ours, theirs = self.coordinates, other.coordinates
        both = [name for name in ours if name in theirs]
        parts = [
            Likeness(name, ours[name], theirs[name], (ours[name] - theirs[name]) ** 2 / len(both))
            for name in both
        ]
        return sorted(parts, key=lambda part: -part.apart)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "family": self.family,
            "signature": self.signature.to_dict(),
            "measures": {name: float(value) for name, value in self.measures.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Fingerprint:
        """Reads what :meth:`to_dict` gave.

        Raises:
            DataError: If it is something else.
        """
        try:
            measures = {str(name): float(value) for name, value in values["measures"].items()}
            return cls(str(values["family"]), Signature.from_dict(values["signature"]), measures)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"not a fingerprint: {error!r}") from None
