"""What the learned controller takes from recorded studies to searches that do not have their records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from controllers.learned.categories import Categories
from controllers.learned.codes import Codes
from controllers.learned.features import Features
from controllers.learned.kernel import Data
from controllers.learned.policy import Policy
from controllers.learned.scales import REACH, SCALES, Priors
from search_spaces import Categorical, Choice, Space
from search_spaces.errors import DataError, MetanasError
from search_spaces.fingerprint import Fingerprint

if TYPE_CHECKING:
    from controllers.learned.proposing import Proposer

_FORMAT, _VERSION = "metanas-snapshot", "1"
_ARRAYS = ("lengths", "scales", "prior", "cost")
_LARGEST = 16_000_000  # bytes that are read


class Opinion(NamedTuple):
    """What is expected of a candidate by what it is made of, as a sum over its choices.

    Attributes:
        weights: ``(F,)``, of centred features.
    """

    features: Features
    weights: np.ndarray

    def mean(self, at: Data) -> np.ndarray:
        """``(N,)``."""
        found: np.ndarray = self.features.centred(at.x) @ self.weights
        return found


@dataclass(frozen=True, eq=False)
class Snapshot:
    """See the module. It knows choices by name, and says nothing of those that it has not met as they are.

    Attributes:
        space: Its choices, without what opens them.
        lengths: ``(B,)`` logarithms: medians of w, by choice that has more than one value.
        scales: ``(9,)`` the same of the kernel's other parameters.
        prior: ``(F,)``: how good a candidate is, of its centred features; in standard deviations of results.
        cost: ``(F,)``: the same of the logarithm of its seconds.
        fitted: What it was made from, in plain values; ``studies`` are their names.
        policy: That proposes candidates, beside others; None: it has none.
    """

    space: Space
    lengths: np.ndarray
    scales: np.ndarray
    prior: np.ndarray
    cost: np.ndarray
    fitted: Mapping[str, Any] = field(default_factory=dict)
    policy: Policy | None = None

    def __post_init__(self) -> None:
        features = self._home
        sizes = {"lengths": len(features.blocks), "scales": len(SCALES)}
        for name in _ARRAYS:
            array, size = getattr(self, name), sizes.get(name, features.width)
            if array.shape != (size,) or not np.isfinite(array).all():
                raise DataError(f"not a snapshot: {name} should be {size} finite numbers, got {array.shape}")
        if self.policy is not None:
            self.policy.check(Categories(Codes(self.space)))

    @cached_property
    def _home(self) -> Features:
        return Features(Codes(self.space))

    @cached_property
    def sha(self) -> str:
        """SHA-256 of :meth:`to_bytes`, in hexadecimal digits."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def priors(self, features: Features) -> Priors:
        """Medians of the kernel's parameters in another space; those of choices it does not know stay."""
        lengths = np.full(len(features.blocks), np.log(REACH / max(1, len(features.blocks))))
        for block, own in self._known(features).items():
            lengths[block] = self.lengths[own]
        return Priors(lengths, self.scales)

    def opinion(self, features: Features, *, of_cost: bool = False) -> Opinion:
        """How good candidates of a space are, or how dear."""
        weights, own = np.zeros(features.width), self.cost if of_cost else self.prior
        for block, there in self._known(features).items():
            weights[features.blocks[block]] = own[self._home.blocks[there]]
        return Opinion(features, weights)

    def proposer(self, codes: Codes, fingerprint: Fingerprint | None) -> Proposer | None:
        """Its policy in a space, for a family of which nothing is known if there is no fingerprint."""
        if self.policy is None:
            return None
        from controllers.learned.proposing import Proposer  # loads torch

        coordinates = {} if fingerprint is None else fingerprint.coordinates
        return Proposer(self.policy, Categories(Codes(self.space)), codes, coordinates)

    def _known(self, features: Features) -> dict[int, int]:
        """The blocks of a space that are ours too, with the number of ours."""
        ours = {choice.name: (block, choice) for block, choice in enumerate(self._home.choices)}
        pairs = {block: ours.get(choice.name) for block, choice in enumerate(features.choices)}
        found = {block: pair for block, pair in pairs.items() if pair is not None}
        return {b: n for b, (n, known) in found.items() if closed(features.choices[b]) == known}

    def to_bytes(self) -> bytes:
        """A safetensors file; the same snapshot gives the same bytes."""
        arrays = {name: np.ascontiguousarray(getattr(self, name), dtype=np.float64) for name in _ARRAYS}
        card = {"space": json.loads(self.space.to_json()), "fitted": dict(self.fitted)}
        if self.policy is not None:
            arrays |= self.policy.to_arrays()
            card["policy"] = self.policy.to_card()
        # one entry: the order of several is not kept from one process to the next
        whole = {"format": _FORMAT, "version": _VERSION, **card}
        return save(arrays, {"metanas": json.dumps(whole, sort_keys=True)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Snapshot:
        """Reads what :meth:`to_bytes` gave; runs no code from it.

        Raises:
            DataError: If it is something else, or of a newer metanas.
        """
        if len(data) > _LARGEST:
            raise DataError(f"not a snapshot: {len(data):,} bytes; those of ours have {_LARGEST:,} at most")
        try:
            size = int.from_bytes(data[:8], "little")
            card = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["metanas"])
            if (card["format"], card["version"]) != (_FORMAT, _VERSION):
                raise DataError(f"snapshot of another version: {card['version']!r}, not {_VERSION!r}")
            arrays = load(data)
            lengths, scales, prior, cost = (arrays[name].astype(np.float64) for name in _ARRAYS)
            space = Space.from_json(json.dumps(card["space"]))
            choices = (c for c in space.flat.values() if isinstance(c, Categorical) and not c.ordered)
            values = max((len(choice.values) for choice in choices), default=0)
            if values > len(prior):  # each has a feature, and what is made of them takes their square
                raise DataError(
                    f"not a snapshot: prior should be {values} numbers or more, got {prior.shape}"
                )
            policy = Policy.read(card["policy"], arrays) if "policy" in card else None
            return cls(space, lengths, scales, prior, cost, dict(card["fitted"]), policy)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError, SafetensorError) as error:
            raise DataError(f"not a snapshot: {error!r}") from None
        except MetanasError as error:
            raise DataError(str(error)) from None


def closed(choice: Choice) -> Choice:
    """A choice without what it opens."""
    return replace(choice, branches={}) if isinstance(choice, Categorical) else choice
