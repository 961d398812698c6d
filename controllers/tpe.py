"""Optuna's tree-structured Parzen estimator."""

from __future__ import annotations

import warnings

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from controllers.start import MORE, TRIALS, Start
from search_spaces import Space


def build(space: Space, seed: int, dear: bool = False) -> BaseSampler:
    """TPE, multivariate within each set of choices that are active together, after a spread start.

    Args:
        space: What is proposed from.
        seed: Of its generators.
        dear: Whether a search makes but dozens of trials: then the start goes on around the best of it.

    References:
        Bergstra et al., *Algorithms for hyper-parameter optimization*, 2011; Optuna's ``TPESampler``.
    """
    with warnings.catch_warnings():
        # that Optuna may change what `group` means is for us to know; our range of versions takes care of it
        warnings.simplefilter("ignore", ExperimentalWarning)
        tpe = optuna.samplers.TPESampler(
            seed=seed % 2**32, multivariate=True, group=True, constant_liar=True, n_startup_trials=TRIALS // 2
        )
    return Start(space, seed, then=tpe, more=MORE if dear else 0)
