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

    def gain(draw: bool, others: dict[int, np.ndarray]) -> float:
        logs = []
        for task, ours in others.items():
            theirs = reference[task]
            if draw:
                theirs = theirs[rng.integers(len(theirs), size=len(theirs))]
                ours = ours[rng.integers(len(ours), size=len(ours))]
            threshold = float(np.median(theirs[:, at]))
            a, b = (float(np.median(needed(best, threshold))) for best in (theirs, ours))
            logs.append(np.log(a / b))
        return float(np.exp(np.mean(logs)))

    drawn = [gain(True, other) for _ in range(_DRAWS)]
    low, high = (float(q) for q in np.quantile(drawn, [0.05, 0.95]))
    nowhere = {task: np.full_like(ours, -np.inf) for task, ours in other.items()}
    return {"point": gain(False, other), "low": low, "high": high, "never": gain(False, nowhere)}
