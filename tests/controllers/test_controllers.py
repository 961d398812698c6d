"""Every controller through the shared suite, and what each promises of its own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.testing.pytest_samplers import BasicSamplerTestCase
from optuna.trial import TrialState, create_trial

from controllers import evolution, learned, nni, random, tpe
from controllers.interface import candidate_of, fitness
from metanas.testing.controllers import (
    CONTROLLER_CHECKS,
    Build,
    Check,
    beats_random_sampling,
    nothing_illegal_is_proposed,
    nothing_is_proposed_twice,
    objective,
    search,
    toy_space,
    toy_study,
)
from search_spaces import Candidate, Categorical, Choice, Forbidden, Integer, Signature, Space, catalogue
from search_spaces.errors import IllegalCandidateError
from tests.controllers.taught import taught

TOLD = "learned, with a policy"
DEAR = "learned, where trials are few"
CONTROLLERS: dict[str, Build] = {
    "random": random.build,
    "evolution": evolution.build,
    "tpe": tpe.build,
    "learned": learned.build,
    DEAR: lambda space, seed: learned.build(space, seed, dear=True),
    TOLD: lambda space, seed: learned.build(space, seed, snapshot=taught()),
    "nni-evolution": nni.NniEvolution.build,
    "nni-tpe": nni.NniTpe.build,
}
LEARNING = [name for name in CONTROLLERS if name not in ("random", TOLD)]  # TOLD knows the problem before
WHOLE = [name for name in CONTROLLERS if name != "tpe"]  # propose candidates, not value by value


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Of a controller; NNI's are skipped by name where NNI is missing."""
    found: str = request.param
    if found.startswith("nni-"):
        pytest.importorskip("nni", reason="NNI is not installed on this machine")
    return found


@pytest.mark.parametrize("name", CONTROLLERS, indirect=True)
@pytest.mark.parametrize("check", CONTROLLER_CHECKS, ids=lambda check: check.__name__)
def test_controller(check: Check, name: str) -> None:
    check(CONTROLLERS[name])


@pytest.mark.parametrize("name", WHOLE, indirect=True)
def test_nothing_illegal_is_proposed(name: str) -> None:
    nothing_illegal_is_proposed(CONTROLLERS[name])


NEW = ["evolution", "learned", DEAR, TOLD, "nni-evolution", "nni-tpe"]


@pytest.mark.parametrize("name", NEW, indirect=True)
@pytest.mark.long
def test_nothing_is_proposed_twice(name: str) -> None:
    nothing_is_proposed_twice(CONTROLLERS[name])


@pytest.mark.parametrize("rungs", [True, False])
@pytest.mark.parametrize("name", LEARNING, indirect=True)
@pytest.mark.long
def test_what_learns_beats_random_sampling(name: str, rungs: bool) -> None:
    beats_random_sampling(CONTROLLERS[name], rungs=rungs)


def test_random_does_not() -> None:
    with pytest.raises(AssertionError, match="against"):
        beats_random_sampling(random.build)


@pytest.mark.parametrize("name", CONTROLLERS, indirect=True)
@pytest.mark.parametrize(
    "signature",
    [Signature("regression", (1,), 1, 5), Signature("classification", (1, 28, 28), 5, 1)],
    ids=["curves", "images"],
)
def test_the_default_spaces_are_searched(name: str, signature: Signature) -> None:
    """What is proposed can be built; of TPE's proposals a part is refused."""
    space = catalogue.space("default", signature)
    study = optuna.create_study(sampler=CONTROLLERS[name](space, 0))
    built = 0
    for trial in (study.ask() for _ in range(40)):
        try:
            candidate = space.suggest(trial)
        except IllegalCandidateError:
            study.tell(trial, state=TrialState.FAIL)
            continue
        space.validate(candidate)
        catalogue.build(candidate, signature)
        assert candidate_of(study.trials[trial.number], space) == candidate
        study.tell(trial, float(candidate["outer.learning_rate"]))
        built += 1
    assert built == 40 or (name == "tpe" and built > 25)


def member(study: optuna.Study, candidate: Candidate, *scores: float, state: TrialState) -> None:
    """Adds a trial that ended, with a score at each of the rungs 10, 30, …"""
    asked = optuna.create_study()
    asked.enqueue_trial({name: value for name, value in candidate.items() if name != "kind"})
    trial = asked.ask()
    assert toy_space().suggest(trial) == candidate
    study.add_trial(
        optuna.trial.create_trial(
            state=state,
            value=scores[-1] if state == TrialState.COMPLETE else None,
            params=trial.params,
            distributions=trial.distributions,
            intermediate_values={10 * 3**i: score for i, score in enumerate(scores)},
        )
    )


def test_evolution_prefers_who_got_further_over_who_was_stopped_with_a_better_score() -> None:
    """Scores of a low rung are not those of a high one."""
    rng, study = np.random.default_rng(0), toy_study(evolution.build)
    far = Candidate(
        {"kind": "toy", "rule": "gradient", "rule.steps": 5, "width": 64, "rate": 0.01, "norm": "group"}
    )
    member(study, far, 0.9, 0.8, state=TrialState.COMPLETE)
    for _ in range(4):
        near = toy_space().sample(rng)
        member(study, near, 0.1, state=TrialState.PRUNED)
    # of five trials each parent is the best: children are one move away from the one that got further
    for _, child in search(study, toy_space(), 20, tell=False):
        assert child is not None
        moved = [name for name in far if child.get(name) != far[name] and name in child]
        assert len(moved) <= 1, child


