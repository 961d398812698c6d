"""What a search is after: a good score, and what a learner may cost."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metanas import pareto
from search_spaces import Costs, Record
from search_spaces.errors import BudgetError, UnknownNameError

SCORE, LATENCY, PARAMETERS = "score", "latency", "parameters"
OBJECTIVES = (SCORE, LATENCY, PARAMETERS)
_MILLISECONDS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Goals:
    """What a search is after.

    Attributes:
        objectives: Of ``OBJECTIVES``, in their order; the score is one of them.
        max_params: Numbers in a learner that meta-training sets, at most; None: any.
        max_latency: Milliseconds to adapt to one task and answer one query, at most; None: any.
    """

    objectives: tuple[str, ...] = (SCORE,)
    max_params: int | None = None
    max_latency: float | None = None

    @property
    def several(self) -> bool:
        """Whether something else than the score matters, too."""
        return len(self.objectives) > 1

    @property
    def limited(self) -> bool:
        return self.max_params is not None or self.max_latency is not None

    @property
    def timed(self) -> bool:
        """Whether it matters how long learners take."""
        return LATENCY in self.objectives or self.max_latency is not None

    @property
    def in_words(self) -> str:
        """The limits as options of the command line."""
        size = [f"--max-params {self.max_params}"] if self.max_params is not None else []
        time = [f"--max-latency {self.max_latency:g}ms"] if self.max_latency is not None else []
        return " ".join(size + time)

    def over(self, costs: Costs) -> str:
        """Which limit a learner of these costs is over, in words; nothing if it is within all."""
        if self.max_params is not None and _none(costs.parameters) > self.max_params:
            return f"{size_words(costs)}, over --max-params {self.max_params}"
        if self.max_latency is not None and _none(costs.adapt_ms) > self.max_latency:
            return f"{latency_words(costs)} a task, over --max-latency {self.max_latency:g}ms"
        return ""

    def excess(self, costs: Costs) -> float:
        """How many times its limit a learner is, where it is most over it."""
        parts = [_none(costs.parameters) / self.max_params] if self.max_params is not None else []
        parts += [_none(costs.adapt_ms) / self.max_latency] if self.max_latency is not None else []
        return max(parts, default=0.0)

    def losses(self, loss: float, costs: Costs) -> tuple[float, ...]:
        """What is to be small, an objective each; what is not known is infinite.

        Args:
            loss: The score, or minus that where more is better.
            costs: Of the learner.
        """
        found = {SCORE: loss, LATENCY: _none(costs.adapt_ms), PARAMETERS: _none(costs.parameters)}
        return tuple(found[name] for name in self.objectives)

    def front(self, records: Iterable[Record]) -> list[Record]:
        """The trials with weights that no other beats in every objective, the best score first."""
        scored = [record for record in records if record.score and record.weights]
        rows = [self.losses(loss(r), r.costs) for r in scored]
        first = pareto.first(rows).tolist() if rows else []
        return [scored[i] for i in sorted(first, key=lambda i: rows[i])]

    def ends(self, records: Iterable[Record]) -> list[Record]:
        """Of the front, the trials that are best in one of the objectives; the first has the best score."""
        front = self.front(records)
        found = pareto.ends([self.losses(loss(r), r.costs) for r in front]) if front else []
        return [front[i] for i in dict.fromkeys(found)]

    def settings(self) -> dict[str, Any]:
        """As a study keeps them; nothing where only the score matters, as in studies of older versions."""
        limits = {PARAMETERS: self.max_params, LATENCY: self.max_latency}
        known = {name: value for name, value in limits.items() if value is not None}
        several = {"objectives": list(self.objectives)} if self.several else {}
        return several | ({"limits": known} if known else {})

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Goals:
        """Of a study's settings."""
        limits = settings.get("limits", {})
        objectives = tuple(settings.get("objectives", (SCORE,)))
        return cls(objectives, limits.get(PARAMETERS), limits.get(LATENCY))


def loss(record: Record) -> float:
    """The score of a scored trial, or minus that where more is better."""
    assert record.score is not None
    return signed(record, record.score.value)


def ranked(records: Iterable[Record]) -> list[Record]:
    """Scored trials, best validation score first."""
    return sorted((record for record in records if record.score is not None), key=loss)


def signed(record: Record, value: float) -> float:
    """A value on the scale of a scored trial, or minus that where more is better."""
    return -value if record.score is not None and record.score.metric == "accuracy" else value


def parse_objectives(text: str) -> tuple[str, ...]:
    """``score,latency`` as a tuple in the order of ``OBJECTIVES``.

    Raises:
        UnknownNameError: If there is no such objective; the known ones are listed.
        BudgetError: If the score is not one of them.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in OBJECTIVES:
            raise UnknownNameError(f"no objective called {name!r} (known: {', '.join(OBJECTIVES)})")
    if SCORE not in names:
        raise BudgetError(f"--objective {text} is without the score: say score,{text}")
    return tuple(name for name in OBJECTIVES if name in names)


def parse_latency(text: str) -> float:
    """``5ms``, ``0.2s`` or ``800us`` to milliseconds; a number alone is milliseconds.

    Raises:
        BudgetError: If it is nothing of the kind, or not positive.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(us|µs|ms|s)?\s*", text)
    found = float(match[1]) * _MILLISECONDS[match[2] or "ms"] if match else 0.0
    if not 0 < found < math.inf:
        raise BudgetError(f"--max-latency should be a time such as 5ms or 0.2s, not {text!r}")
    return found


def size_words(costs: Costs) -> str:
    """Parameters in words."""
    return "parameters unknown" if costs.parameters is None else f"{costs.parameters:,} parameters"


def latency_words(costs: Costs) -> str:
    """Latency in words."""
    return "time unknown" if costs.adapt_ms is None else f"{costs.adapt_ms:.3g} ms"


def in_words(objectives: Sequence[str]) -> str:
    """Objectives in words.

    Example:
        >>> in_words(OBJECTIVES)
        'score, latency and parameters'
    """
    *first, last = objectives
    return f"{', '.join(first)} and {last}" if first else last


def _none(cost: float | None) -> float:
    return math.inf if cost is None or math.isnan(cost) else float(cost)
