"""A budget: so many seconds, so many trials, or whichever is spent first."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from search_spaces.errors import BudgetError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# when, as parts of the budget, each phase should be over; the rest is for scoring, pictures and files
SEARCH, FINISH, BASELINES = 0.40, 0.80, 0.93


def parse(text: str) -> float:
    """``90s``, ``10m``, ``1.5h`` or ``1d`` to seconds.

    Raises:
        BudgetError: If it is nothing of the kind, or not positive.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", text)
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else 0.0
    if seconds <= 0 or not math.isfinite(seconds):
        raise BudgetError(f"--budget should be a time such as 90s, 10m or 2h, not {text!r}")
    return seconds


@dataclass(frozen=True)
class Budget:
    """What a run may spend; it counts from the moment it is made, or from a while before.

    Attributes:
        seconds: In all, final scoring included; None: no limit.
        trials: New trials of this run; None: no limit.
        clock: Seconds on a monotonic clock.
        before: Seconds that went by before it was made, and are a part of it: phases share the others. Of a
            tiny budget half at most, so that something is done.
    """

    seconds: float | None = None
    trials: int | None = None
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    before: float = 0.0
    started: float = field(init=False)

    def __post_init__(self) -> None:
        if self.trials is not None and self.trials < 1:
            raise BudgetError(f"--trials should be at least 1, not {self.trials}")
        if self.seconds is not None:
            object.__setattr__(self, "before", min(self.before, self.seconds / 2))
        object.__setattr__(self, "started", self.clock() - self.before)

    def part(self, share: float) -> Budget:
        """A budget of its own, of that share of the time that is left; as many trials."""
        seconds = None if self.seconds is None else max(1.0, share * self.left())
        return Budget(seconds, self.trials, self.clock)

    def rest(self, share: float) -> Budget:
        """A budget of that share of the time that is left, of which the part for searching is spent."""
        found = Budget(None, self.trials, self.clock)
        if self.seconds is None:
            return found
        seconds = max(1.0, share * self.left()) / (1 - SEARCH)
        found = Budget(seconds, self.trials, self.clock)
        object.__setattr__(found, "started", found.started - SEARCH * seconds)
        return found

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.started

    def left(self, until: float = 1.0) -> float:
        """Seconds to the time by which that part of the budget should be spent; never below 0."""
        if self.seconds is None:
            return math.inf
        return max(0.0, self.before + until * (self.seconds - self.before) - self.spent)
