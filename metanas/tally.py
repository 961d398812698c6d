"""What the trials of a study come to, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metanas.goals import Goals
from metanas.words import in_words
from search_spaces import Record

STATES = ("complete", "pruned", "failed")


def added(records: Sequence[Record], result: Mapping[str, Any]) -> int:
    """How many trials have ended since that result was written."""
    before: int = sum(result["trials"].values())
    return max(0, sum(counts(records).values()) - before)


def counts(records: Sequence[Record]) -> dict[str, int]:
    """How many trials ended how."""
    return {state: sum(record.state == state for record in records) for state in STATES}


def front_rows(records: Sequence[Record], goals: Goals) -> list[dict[str, Any]]:
    """The trials that no other beats in every objective, the best score first; none of one objective."""
    return [_on_front(record) for record in goals.front(records)] if goals.several else []


def _on_front(record: Record) -> dict[str, Any]:
    return {
        "trial": record.number,
        "score": record.score.value if record.score else None,
        "ci95": record.score.ci95 if record.score else None,
        "latency": record.costs.adapt_ms,
        "parameters": record.costs.parameters,
        **in_words(record.candidate),
    }
