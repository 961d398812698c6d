"""Optuna's tree-structured Parzen estimator."""

from __future__ import annotations

import warnings

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from search_spaces import Space

_STARTUP = 10  # random trials before the estimator speaks


def build(space: Space, seed: int) -> BaseSampler:
    """TPE, multivariate within each set of choices that are active together.

    References:
        Bergstra et al., *Algorithms for hyper-parameter optimization*, 2011; Optuna's ``TPESampler``.
    """
    with warnings.catch_warnings():
        # that Optuna may change what `group` means is for us to know; our range of versions takes care of it
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed % 2**32, multivariate=True, group=True, constant_liar=True, n_startup_trials=_STARTUP
        )
