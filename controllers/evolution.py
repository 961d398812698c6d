"""Regularised evolution over our own moves."""

from __future__ import annotations

from typing import NamedTuple

import optuna
from optuna.samplers import BaseSampler

from controllers.interface import CandidateSampler, candidates_of, fitness
from controllers.start import spread
from search_spaces import Candidate, Space, catalogue, crossover, mutate
from search_spaces.errors import SpaceError

_POPULATION = 20
_SAMPLE = 5
_CROSSOVER = 0.2  # part of the children that have two parents
_TRIES = 20


def build(space: Space, seed: int) -> BaseSampler:
    """The best of a few of the last 20 trials, with one choice moved; a spread start before.

    References:
        Real et al., *Regularized evolution*, 2019, https://arxiv.org/abs/1802.01548. Differs: a fifth
        of the children take their choices from two parents; nothing is tried twice.
    """
    return Evolution(space, seed)


class _Member(NamedTuple):
    fitness: tuple[int, float]
    candidate: Candidate


class Evolution(CandidateSampler):
    """See :func:`build`. A trial that got further counts more than any that was stopped before it.

    Args:
        space: What is proposed from.
        seed: Of its generators.
        population: Of the latest trials, from which parents come.
    """

    def __init__(self, space: Space, seed: int, population: int = _POPULATION) -> None:
        super().__init__(space, seed)
        self.population = population

    def propose(self, study: optuna.Study) -> Candidate:
        # those that failed or are running, here or on another machine, are no parents, but have been tried
        trials = study.get_trials(deepcopy=False)
        found = [(trial, self.candidate(trial)) for trial in trials]
        # a rule that is written in another way is the same one
        tried = {catalogue.identity(candidate) for candidate in self._proposed.values()}
        tried |= {catalogue.identity(candidate) for _, candidate in found if candidate is not None}
        scored = [(fitness(trial, study), candidate) for trial, candidate in found]
        members = [_Member(fit, c) for fit, c in scored if fit is not None and c is not None]
        if len(members) < _SAMPLE:
            return spread(self.space, candidates_of(study, self.space), self.rng)
        children = (self._child(members[-self.population :]) for _ in range(_TRIES))
        others = (self.space.sample(self.rng) for _ in range(_TRIES))
        for candidates in (children, others):
            for candidate in candidates:
                if catalogue.identity(candidate) not in tried:
                    return candidate
        return self.space.sample(self.rng)  # a space so small that all of it has been tried

    def _child(self, population: list[_Member]) -> Candidate:
        first = self._parent(population)
        try:
            if self.rng.random() < _CROSSOVER:
                return crossover(self.space, first, self._parent(population), self.rng)
            return mutate(self.space, first, self.rng)
        except SpaceError:  # all around the parent is forbidden
            return self.space.sample(self.rng)

    def _parent(self, population: list[_Member]) -> Candidate:
        drawn = self.rng.choice(len(population), size=_SAMPLE, replace=False)
        return max((population[int(i)] for i in drawn), key=lambda member: member.fitness).candidate
