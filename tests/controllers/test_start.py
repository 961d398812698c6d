"""The start of a search: what is combined least comes first."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import optuna
import pytest
from optuna.samplers import BaseSampler

from controllers import learned, tpe
from controllers.learned.controller import AROUND
from controllers.start import MORE, TRIALS, Start, begin, parts_of, spread
from search_spaces import Candidate, Categorical, Forbidden, Real, Space

RULE = Categorical("rule", ("ridge", "gradient"), {"gradient": (Real("rate", 0.1, 1.0),)})
NORM = Categorical("norm", ("none", "group", "support"))
HEAD, WAYS = Categorical("head", ("rows", "shared", "prototype")), Categorical("ways", (5, 10, 20))
SPACE = Space("toy", (Categorical("net", ("mlp",), {"mlp": (NORM,)}), RULE))


@pytest.mark.parametrize("seed", range(5))
def test_every_value_meets_every_combination_of_parts(seed: int) -> None:
    rng, tried = np.random.default_rng(seed), list[Candidate]()
    for _ in range(6):
        tried.append(spread(SPACE, tried, rng))
        SPACE.validate(tried[-1])
    met = {(candidate["rule"], candidate["norm"]) for candidate in tried}
    assert met == set(product(RULE.values, NORM.values))


def test_what_is_forbidden_is_passed_over() -> None:
    never = Forbidden({"rule": ("gradient",)}, "not today")
    space = Space("toy", SPACE.choices, (never,))
    rng, tried = np.random.default_rng(0), list[Candidate]()
    for _ in range(5):
        tried.append(spread(space, tried, rng))
        space.validate(tried[-1])
    assert {candidate["rule"] for candidate in tried} == {"ridge"}


@pytest.mark.parametrize("seed", range(5))
def test_values_that_are_forbidden_together_are_each_met(seed: int) -> None:
    """Both are given least, however often that is tried: the start would be uniform draws from then on."""
    space = Space(
        "toy", (*SPACE.choices, HEAD, WAYS), (Forbidden({"head": ("rows",), "ways": (10, 20)}, "no"),)
    )
    rng, tried = np.random.default_rng(seed), list[Candidate]()
    for _ in range(18):
        tried.append(spread(space, tried, rng))
        space.validate(tried[-1])
    for rule in RULE.values:
        heads = [candidate["head"] for candidate in tried if candidate["rule"] == rule]
        assert [heads.count(head) for head in HEAD.values] == [3, 3, 3]
    kept = next(candidate for candidate in tried if candidate["head"] == "rows")
    for _ in range(6):
        tried.append(spread(space, tried, rng, parts_of(space, kept)))
        assert parts_of(space, tried[-1]) == parts_of(space, kept)
    late = Candidate({"ways": 20} | {name: kept[name] for name in ("net", "rule")})
    for _ in range(6):
        assert spread(space, tried, rng, late)["ways"] == 20


@pytest.mark.parametrize(("build", "more"), [(tpe.build, MORE), (learned.build, AROUND)])
def test_what_is_refused_is_no_part_of_a_start(build: Callable[..., BaseSampler], more: int) -> None:
    """As in a search of images with a limit, that half of all candidates are over."""
    space = Space("toy", (*SPACE.choices, Real("learning_rate", 1e-3, 1e-2)))
    study = optuna.create_study(sampler=build(space, 0, dear=True), direction="maximize")
    begun: list[Candidate] = []
    while len(begun) < TRIALS + more:
        trial = study.ask()
        candidate = space.suggest(trial)
        if trial.number % 2:
            trial.set_user_attr("illegal", "over a limit")
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        begun.append(candidate)
        study.tell(trial, float(candidate["rule"] == "gradient") + float(candidate["learning_rate"]))
    assert {begun[:TRIALS].count(c) for c in begun[:TRIALS]} == {1}
    best = max(begun[:TRIALS], key=lambda c: (c["rule"] == "gradient") + float(c["learning_rate"]))
    assert {parts_of(space, candidate) for candidate in begun[TRIALS:]} == {parts_of(space, best)}


def test_tpe_starts_spread_and_goes_on_as_tpe() -> None:
    study = optuna.create_study(sampler=tpe.build(SPACE, 0))

    def objective(trial: optuna.Trial) -> float:
        return float(SPACE.suggest(trial)["norm"] != "group")

    study.optimize(objective, n_trials=TRIALS + 30)
    norms = [trial.params["norm"] for trial in study.trials]
    assert {norms[:TRIALS].count(norm) for norm in NORM.values} == {TRIALS // 3}
    assert norms[TRIALS:].count("group") > 15, "what is good is proposed more than by chance"


@pytest.mark.parametrize(("build", "more"), [(tpe.build, MORE), (learned.build, AROUND)])
def test_the_best_is_varied_in_its_settings_and_then_in_its_parts(
    build: Callable[..., BaseSampler], more: int
) -> None:
    schedule = Categorical("schedule", ("constant", "cosine"))
    space = Space("toy", (*SPACE.choices, Real("learning_rate", 1e-3, 1e-2), schedule))
    study = optuna.create_study(sampler=build(space, 0, dear=True), direction="maximize")

    def objective(trial: optuna.Trial) -> float:
        candidate = space.suggest(trial)
        return float(candidate["rule"] == "gradient") + float(candidate["learning_rate"])

    study.optimize(objective, n_trials=TRIALS + 2 * more)

    def best(trials: list[optuna.trial.FrozenTrial]) -> dict[str, object]:
        return max(trials, key=lambda trial: trial.value or 0.0).params

    settings, parts = study.trials[TRIALS : TRIALS + more], study.trials[TRIALS + more :]
    first, then = best(study.trials[:TRIALS]), best(study.trials[: TRIALS + more])
    assert {trial.params["norm"] for trial in settings} == {first["norm"]}
    assert {trial.params["rate"] for trial in settings} == {first["rate"]}
    assert len({trial.params["learning_rate"] for trial in settings}) == more
    assert {trial.params["schedule"] for trial in settings} == set(schedule.values)
    for name in ("rule", "learning_rate", "schedule"):
        assert {trial.params[name] for trial in parts} == {then[name]}
    assert {trial.params["norm"] for trial in parts} == set(NORM.values)


def test_a_short_start_is_spread_whatever_was_refused() -> None:
    study = optuna.create_study(sampler=tpe.build(SPACE, 0), direction="maximize")
    study.optimize(lambda trial: float(len(SPACE.suggest(trial))), n_trials=TRIALS)
    tried = [Candidate(trial.params | {"net": "mlp"}) for trial in study.trials]
    rng = np.random.default_rng(0)
    assert begin(SPACE, study, tried, rng, 8, 0, TRIALS)[1] == "spread"
    assert begin(SPACE, study, tried, rng, 8, 9, TRIALS)[1] == "parts"
    assert begin(SPACE, study, tried, rng, 8, 9, 7)[1] == "spread", "five of them were refused"


def test_where_all_parts_are_the_same_the_start_is_no_longer() -> None:
    alone = Space("alone", (Categorical("net", ("mlp",), {"mlp": (NORM,)}),))
    assert Start(alone, 0, then=optuna.samplers.RandomSampler(), more=MORE).trials == TRIALS
