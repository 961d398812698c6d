"""How long every trial is trained to its first rung, where trials are compared after equal times."""

from __future__ import annotations

from collections.abc import Sequence

import optuna

from metanas.budget import Budget
from search_spaces import Record

SECONDS = "seconds to the first rung"  # of a study in Optuna
_PART = 0.0075  # of the budget that every trial gets to it; to others as many times more as these are further


def first_rung(study: optuna.Study, records: Sequence[Record], first: int, budget: Budget) -> float | None:
    """Seconds to it; None where trials are compared after equal meta-steps.

    A study goes on as it began, whatever is left for it now: else its old trials would be compared with new
    ones that had a fraction of their time.

    Args:
        study: Optuna's; it is told, where this is its first run.
        records: Of its trials so far.
        first: Meta-steps of the rung, where it goes by these.
        budget: Of this run.
    """
    known: float | None = study.user_attrs.get(SECONDS)
    by_steps = any(r.valid_curve[0][0] == first for r in records if r.parent is None and r.valid_curve)
    if known is None and budget.seconds is not None and not by_steps:
        known = _PART * budget.seconds
        study.set_user_attr(SECONDS, known)
    return known
