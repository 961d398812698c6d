"""Candidates as an in-context model reads them: the same columns, whatever the space."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from controllers.learned.features import Features
from search_spaces import Categorical, Choice
from search_spaces.errors import SpaceError

CHOICES, VALUES = 32, 10  # at most, and values of each
FEWEST, MOST = 6, 128  # results that it is taught to read
WIDTH = 2 * CHOICES * VALUES  # of a token: columns of choices without an order, and of those with one


def is_readable(features: Features) -> bool:
    """Whether a space has few enough choices and values; numbers have any."""
    widths = zip(features.choices, features.widths.tolist(), strict=True)
    return len(features.choices) <= CHOICES and all(w <= VALUES or _is_ordered(c) for c, w in widths)


@dataclass
class View:
    """Choices and values in an order that means nothing, and is drawn: what is read is the same in any.

    Args:
        features: Of at most 32 choices; of at most ten values, those that have no order.
        rng: That draws the order.

    Attributes:
        columns: ``(F,)``: of a token, by feature.
        factors: ``(F,)``: by which a centred feature is put there.

    Raises:
        SpaceError: If there are more.
    """

    features: Features
    rng: np.random.Generator
    columns: np.ndarray = field(init=False)
    factors: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        if not is_readable(self.features):
            raise SpaceError(f"an in-context model reads at most {CHOICES} choices of {VALUES} values")
        slots, values = self.rng.permutation(CHOICES), self.rng.permutation(VALUES)
        columns, factors = [np.zeros(0, dtype=int)], [np.zeros(0)]
        widths = self.features.widths.tolist()
        for slot, width, choice in zip(slots, widths, self.features.choices, strict=False):
            ordered = _is_ordered(choice)
            up = not ordered or self.rng.random() < 0.5
            # one order of values for all choices: those that have the same ones stay alike
            places = np.arange(width) * VALUES // width if ordered else values[:width]
            together = np.bincount(places)[places]  # so that switches that share a column count as much
            columns.append(VALUES * (slot + CHOICES * ordered) + (places if up else VALUES - 1 - places))
            factors.append((1.0 if up else -1.0) / np.sqrt(together))
        self.columns, self.factors = np.concatenate(columns), np.concatenate(factors)

    def of(self, x: np.ndarray) -> np.ndarray:
        """``(N, WIDTH)`` of features ``(N, F)``; distances stay what they are, but of numbers about so."""
        found = np.zeros((WIDTH, len(x)), dtype=np.float32)
        turned = self.features.centred(x) * self.factors
        np.add.at(found, self.columns, turned.T.astype(np.float32))
        return found.T


def _is_ordered(choice: Choice) -> bool:
    return not isinstance(choice, Categorical) or choice.ordered
