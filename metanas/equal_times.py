"""How long every trial is trained to its first rung, where trials are compared after equal times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import optuna

from metanas.budget import Budget
from search_spaces import Record

SECONDS = "seconds to the first rung"  # of a study in Optuna
_PART = 0.0075  # of the budget that every trial gets to it; to others as many times more as these are further


@dataclass(frozen=True)
class FirstRung:
    """How long trials are trained to the first rung.

    Attributes:
        seconds: Each of them.
        is_long: Whether the study began with more time than this run has: it cannot try as much then.
    """

    seconds: float
    is_long: bool


def first_rung(
    study: optuna.Study, records: Sequence[Record], first: int, budget: Budget
) -> FirstRung | None:
    """The first rung of this run; None where trials are compared after equal meta-steps.

    A study goes on as it began, whatever is left for it now: else its old trials would be compared with new
    ones that had a fraction of their time.

    Args:
        study: Optuna's; it is told, where this is its first run.
        records: Of its trials so far.
        first: Meta-steps of the rung, where it goes by these.
        budget: Of this run.
    """
    known: float | None = study.user_attrs.get(SECONDS)
    usual = known if budget.seconds is None else _PART * budget.seconds
    # those that were compared after equal times, by a version that did not note this, differ
    steps = {record.valid_curve[0][0] for record in records if record.parent is None and record.valid_curve}
    if known is None and steps != {first}:
        known = usual
        if known is not None:
            study.set_user_attr(SECONDS, known)
    return None if known is None or usual is None else FirstRung(known, known > usual)
