"""Who is stopped at a rung."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.pruners import BasePruner

FACTOR = 3  # of a rung's trials one in so many goes on, to a rung so many times further


def ladder(first: int, count: int) -> tuple[int, ...]:
    """So many rungs, each ``FACTOR`` times the one before.

    Example:
        >>> ladder(200, 3)
        (200, 600, 1800)
    """
    return tuple(first * FACTOR**i for i in range(count))


def successive_halving(rungs: Sequence[int]) -> BasePruner:
    """Optuna's asynchronous successive halving on our rungs.

    Args:
        rungs: In meta-steps, as :func:`ladder` makes them.

    References:
        Li et al., *A system for massively parallel hyperparameter tuning*, 2020,
        https://arxiv.org/abs/1810.05934
    """
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=rungs[0], reduction_factor=FACTOR)
