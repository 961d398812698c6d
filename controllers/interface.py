"""What a controller is: an Optuna sampler that proposes whole candidates of our space."""

from __future__ import annotations

import math
import threading
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from search_spaces import Candidate, Categorical, Choice, Space, Value
from search_spaces.errors import SpaceError
from search_spaces.record import PARENT

ONE_BY_ONE = threading.RLock()
"""Held while a controller proposes: a study may be optimised by several threads (``n_jobs``)."""


class CandidateSampler(BaseSampler):
    """Proposes a candidate before the trial begins, and answers Optuna's questions from it.

    So a controller of ours need not know conditional spaces through Optuna's eyes, and can still
    drive any Optuna study over our space.

    Attributes:
        space: What is proposed from.
        seed: Of its generators.
        rng: Of the trial at hand. Each has its own, so that machines which search together with one
            seed do not propose the same, and a search that goes on does not begin anew.

    One sampler drives one study.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self.space = space
        self.seed = seed
        self.rng = np.random.default_rng([seed, 0])
        self._proposed: dict[int, Candidate] = {}
        self._ended: dict[int, Candidate | None] = {}

    @abstractmethod
    def propose(self, study: optuna.Study) -> Candidate:
        """The next candidate, legal in the space."""

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        with ONE_BY_ONE:
            self.rng = np.random.default_rng([self.seed, trial.number])
            # a trial that was enqueued with fixed parameters asks for nothing of ours
            self._proposed[trial.number] = self._whole(self.propose(study))

    def _whole(self, proposed: Candidate) -> Candidate:
        """What was proposed; what it lacks would be drawn by chance. Its values are checked by who asks."""

        def decide(choice: Choice) -> Value:
            single = isinstance(choice, Categorical) and len(choice.values) == 1
            if choice.name not in proposed and not single:
                raise SpaceError(f"the controller proposed no {choice.name}: {proposed}")
            return proposed.get(choice.name, choice.values[0] if single else None)  # type: ignore

        self.space.walk(decide)
        return proposed

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
        with ONE_BY_ONE:
            self._proposed.pop(trial.number, None)

    def candidate(self, trial: FrozenTrial) -> Candidate | None:
        """The candidate of a trial of one study, see :func:`candidate_of`; read once if it has ended."""
        if trial.number in self._ended:
            return self._ended[trial.number]
        found = candidate_of(trial, self.space)
        if trial.state.is_finished():
            self._ended[trial.number] = found
        return found


def candidates_of(study: optuna.Study, space: Space) -> list[Candidate]:
    """The candidates of all trials of a study that are points of the space, running ones too."""
    found = (candidate_of(trial, space) for trial in study.get_trials(deepcopy=False))
    return [candidate for candidate in found if candidate is not None]


def candidate_of(trial: FrozenTrial, space: Space) -> Candidate | None:
    """The candidate of a trial: its parameters, and the space's single values merged in.

    Returns:
        None if it is no point of the space: the trial ended before it was told all its parameters,
        was refused, or is of another space.
    """

    def decide(choice: Choice) -> Value:
        if isinstance(choice, Categorical) and len(choice.values) == 1 and choice.name not in trial.params:
            return choice.values[0]
        value: Value = trial.params[choice.name]
        return value

    try:
        candidate = space.walk(decide)
        space.validate(candidate)
    except (KeyError, SpaceError):
        return None
    return candidate


def fitness(trial: FrozenTrial, study: optuna.Study) -> tuple[int, float] | None:
    """The rung that a trial got to, 0 in a study without rungs, and its score there: more is better.

    Returns:
        None if it was not scored, for it runs, failed or was refused; or if it goes on from another, whose
        training its score is owed to, too.
    """
    ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and PARENT not in trial.user_attrs
    if not ended or not (trial.intermediate_values or trial.value is not None):
        return None
    rung = max(trial.intermediate_values, default=0)
    value = trial.intermediate_values.get(rung, trial.value)
    if value is None or not math.isfinite(value):
        return rung, -math.inf
    return rung, value if study.direction == optuna.study.StudyDirection.MAXIMIZE else -value
