"""What a policy is made of: plain arrays inside a snapshot; no torch is needed to read or check them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from controllers.learned.categories import Categories
from search_spaces.errors import DataError

ARRAYS = ("value", "family", "found", "again", "choice", "hidden", "bias", "out", "out_bias")
PREFIX = "policy."  # of their names in a file
_VERSION = "1"
_WIDEST = 256  # H that is read: more is no policy of ours
_FARTHEST = 3.0  # deviations of a family from those of the studies


@dataclass(frozen=True, eq=False)
class Policy:
    """An autoregressive distribution over candidates, see :mod:`controllers.learned.network`.

    Attributes:
        arrays: By name, as :func:`shapes` has them.
        measures: Of families of tasks: by coordinate, its mean and deviation over the studies it learned
            from; see :class:`search_spaces.fingerprint.Fingerprint`.
    """

    arrays: Mapping[str, np.ndarray]
    measures: Mapping[str, tuple[float, float]]

    def check(self, home: Categories) -> None:
        """Checks that it is a policy over these categories.

        Raises:
            DataError: If not.
        """
        width = len(np.atleast_1d(self.arrays["bias"]))
        if not 0 < width <= _WIDEST or not len(home.counts):
            raise DataError(f"not a policy: its layers should have 1 to {_WIDEST} units, got {width}")
        for name, shape in shapes(home, len(self.measures), width).items():
            array = self.arrays[name]
            if array.shape != shape or not np.isfinite(array).all():
                raise DataError(f"not a policy: {name} should be {shape} finite numbers, got {array.shape}")

    def family(self, coordinates: Mapping[str, float]) -> np.ndarray:
        """``(F,)``: a family as the network sees it; zeros where nothing is known of it."""
        found = [
            (coordinates.get(name, mean) - mean) / deviation
            for name, (mean, deviation) in self.measures.items()
        ]
        return np.asarray(np.clip(np.array(found, dtype=float), -_FARTHEST, _FARTHEST))

    def to_card(self) -> dict[str, Any]:
        """What is not an array, in plain values."""
        return {"version": _VERSION, "measures": {name: list(pair) for name, pair in self.measures.items()}}

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The arrays, as a file has them."""
        return {PREFIX + name: np.ascontiguousarray(self.arrays[name], np.float32) for name in ARRAYS}

    @classmethod
    def read(cls, card: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Policy:
        """Reads what :meth:`to_card` and :meth:`to_arrays` gave.

        Raises:
            DataError: If it is of a newer metanas.
            KeyError: If something is missing; TypeError and ValueError, if it is something else.
        """
        if card["version"] != _VERSION:
            raise DataError(f"policy of another version: {card['version']!r}, not {_VERSION!r}")
        measures = {str(name): (float(mean), float(by)) for name, (mean, by) in card["measures"].items()}
        if not all(np.isfinite(pair).all() and pair[1] > 0 for pair in measures.values()):
            raise ValueError("means and deviations of families should be finite, deviations positive")
        return cls({name: arrays[PREFIX + name].astype(np.float32) for name in ARRAYS}, measures)


def shapes(home: Categories, measures: int, width: int) -> dict[str, tuple[int, ...]]:
    """By array, its shape: J choices of at most K categories, F measures, H units.

    ``value`` is what a value adds to the units once it is chosen; ``family`` and ``found`` what a family and
    the number of results add; ``again``, by choice, how likely the values of the best results are to be taken
    again; ``choice`` stands for the choice at hand; ``hidden`` and ``bias`` are a layer; ``out`` and
    ``out_bias`` give the logits.
    """
    choices, most = len(home.counts), home.most
    values = (choices, most, width)
    return {
        "value": values,
        "family": (measures, width),
        "found": (width,),
        "again": (choices,),
        "choice": (choices, width),
        "hidden": (width, width),
        "bias": (width,),
        "out": values,
        "out_bias": (choices, most),
    }


def translated(policy: Policy, home: Categories, ours: Categories) -> dict[str, np.ndarray]:
    """The arrays of a policy over the categories of another space.

    Choices are matched by name, categories by value. What the policy does not know adds nothing, and is
    drawn as often as the mean of what it knows of the same choice; of an unknown choice, uniformly.
    """
    at, to = ours.known(home)
    both = (at[:, None] >= 0) & (to >= 0)
    found = dict(policy.arrays)
    for name in ("value", "out", "out_bias"):
        there = policy.arrays[name][at[:, None], to]
        found[name] = np.where(both.reshape(both.shape + (1,) * (there.ndim - 2)), there, 0)
    found["choice"] = np.where(at[:, None] >= 0, policy.arrays["choice"][at], 0)
    found["again"] = np.where(at >= 0, policy.arrays["again"][at], 0)
    # several of ours may be one of theirs, whose probability they share
    alike = (to[:, :, None] == to[:, None, :]).sum(2)
    found["out_bias"] = found["out_bias"] - np.where(both, np.log(alike), 0)
    for j, known in enumerate(both):
        if known.any():
            strange = ours.exists[j] & ~known
            found["out"][j, strange] = found["out"][j, known].mean(0)
            found["out_bias"][j, strange] = found["out_bias"][j, known].mean()
    return found
