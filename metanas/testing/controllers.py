"""What every controller has to keep to; one table of checks, each of which takes its ``build``.

In a plug-in's own tests::

    @pytest.mark.parametrize("check", CONTROLLER_CHECKS, ids=lambda check: check.__name__)
    def test_controller(check):
        check(my_controller.build)

A controller that learns from results should also pass :func:`beats_random_sampling`; one that proposes
whole candidates, not value by value, :func:`nothing_illegal_is_proposed`.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any, Literal, get_args

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState

from search_spaces import Candidate, Categorical, Forbidden, Integer, Real, Space
from search_spaces.errors import IllegalCandidateError

Build = Callable[[Space, int], BaseSampler]
Check = Callable[[Build], None]
Direction = Literal["minimize", "maximize"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
RUNGS = (10, 30)
_TRIALS = 100  # in each direction
_MOST_ILLEGAL = 0.5


def proposals_are_points_of_the_space(build: Build) -> None:
    """Over two hundred trials; what is forbidden is refused by the space, and is not the rule."""
    for direction in DIRECTIONS:
        space, study = toy_space(), toy_study(build, direction)
        legal = [candidate for _, candidate in search(study, space, _TRIALS) if candidate is not None]
        for candidate in legal:
            space.validate(candidate)
        assert len(legal) >= (1 - _MOST_ILLEGAL) * _TRIALS, f"{_TRIALS - len(legal)} proposals were illegal"


def seeds_repeat(build: Build) -> None:
    """The same seed gives the same search, another one another."""
    one, again, other = (
        [candidate for _, candidate in search(toy_study(build, seed=seed), toy_space(), 30)]
        for seed in (1, 1, 2)
    )
    assert one == again, "the same seed should give the same proposals"
    assert one != other, "another seed should give other proposals"


def global_randomness_is_left_alone(build: Build) -> None:
    """Neither read nor seeded: a user's own program stays repeatable."""
    from metanas.testing.asserting import untouched  # loads torch, which not every controller needs

    before = random.getstate(), repr(np.random.get_state(legacy=False))  # noqa: NPY002
    with untouched():
        list(search(toy_study(build), toy_space(), 20))
    after = random.getstate(), repr(np.random.get_state(legacy=False))  # noqa: NPY002
    assert before == after, "Python's or NumPy's global generator was used"


def every_ending_is_survived(build: Build) -> None:
    """Trials that are pruned, fail, score NaN or infinity, or never end."""
    for direction in DIRECTIONS:
        space, study = toy_space(), toy_study(build, direction)
        for i, (trial, candidate) in enumerate(search(study, space, 50, tell=False)):
            if candidate is None or i % 7 == 0:
                study.tell(trial, state=TrialState.FAIL)
            elif i % 7 == 1:
                trial.report(math.nan, RUNGS[0])
                study.tell(trial, state=TrialState.PRUNED)
            elif i % 7 == 2:
                trial.report(math.inf, RUNGS[0])
                study.tell(trial, math.inf)
            elif i % 7 == 3:
                trial.report(objective(candidate, direction), RUNGS[0])
                study.tell(trial, state=TrialState.PRUNED)
            elif i % 7 != 4:  # else it never ends
                study.tell(trial, objective(candidate, direction))


def several_at_once(build: Build) -> None:
    """Asked for a few before it is told of any, as a search does."""
    space, study = toy_space(), toy_study(build)
    for _ in range(8):
        batch = list(search(study, space, 4, tell=False))
        for trial, candidate in batch:
            if candidate is not None:
                trial.report(objective(candidate), RUNGS[0])
        for trial, candidate in reversed(batch):
            end(study, trial, candidate)


def studies_can_be_gone_on_with(build: Build) -> None:
    """A new controller on an old study: it goes on, and does not begin with the same proposals again."""
    space, study = toy_space(), toy_study(build)
    first = [candidate for _, candidate in search(study, space, 20)]
    study.sampler = build(space, 0)
    second = [candidate for _, candidate in search(study, space, 20)]
    assert first != second


def enqueued_trials_are_what_was_enqueued(build: Build) -> None:
    """A trial with fixed parameters, some or all of them."""
    space, study = toy_space(), toy_study(build)
    list(search(study, space, 12))
    whole: dict[str, Any] = {"rule": "gradient", "rule.steps": 3, "width": 64, "rate": 0.01, "norm": "none"}
    study.enqueue_trial(whole)
    study.enqueue_trial({"rule": "gradient", "width": 16})  # which nothing is forbidden with
    (_, first), (_, second) = search(study, space, 2)
    assert first == Candidate(whole | {"kind": "toy"})
    assert second is not None
    assert (second["rule"], second["width"]) == ("gradient", 16)


def anybodys_study_can_be_driven(build: Build) -> None:
    """A plain Optuna study, without rungs, whose objective asks for more than the space has."""
    space, study = toy_space(), toy_study(build)

    def value(trial: Trial) -> float:
        extra = trial.suggest_float("their own", 0, 1) + trial.suggest_int("another", 1, 4)
        assert 1 <= extra <= 5
        return objective(space.suggest(trial))

    study.optimize(value, n_trials=25, catch=(IllegalCandidateError,))
    assert len(study.trials) == 25
    assert study.best_value < math.inf


def threads_are_survived(build: Build) -> None:
    """A study that is optimised with several threads: every trial ends, and is a point of the space."""
    space, study = toy_space(), toy_study(build)
    found: list[Candidate] = []

    def value(trial: Trial) -> float:
        found.append(space.suggest(trial))
        return objective(found[-1])

    study.optimize(value, n_trials=60, n_jobs=4, catch=(IllegalCandidateError,))
    assert all(trial.state.is_finished() for trial in study.trials)
    assert len(study.trials) == 60
    for candidate in found:
        space.validate(candidate)