def test_what_went_on_from_another_is_no_better_for_it() -> None:
    """Its score is owed to that one's training, too: only the candidates themselves are compared."""
    study = toy_study(evolution.build)
    list(search(study, toy_space(), 1))
    first = study.trials[0]
    study.add_trial(
        create_trial(
            value=-1e9,
            params=first.params,
            distributions=first.distributions,
            intermediate_values={1000: -1e9},
            user_attrs={"parent": 0},
        )
    )
    assert fitness(first, study) is not None
    assert fitness(study.trials[1], study) is None


def test_evolution_forgets_what_is_older_than_its_population() -> None:
    study, rng = toy_study(evolution.build), np.random.default_rng(0)
    best = Candidate(
        {"kind": "toy", "rule": "ridge", "rule.strength": 0.1, "width": 64, "rate": 0.01, "norm": "group"}
    )
    member(study, best, -100.0, state=TrialState.COMPLETE)
    for _ in range(20):
        member(study, toy_space().sample(rng), 1.0, state=TrialState.COMPLETE)
    children = [child for _, child in search(study, toy_space(), 30, tell=False)]
    assert all(child["rate"] != 0.01 and child.get("rule.strength") != 0.1 for child in children if child)


@pytest.mark.parametrize("name", ["evolution", "learned", TOLD])
def test_it_goes_on_where_all_has_been_tried_or_is_forbidden(name: str) -> None:
    roots = (Categorical("a", (1, 2)), Categorical("b", (1, 2)))
    unequal = (Forbidden({"a": (1,), "b": (2,)}, "no"), Forbidden({"a": (2,), "b": (1,)}, "no"))
    for space in (Space("without neighbours", roots, unequal), Space("tiny", (Integer("n", 1, 3),))):
        study = optuna.create_study(sampler=CONTROLLERS[name](space, 0))
        for _ in range(8):
            trial = study.ask()
            space.validate(space.suggest(trial))
            study.tell(trial, 1.0)


def test_two_machines_with_one_seed_do_not_propose_the_same() -> None:
    """Each has a controller of its own; the trials' numbers come from the store that they share."""
    study = toy_study(random.build)
    here, there = random.build(toy_space(), 5), random.build(toy_space(), 5)
    found = []
    for i in range(20):
        study.sampler = here if i % 2 else there
        found += [candidate for _, candidate in search(study, toy_space(), 1)]
    assert len(set(found)) == 20


def test_a_trial_that_is_no_candidate_of_the_space_is_none() -> None:
    study, space = optuna.create_study(), toy_space()
    trial = study.ask()
    trial.suggest_categorical("rule", ["gradient", "ridge"])
    assert candidate_of(study.trials[0], space) is None
    study.enqueue_trial({"rule": "ridge", "rule.strength": 0.1, "width": 64, "rate": 0.01, "norm": "layer"})
    (_, refused) = next(search(study, space, 1))
    assert refused is None
    assert candidate_of(study.trials[1], space) is None
    narrower = Space("narrow", (Integer("width", 1, 2),))
    assert candidate_of(study.trials[1], narrower) is None


def test_the_toy_problem_has_its_best_where_it_is_said_to_be() -> None:
    best = {"kind": "toy", "rule": "ridge", "rule.strength": 0.1, "width": 64, "rate": 0.01, "norm": "group"}
    toy_space().validate(Candidate(best))
    assert objective(Candidate(best)) == 0.0
    assert math.copysign(1, objective(Candidate(best | {"width": 16}), "maximize")) < 0


@pytest.mark.parametrize("name", WHOLE, indirect=True)
class TestAsOptunaTestsItsOwn(BasicSamplerTestCase):
    """Studies that know nothing of our spaces, through Optuna's own suite."""

    @pytest.fixture
    def sampler(self, name: str) -> Any:
        return lambda: CONTROLLERS[name](toy_space(), 0)


def test_evolution_does_not_try_a_rule_again_that_is_written_in_another_way() -> None:
    """Of eight programs, six rules: what comes after the start is a new one as long as there is one."""
    own: tuple[Choice, ...] = tuple(Categorical(f"rule.symbolic.{c}_1", ("g", "m")) for c in "ab")
    operator = Categorical("rule.symbolic.op_1", ("add", "multiply"))
    fixed = (Categorical("rule", ("symbolic",)), Categorical("rule.symbolic.slots", (1,)))
    space = Space("tiny", (*fixed, operator, *own))
    for seed in range(5):
        study = optuna.create_study(sampler=evolution.build(space, seed))
        study.optimize(lambda trial: len(space.suggest(trial)["rule.symbolic.op_1"]), n_trials=9)  # type: ignore[arg-type]
        found = [catalogue.identity(space.suggest(optuna.trial.FixedTrial(t.params))) for t in study.trials]
        assert len(set(found[: 5 + 6 - len(set(found[:5]))])) == 6
