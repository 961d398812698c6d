"""NNI's controllers: its regularised evolution and its TPE, told of the study's trials before each proposal.

Neither keeps anything between two proposals, so a study can be gone on with, here or on another machine.
NNI is loaded when one of them is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from controllers import nested
from controllers.interface import CandidateSampler, candidate_of, fitness
from search_spaces import Candidate, Space

_POPULATION, _SAMPLE = 20, 10
_MUTATION = 0.15  # probability that a choice is drawn anew
# of TPE: values of a choice that are drawn before it has its say, and how greedy it is then
_TPE = {"n_startup_jobs": 5, "gamma": 0.5, "n_ei_candidates": 10}
_TRIES = 50


class NniEvolution(CandidateSampler):
    """NNI's regularised evolution: the best of a few of the last 20 trials, some of its choices drawn anew.

    Its ``RegularizedEvolution`` makes one proposal on an engine that takes one model. Nothing is tried twice.

    References:
        Real et al., *Regularized evolution*, 2019, https://arxiv.org/abs/1802.01548
    """

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(space, seed)
        from search_spaces import nni as bridge  # which says what to install where NNI is missing

        self._mutable = bridge.to_nni(space)

    @classmethod
    def build(cls, space: Space, seed: int) -> BaseSampler:
        """The controller over a space."""
        return cls(space, seed)

    def propose(self, study: optuna.Study) -> Candidate:
        from nni.nas.strategy import RegularizedEvolution
        from nni.nas.strategy.evolution import Individual

        from search_spaces.nni import LOCK, sample_of

        known = _known(study, self.space)
        tried = {c.id for c in (*self._proposed.values(), *(c for _, c in known))}
        scored = _scored(known, study)[-_POPULATION:]
        random = np.random.RandomState(self.rng.integers(2**32))
        with LOCK:
            strategy = RegularizedEvolution(
                population_size=_POPULATION,
                sample_size=_SAMPLE,
                mutation_prob=_MUTATION,
                dedup=False,  # which looks at inactive choices too
                seed=int(self.rng.integers(2**32)),
            )
            engine = _OneModel()
            strategy.initialize(_Untried(self.space, self._mutable, tried), engine)
            population = [Individual(sample_of(self._mutable, c, random), -loss) for c, loss in scored]
            strategy.load_state_dict(strategy.state_dict() | {"population": population})
            strategy.run()
        # none where the space is so small that all of it has been tried
        return engine.model or self.space.sample(self.rng)


class _OneModel:
    """What an ``ExecutionEngine`` of NNI's has to have: it takes one model, and has no budget for another."""

    model: Candidate | None = None

    def submit_models(self, *models: Candidate) -> None:
        self.model = models[0]

    def idle_worker_available(self) -> bool:
        return True

    def budget_available(self) -> bool:
        return self.model is None

    def wait_models(self, *models: Candidate) -> None: ...
    def register_model_event_callback(self, *_: Any) -> None: ...
    def unregister_model_event_callback(self, *_: Any) -> None: ...


class _Untried:
    """A model space for NNI: ours, less what has been tried; NNI draws anew where a sample is refused."""

    def __init__(self, space: Space, mutable: Any, tried: set[str]) -> None:
        self._space, self._mutable, self._tried = space, mutable, tried

    def simplify(self) -> dict[str, Any]:
        found: dict[str, Any] = self._mutable.simplify()
        return found

    def random(self, memo: dict[str, Any], random_state: Any) -> Candidate:
        self._mutable.random(memo, random_state)
        return self.freeze(memo)

    def freeze(self, sample: Mapping[str, Any]) -> Candidate:
        from nni.mutable import SampleValidationError

        from search_spaces.nni import candidate_of

        self._mutable.validate(sample)  # forbidden combinations too
        candidate = candidate_of(self._space, sample)
        if candidate.id in self._tried:
            raise SampleValidationError("tried before")
        return candidate


class NniTpe(CandidateSampler):
    """NNI's tree-structured Parzen estimator, choice by choice.

    Its ``TpeTuner`` imports the trials so far; those that run count as the best so far, as its own liar
    has it. What is forbidden, or was tried, is drawn anew.

    References:
        Bergstra et al., *Algorithms for hyper-parameter optimization*, 2011
    """

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(space, seed)
        from search_spaces import nni as _  # noqa: F401  # which says what to install where NNI is missing

        self._spec = nested.search_space(space)

    @classmethod
    def build(cls, space: Space, seed: int) -> BaseSampler:
        """The controller over a space."""
        return cls(space, seed)

    def propose(self, study: optuna.Study) -> Candidate:
        known = _known(study, self.space)
        tried = {c.id for c in (*self._proposed.values(), *(c for _, c in known))}
        tuner = self._told(known, study)
        for attempt in range(_TRIES):
            candidate = nested.candidate_of(self.space, tuner.generate_parameters(attempt))
            tuner.trial_end(attempt, False)
            if candidate.id not in tried and self.space.objection(candidate) is None:
                return candidate
        return self.space.sample(self.rng)  # a space so small that all of it has been tried

    def _told(self, known: Sequence[tuple[FrozenTrial, Candidate]], study: optuna.Study) -> Any:
        """A tuner that knows the trials."""
        from nni.algorithms.hpo.tpe_tuner import TpeTuner

        scored = _scored(known, study)
        running = [candidate for trial, candidate in known if trial.state == TrialState.RUNNING]
        data = [*scored, *((candidate, 0.0) for candidate in running if scored)]
        tuner = TpeTuner("minimize", int(self.rng.integers(2**32)), _TPE)
        tuner.update_search_space(self._spec)
        tuner.dedup = _Anything()
        tuner.import_data([{"parameter": self._parameter(c), "value": loss} for c, loss in data])
        return tuner

    def _parameter(self, candidate: Candidate) -> dict[str, Any]:
        """The candidate for NNI; what that asks of inactive choices is drawn, the same each time."""
        random = np.random.default_rng([self.seed, int(candidate.id, 16)])
        return nested.parameters_of(self.space, candidate, random)


class _Anything:
    """In the place of NNI's deduplicator, which takes most of the time and looks at inactive choices too."""

    def __call__(self, parameters: dict[Any, Any]) -> dict[Any, Any]:
        return parameters

    def add_history(self, parameters: dict[Any, Any]) -> None: ...


PLUGINS = {"nni-evolution": NniEvolution, "nni-tpe": NniTpe}


def _known(study: optuna.Study, space: Space) -> list[tuple[FrozenTrial, Candidate]]:
    """Trials that are points of the space, with what they tried."""
    pairs = ((trial, candidate_of(trial, space)) for trial in study.get_trials(deepcopy=False))
    return [(trial, candidate) for trial, candidate in pairs if candidate is not None]


def _scored(
    known: Sequence[tuple[FrozenTrial, Candidate]], study: optuna.Study
) -> list[tuple[Candidate, float]]:
    """What was scored, with its rank: 0 for the best; NNI only compares, and knows of no rungs."""
    found = [(candidate, fit) for trial, candidate in known if (fit := fitness(trial, study)) is not None]
    levels = sorted({fit for _, fit in found}, reverse=True)
    return [(candidate, float(levels.index(fit))) for candidate, fit in found]
