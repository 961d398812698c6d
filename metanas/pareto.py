"""What no other beats in every respect, and in which order to go on with what is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def fronts(losses: npt.ArrayLike) -> list[Array]:
    """Non-dominated sorting.

    One dominates another if it is nowhere worse, and better somewhere. The first front is what nothing
    dominates; the next one is what nothing dominates once that is taken away, and so on.

    Args:
        losses: ``(N, D)``, less is better; no number is the worst of all.

    Returns:
        Indices of each front, ascending; every index is in one of them.

    Example:
        >>> [front.tolist() for front in fronts([[1, 3], [2, 2], [2, 3], [3, 3]])]
        [[0, 1], [2], [3]]

    References:
        Deb et al., *NSGA-II*, 2002, https://doi.org/10.1109/4235.996017
    """
    values = _worst(losses)
    one, other = values[:, None], values[None]
    beaten: Array = np.all(one <= other, -1) & np.any(one < other, -1)  # (N, N): the column, by the row
    by, found = beaten.sum(0), []  # by how many of those that are left
    while np.any(by >= 0):
        found.append(np.flatnonzero(by == 0))
        by -= beaten[found[-1]].sum(0)
        by[found[-1]] = -1  # it is beaten by nobody any more
    return found


def first(losses: npt.ArrayLike) -> Array:
    """Indices of the first of the :func:`fronts`, ascending, in time and memory that suit many thousands.

    Args:
        losses: ``(N, D)``, less is better; no number is the worst of all.
    """
    values = _worst(losses)
    kept, found = np.empty_like(values), list[int]()
    for index in np.lexsort(values.T[::-1]).tolist():  # who is dominated comes after whom it is dominated by
        one, others = values[index], kept[: len(found)]
        if not np.any(np.all(others <= one, -1) & np.any(others < one, -1)):
            kept[len(found)] = one
            found.append(index)
    return np.sort(np.array(found, int))


def order(losses: npt.ArrayLike) -> list[int]:
    """Indices, the best first: by front, and within one those first that have no others like them.

    Before all of a front come its ends, which are the best in one respect; of these, the end of the first
    respect.

    Args:
        losses: ``(N, D)``, less is better; no number is the worst of all.

    References:
        As :func:`fronts`. Differs: distances are between ranks among all N, as scores span decades and
        share no unit with milliseconds; ends are the best in a respect only, not the worst, too.
    """
    values = _worst(losses)
    from scipy.stats import rankdata  # takes most of a second to load

    ranks = np.asarray(rankdata(values, axis=0)) if len(values) else values
    found: list[int] = []
    for front in fronts(values):
        apart = _apart(ranks[front])
        found += front[np.lexsort((front, values[front, 0], -apart))].tolist()
    return found


def ends(losses: npt.ArrayLike) -> list[int]:
    """Of the first front, by respect: the index of the best there; in a tie, the better one elsewhere."""
    values = _worst(losses)
    front = first(values) if len(values) else np.zeros(0, int)
    respects: Sequence[int] = range(values.shape[1]) if len(front) else ()
    return [int(front[_best(values[front], respect)]) for respect in respects]


def _apart(ranks: Array) -> Array:
    """``(N,)``: how far apart the neighbours of each are, summed over respects; infinite for ends."""
    found = np.zeros(len(ranks))
    for respect in range(ranks.shape[1]):
        along = np.lexsort((ranks.sum(1), ranks[:, respect]))
        steps = np.diff(ranks[along, respect])
        # the worst has a neighbour on one side only: it counts twice
        steps = np.concatenate([[0.0], steps, steps[-1:]])[: len(ranks) + 1]
        found[along[: len(steps) - 1]] += steps[:-1] + steps[1:]
        found[_best(ranks, respect)] = np.inf
    return found


def _best(values: Array, respect: int) -> int:
    from scipy.stats import rankdata

    return int(np.lexsort((rankdata(values, axis=0).sum(1), values[:, respect]))[0])


def _worst(losses: npt.ArrayLike) -> Array:
    values = np.asarray(losses, float)
    return np.where(np.isnan(values), np.inf, values)
