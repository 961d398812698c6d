"""Who is stopped at a rung."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.pruners import BasePruner

FACTOR = 3  # of a rung's trials one in so many goes on, to a rung so many times further


def successive_halving(rungs: Sequence[int]) -> BasePruner:
    """Optuna's asynchronous successive halving on our rungs.

    Args:
        rungs: In meta-steps, each ``FACTOR`` times the one before.

    References:
        Li et al., *A system for massively parallel hyperparameter tuning*, 2020,
        https://arxiv.org/abs/1810.05934
    """
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=rungs[0], reduction_factor=FACTOR)
