"""What a controller is: an Optuna sampler that proposes whole candidates of our space."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from search_spaces import Candidate, Space


class CandidateSampler(BaseSampler):
    """Proposes a candidate before the trial begins, and answers Optuna's questions from it.

    So a controller of ours need not know conditional spaces through Optuna's eyes, and can still
    drive any Optuna study over our space.

    Args:
        space: What is proposed from.
        seed: Of its generator.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self.space = space
        self.rng = np.random.default_rng(seed)
        self._proposed: dict[int, Candidate] = {}

    @abstractmethod
    def propose(self, study: optuna.Study) -> Candidate:
        """The next candidate, legal in the space."""

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        # a trial that was enqueued with fixed parameters asks for nothing of ours
        self._proposed[trial.number] = self.propose(study)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        proposed: Mapping[str, Any] = self._proposed.get(trial.number, {})
        if param_name in proposed:
            return proposed[param_name]
        # a name that the space does not have: somebody else's study; drawn as Optuna would
        return optuna.samplers.RandomSampler(seed=int(self.rng.integers(2**31))).sample_independent(
            study, trial, param_name, param_distribution
        )

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        self._proposed.pop(trial.number, None)


def candidate_of(trial: FrozenTrial, space: Space) -> Candidate:
    """The candidate of a trial: its parameters, and the space's single values merged in."""
    params: Mapping[str, Any] = trial.params
    return space.walk(lambda choice: params[choice.name] if choice.name in params else choice.values[0])  # type: ignore[union-attr]
