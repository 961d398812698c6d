"""Uniform sampling: what every other controller must beat."""

from __future__ import annotations

import optuna
from optuna.samplers import BaseSampler

from controllers.interface import CandidateSampler
from search_spaces import Candidate, Space


def build(space: Space, seed: int) -> BaseSampler:
    """Draws every active choice uniformly on its own scale."""
    return Random(space, seed)


class Random(CandidateSampler):
    """See :func:`build`."""

    def propose(self, study: optuna.Study) -> Candidate:
        return self.space.sample(self.rng)
