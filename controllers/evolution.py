"""Regularised evolution over our own moves."""

from __future__ import annotations

import math

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from controllers.interface import CandidateSampler, candidate_of
from search_spaces import Candidate, Space, crossover, mutate

_POPULATION = 20
_SAMPLE = 5
_CROSSOVER = 0.2  # part of the children that have two parents
_TRIES = 20


def build(space: Space, seed: int) -> BaseSampler:
    """The best of a few of the last 20 trials, with one choice moved.

    References:
        Real et al., *Regularized evolution*, 2019, https://arxiv.org/abs/1802.01548. Differs: a fifth
        of the children take their choices from two parents; nothing is tried twice.
    """
    return Evolution(space, seed)


class Evolution(CandidateSampler):
    """See :func:`build`. A trial that got further counts more than any that was stopped before it."""

    def propose(self, study: optuna.Study) -> Candidate:
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        scored = [t for t in study.get_trials(deepcopy=False, states=states) if t.intermediate_values]
        tried = {candidate.id for candidate in self._proposed.values()}
        tried |= {candidate_of(trial, self.space).id for trial in scored}
        for _ in range(_TRIES):
            child = self._child(scored[-_POPULATION:], study)
            if child.id not in tried:
                return child
        return self.space.sample(self.rng)

    def _child(self, population: list[FrozenTrial], study: optuna.Study) -> Candidate:
        if len(population) < _SAMPLE:
            return self.space.sample(self.rng)
        first = self._parent(population, study)
        if self.rng.random() < _CROSSOVER:
            return crossover(self.space, first, self._parent(population, study), self.rng)
        return mutate(self.space, first, self.rng)

    def _parent(self, population: list[FrozenTrial], study: optuna.Study) -> Candidate:
        drawn = self.rng.choice(len(population), size=_SAMPLE, replace=False)
        return candidate_of(
            max((population[int(i)] for i in drawn), key=lambda t: _fitness(t, study)), self.space
        )


def _fitness(trial: FrozenTrial, study: optuna.Study) -> tuple[int, float]:
    rung = max(trial.intermediate_values)
    value = trial.intermediate_values[rung]
    sign = 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1
    return rung, sign * value if math.isfinite(value) else -math.inf
