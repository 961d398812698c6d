"""How many evaluations replayed searches need to get how far, and how many times as many others do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from replay import Replay

THRESHOLD_AT = 100  # evaluations, of the reference
_DRAWS = 2000  # of the bootstrap


def bests(valid: np.ndarray, replays: Sequence[Replay], evaluations: int) -> np.ndarray:
    """``(S, E)``: the best value so far, after each evaluation."""
    found = np.empty((len(replays), evaluations))
    for i, one in enumerate(replays):
        best = np.maximum.accumulate(np.nan_to_num(valid[one.found], nan=-np.inf))
        found[i] = np.concatenate([best, np.full(evaluations - len(best), best[-1])])
    return found


def needed(best: np.ndarray, threshold: float) -> np.ndarray:
    """``(S,)``: evaluations to the threshold; the budget where it is never reached."""
    reached = best >= threshold
    return np.where(reached.any(1), reached.argmax(1) + 1, best.shape[1]).astype(float)


def ratio(reference: dict[int, np.ndarray], other: dict[int, np.ndarray]) -> dict[str, float]:
    """How many times as many evaluations a reference needs to its own median best at 100; with its interval.

    Who does not get there counts with its budget: ``never`` is what one comes to that never does. Ratios
    near it say that few searches got there, not how much longer they would have taken.

    Args:
        reference: By task, ``(S, E)`` bests.
        other: Those of what is measured by it.
    """
    at = min(THRESHOLD_AT, next(iter(reference.values())).shape[1]) - 1
    rng = np.random.default_rng(0)
    sizes = [len(found) for task in other for found in (reference[task], other[task])]
    drawn = [[rng.integers(size, size=size) for size in sizes] for _ in range(_DRAWS)]
    some = [np.array(one) for one in zip(*drawn, strict=True)]  # by task, of the reference and of the other
    all_once = [np.arange(size)[None] for size in sizes]

    def gains(which: list[np.ndarray], others: dict[int, np.ndarray]) -> np.ndarray:
        pairs = zip(others.items(), which[::2], which[1::2], strict=True)
        logs = [_log_ratio(reference[task], ours, at, a, b) for (task, ours), a, b in pairs]
        return np.asarray(np.exp(np.mean(logs, 0)))

    low, high = (float(q) for q in np.quantile(gains(some, other), [0.05, 0.95]))
    nowhere = {task: np.full_like(ours, -np.inf) for task, ours in other.items()}
    point, never = (float(gains(all_once, others)[0]) for others in (other, nowhere))
    return {"point": point, "low": low, "high": high, "never": never}


def _log_ratio(
    theirs: np.ndarray, ours: np.ndarray, at: int, some: np.ndarray, mine: np.ndarray
) -> np.ndarray:
    """``(D,)``: of some searches ``(D, S)`` of a reference and of another, what both need to its median."""
    thresholds = np.median(theirs[:, at][some], 1)
    needs = [
        np.median(np.take_along_axis(_needs(best, thresholds), which, 1), 1)
        for best, which in ((theirs, some), (ours, mine))
    ]
    return np.asarray(np.log(needs[0] / needs[1]))


def _needs(best: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """``(D, S)``: :func:`needed` for several thresholds; what is best so far never falls."""
    found = np.stack([np.searchsorted(one, thresholds) for one in best], 1)
    return np.minimum(found + 1, best.shape[1])
