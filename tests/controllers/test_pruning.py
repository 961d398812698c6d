"""Who is stopped at a rung: successive halving on our rungs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import optuna
import pytest

from controllers.pruning import FACTOR, ladder, successive_halving

RUNGS = ladder(20, 3)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def study_of(direction: str = "minimize") -> optuna.Study:
    return optuna.create_study(direction=direction, pruner=successive_halving(RUNGS))


def climb(study: optuna.Study, score: float) -> int:
    """Takes a trial up the rungs as far as it is let; gives the last rung it was scored at."""
    trial = study.ask()
    for rung in RUNGS:
        trial.report(score, rung)
        if rung == RUNGS[-1]:
            break
        if trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return rung
    study.tell(trial, score if math.isfinite(score) else 0.0)
    return RUNGS[-1]


def test_rungs_are_far_enough_apart() -> None:
    assert RUNGS == (20, 60, 180)
    assert all(b == FACTOR * a for a, b in itertools.pairwise(RUNGS))


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1), ("maximize", -1)])
def test_about_one_in_three_goes_on_and_the_best_always(direction: str, sign: int) -> None:
    study, scores = study_of(direction), np.random.default_rng(0).permutation(200) / 200
    reached = [climb(study, sign * float(score)) for score in scores]
    best_so_far = [score == min(scores[: i + 1]) for i, score in enumerate(scores)]
    assert all(rung == RUNGS[-1] for rung, best in zip(reached, best_so_far, strict=True) if best)
    further = np.mean([rung > RUNGS[0] for rung in reached])
    assert 0.25 < further < 0.45
    assert 0.05 < np.mean([rung == RUNGS[-1] for rung in reached]) < 0.2
    # who goes on is better than who does not
    by_rung = [np.mean([s for s, rung in zip(scores, reached, strict=True) if rung == r]) for r in RUNGS]
    assert by_rung == sorted(by_rung, reverse=True)


def test_nobody_is_stopped_below_the_first_rung() -> None:
    study = study_of()
    for _ in range(9):
        climb(study, 0.0)
    trial = study.ask()
    for step in range(1, RUNGS[0]):
        trial.report(99.0, step)
        assert not trial.should_prune()
    trial.report(99.0, RUNGS[0])
    assert trial.should_prune()


def test_what_is_not_a_number_does_not_go_on() -> None:
    study = study_of()
    climb(study, 1.0)
    assert climb(study, math.nan) == RUNGS[0]


def test_of_a_batch_told_best_first_the_best_goes_on_and_no_more_than_a_third() -> None:
    """As the search does: all are scored at a rung, then asked about in the order of their scores."""
    study = study_of()
    for batch in range(5):
        trials = [study.ask() for _ in range(6)]
        for i, trial in enumerate(trials):
            trial.report(0.1 * i + 0.01 * batch, RUNGS[0])
        going = [i for i, trial in enumerate(trials) if not trial.should_prune()]
        assert 1 <= len(going) <= 2
        assert going == list(range(len(going)))