def nobody_is_warned(build: Build) -> None:
    """What is experimental in Optuna is for the controller to know, not for its users."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        list(search(toy_study(build), toy_space(), 20))
    assert not seen, f"users would see: {seen[0].message}"


CONTROLLER_CHECKS: tuple[Check, ...] = (
    proposals_are_points_of_the_space,
    seeds_repeat,
    global_randomness_is_left_alone,
    every_ending_is_survived,
    several_at_once,
    studies_can_be_gone_on_with,
    enqueued_trials_are_what_was_enqueued,
    anybodys_study_can_be_driven,
    threads_are_survived,
    nobody_is_warned,
)


def nothing_illegal_is_proposed(build: Build) -> None:
    """Not once, in either direction."""
    for direction in DIRECTIONS:
        study = toy_study(build, direction)
        assert all(candidate is not None for _, candidate in search(study, toy_space(), _TRIALS))


def nothing_is_proposed_twice(build: Build) -> None:
    """In a space with room, whatever became of a trial; trials that are still running count too."""
    space, study = toy_space(), toy_study(build)
    seen: list[str] = []
    for i, (trial, candidate) in enumerate(search(study, space, 150, tell=False)):
        assert candidate is not None
        seen.append(candidate.id)
        if i % 3:
            trial.report(objective(candidate), RUNGS[0])
            study.tell(trial, state=(TrialState.FAIL, TrialState.PRUNED)[i % 2])
    assert len(set(seen)) == len(seen)


def beats_random_sampling(
    build: Build, *, rungs: bool = True, trials: int = 60, seeds: Sequence[int] = range(12)
) -> None:
    """After as many trials its best candidate is better than that of random sampling, at the median seed.

    Args:
        build: Of the controller.
        rungs: Whether trials report a score at a rung, as those of a search do.
        trials: How many it has.
        seeds: Of the searches, of which every other one maximises; their median is compared, since one of
            them may miss a branch by chance.
    """
    space = toy_space()

    def best(study: optuna.Study) -> float:
        found = search(study, space, trials, rungs=rungs)
        return min(objective(candidate) for _, candidate in found if candidate is not None)

    ours = [best(toy_study(build, way, seed)) for seed, way in zip(seeds, cycle(DIRECTIONS), strict=False)]
    rngs = (np.random.default_rng(seed) for seed in seeds)
    drawn = [min(objective(space.sample(rng)) for _ in range(trials)) for rng in rngs]
    assert np.median(ours) < 0.7 * np.median(drawn), f"{np.median(ours)} against {np.median(drawn)}"


def toy_space() -> Space:
    """Conditional, with a fixed value and a forbidden pair; as small as a space with all of these can be."""
    steps = Integer("rule.steps", 1, 10)
    strength = Real("rule.strength", 1e-4, 1.0, log=True)
    choices = (
        Categorical("kind", ("toy",)),
        Categorical("rule", ("gradient", "ridge"), {"gradient": (steps,), "ridge": (strength,)}),
        Categorical("width", (16, 32, 64, 128, 256), ordered=True),
        Real("rate", 1e-4, 1.0, log=True),
        Categorical("norm", ("none", "group", "layer", "support", "running")),
    )
    return Space("toy", choices, (Forbidden({"norm": ("layer",), "rule": ("ridge",)}, "they do not mix"),))


def objective(candidate: Candidate, direction: str = "minimize") -> float:
    """From 0, the best there is, to about 4; with its sign turned where more is better."""
    misses = [
        (math.log10(float(candidate["rate"])) + 2) / 2,
        (math.log2(int(candidate["width"])) - 6) / 2,
        0.0 if candidate["norm"] == "group" else 0.7,
        (math.log10(float(candidate["rule.strength"])) + 1) / 3
        if candidate["rule"] == "ridge"
        else 0.3 + abs(int(candidate["rule.steps"]) - 5) / 5,
    ]
    value = sum(miss**2 for miss in misses)
    return value if direction == "minimize" else -value


def toy_study(build: Build, direction: Direction = "minimize", seed: int = 0) -> optuna.Study:
    """A plain Optuna study, in memory, driven by the controller."""
    return optuna.create_study(direction=direction, sampler=build(toy_space(), seed))


def search(
    study: optuna.Study, space: Space, trials: int, *, tell: bool = True, rungs: bool = True
) -> Iterator[tuple[Trial, Candidate | None]]:
    """Asks for so many trials, with the candidate of each; None where it was refused.

    Args:
        study: Driven by the controller under test.
        space: That it proposes from.
        trials: How many.
        tell: Whether to tell each trial's score before the next is asked for; refused ones are told.
        rungs: Whether to report it at the first rung, too.
    """
    for _ in range(trials):
        trial = study.ask()
        try:
            candidate = space.suggest(trial)
        except IllegalCandidateError:
            yield trial, None
            if tell:
                study.tell(trial, state=TrialState.FAIL)
            continue
        if tell and rungs:
            trial.report(objective(candidate, study.direction.name.lower()), RUNGS[0])
        yield trial, candidate
        if tell:
            end(study, trial, candidate)


def end(study: optuna.Study, trial: Trial, candidate: Candidate | None) -> None:
    """Tells the candidate's value, or that it was refused."""
    if candidate is None:
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, objective(candidate, study.direction.name.lower()))
