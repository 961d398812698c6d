"""How a search starts: with candidates that differ as much as they can, before anything is known."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import product
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from controllers.interface import ONE_BY_ONE, CandidateSampler, candidate_of, candidates_of, fitness
from search_spaces import Candidate, Categorical, Choice, Space, Value
from search_spaces.errors import SpaceError
from search_spaces.record import REFUSED

TRIALS = 12  # of a start, all parts spread
MORE = 6  # of it, with other settings than the best so far, and as many with other choices of its parts
_MANY = 1000  # combinations of parts

Parts = tuple[Value, ...]


def spread(
    space: Space, tried: Sequence[Candidate], rng: np.random.Generator, kept: Candidate | None = None
) -> Candidate:
    """A candidate of the parts that were combined least, with the values that they were given least.

    The parts are the roots of the space that open branches (architecture, rule). With R combinations
    of them, every value of a choice of V values has met every combination after about R × V
    candidates, where uniform draws would have left out a third of these pairs.

    Args:
        space: What is proposed from.
        tried: Candidates so far.
        rng: Breaks ties.
        kept: Values that it has in any case, those of all parts among them; None: none.
    """
    parts = roots(space)
    combinations = _combinations(space, rng) if kept is None else [_parts(space, kept)]
    settings = dict(kept or {})

    def attempt() -> Candidate:
        chosen: Parts = _least(combinations, Counter(_parts(space, c) for c in tried), rng)
        alike = [candidate for candidate in tried if _parts(space, candidate) == chosen]
        fixed = settings | dict(zip((root.name for root in parts), chosen, strict=True))
        if kept:  # those that differ in what is fixed alone count once
            alike = list(
                {frozenset((k, v) for k, v in c.items() if k not in fixed): c for c in alike}.values()
            )

        decided = dict(fixed)

        def decide(choice: Choice) -> Value:
            if choice.name not in fixed:
                decided[choice.name] = value(choice)
            return decided[choice.name]

        def value(choice: Choice) -> Value:
            if not isinstance(choice, Categorical):
                return choice.draw(rng)
            given = Counter(candidate[choice.name] for candidate in alike if choice.name in candidate)
            # what was given least may be forbidden together, and would stay so however often it is tried
            allowed = [v for v in choice.values if space.objection(decided | {choice.name: v}) is None]
            found: Value = _least(allowed or choice.values, given, rng)
            return found

        return space.walk(decide)

    def drawn() -> Candidate:
        return space.walk(
            lambda choice: settings[choice.name] if choice.name in settings else choice.draw(rng)
        )

    for way in (attempt, drawn):
        with suppress(SpaceError):
            return space.legal(way)
    return space.sample(rng)


def furthest(space: Space, study: optuna.Study) -> Candidate | None:
    """The candidate that got furthest up the rungs, with the best score there; None before any is scored."""
    scored = ((fitness(t, study), candidate_of(t, space)) for t in study.get_trials(deepcopy=False))
    found = [(reached, c) for reached, c in scored if reached is not None and c is not None]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def settings_of(space: Space, candidate: Candidate) -> Candidate:
    """Its parts, and the values of the choices that belong to none: how it is trained."""
    return Candidate({choice.name: candidate[choice.name] for choice in space.choices})


def parts_of(space: Space, candidate: Candidate) -> Candidate:
    """Its parts with the values of all their choices: what it is."""
    parts = roots(space)
    others = {choice.name for choice in space.choices if choice not in parts}
    return Candidate({name: value for name, value in candidate.items() if name not in others})


def roots(space: Space) -> list[Categorical]:
    """The parts of candidates: choices of the space that open others."""
    return [choice for choice in space.choices if isinstance(choice, Categorical) and choice.branches]


def around(space: Space, more: int) -> int:
    """How many of a start, of each of the two kinds, are around its best: none where there is one part."""
    return more if _count(space) > 1 else 0


def begin(
    space: Space,
    study: optuna.Study,
    tried: Sequence[Candidate],
    rng: np.random.Generator,
    first: int,
    more: int,
    begun: int,
) -> tuple[Candidate, str]:
    """The next candidate of a start, and how it was chosen: spread, then around the best so far.

    Args:
        space: What is proposed from.
        study: That begins.
        tried: Its candidates so far, refused ones too.
        rng: Breaks ties.
        first: Candidates that are spread over all parts.
        more: Those after them that keep the parts of the best; the others keep its settings. 0: all are
            spread.
        begun: Trials of it that were not refused.
    """
    best = furthest(space, study) if more and begun >= first else None
    if best is None:
        return spread(space, tried, rng), "spread"
    if begun < first + more:
        return spread(space, tried, rng, parts_of(space, best)), "parts"
    return spread(space, tried, rng, settings_of(space, best)), "settings"


class Start(CandidateSampler):
    """Spreads the first trials of a study, then leaves the word to another sampler.

    A sampler that learns from few trials stays close to the first good one, which is good by the settings
    that it is trained with as much as by its parts. So a few more trials keep the parts of the best so far
    with other settings, and then its settings with other choices of its parts.

    Args:
        space: What is proposed from.
        seed: Of its generators.
        then: Proposes after the start.
        more: Of it, of each of the two kinds that follow, where the space has several parts.
    """

    def __init__(self, space: Space, seed: int, then: BaseSampler, more: int = 0) -> None:
        super().__init__(space, seed)
        self.then = then
        self.more = around(space, more)
        self.trials = TRIALS + 2 * self.more
        self._begun, self._ours = 0, set[int]()

    def propose(self, study: optuna.Study) -> Candidate:
        tried = candidates_of(study, self.space)
        return begin(self.space, study, tried, self.rng, TRIALS, self.more, self._begun)[0]

    def _before(self, study: optuna.Study, number: int) -> int:
        """Trials before that one; where the start is of several kinds, none that was refused."""
        trials = study.get_trials(deepcopy=False)[:number]
        return sum(not (self.more and REFUSED in trial.user_attrs) for trial in trials)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        with ONE_BY_ONE:
            self._begun = self._before(study, trial.number)
            if self._begun < self.trials:
                self._ours.add(trial.number)
                super().before_trial(study, trial)
                return
        self.then.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {} if trial.number in self._ours else self.then.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {} if trial.number in self._ours else self.then.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if trial.number in self._ours:
            return super().sample_independent(study, trial, param_name, param_distribution)
        return self.then.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        super().after_trial(study, trial, state, values)
        self._ours.discard(trial.number)
        self.then.after_trial(study, trial, state, values)


def _count(space: Space) -> int:
    return math.prod(len(root.values) for root in roots(space))


def _combinations(space: Space, rng: np.random.Generator) -> list[Parts]:
    """All, or of very many some, drawn: twenty switches alone combine in a million ways."""
    parts = roots(space)
    if _count(space) <= _MANY:
        return list(product(*(root.values for root in parts)))
    drawn = (rng.integers(len(root.values), size=_MANY) for root in parts)
    columns = ([root.values[i] for i in d] for root, d in zip(parts, drawn, strict=True))
    return list(zip(*columns, strict=True))


def _parts(space: Space, candidate: Candidate) -> Parts:
    return tuple(candidate[root.name] for root in roots(space))


def _least(values: Sequence[Any], counts: Counter[Any], rng: np.random.Generator) -> Any:
    """One of the values that were counted least."""
    least = min(counts[value] for value in values)
    rarest = [value for value in values if counts[value] == least]
    return rarest[int(rng.integers(len(rarest)))]
