"""Where a search makes but dozens of trials, it does not stay with the parts that were good first."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import optuna
import pytest

from controllers import learned
from controllers.learned.controller import AROUND
from controllers.start import TRIALS
from search_spaces import Candidate, Categorical, Forbidden, Integer, Real, Space

START = TRIALS + 2 * AROUND
BATCH = 6
NET = Categorical(
    "net",
    ("mlp", "conv"),
    {
        "mlp": (Integer("mlp.width", 1, 64), Integer("mlp.depth", 1, 8)),
        "conv": (Integer("conv.width", 1, 64), Integer("conv.depth", 1, 8)),
    },
)
RULE = Categorical("rule", ("prototype", "ridge"), {"ridge": (Real("strength", 0.1, 1.0),)})
SETTINGS = (Real("rate", 0.0, 1.0), Categorical("schedule", ("constant", "cosine")))
SPACE = Space("parts", (NET, RULE, *SETTINGS))


def score(candidate: Candidate) -> float:
    """Any mlp is good, large ones more so; of convolutions, that are better, only the large ones are good."""
    net = candidate["net"]
    size = float(candidate[f"{net}.width"]) / 64 * float(candidate[f"{net}.depth"]) / 8
    good = 1 + 0.5 * size if net == "mlp" else 2.5 * size**2
    return good - 0.3 * float(candidate["rule"] == "ridge") + float(candidate["rate"])


def parts(trial: optuna.Trial | optuna.trial.FrozenTrial) -> tuple[Any, ...]:
    return trial.params["net"], trial.params["rule"]


def begun(seed: int, dear: bool, space: Space = SPACE) -> optuna.Study:
    study = optuna.create_study(direction="maximize", sampler=learned.build(space, seed, dear=dear))
    for _ in range(START // BATCH):
        told(study, space)
    return study


def told(study: optuna.Study, space: Space = SPACE) -> list[optuna.Trial]:
    """A batch: asked for together, then scored."""
    trials = [study.ask() for _ in range(BATCH)]
    for trial in trials:
        study.tell(trial, score(space.suggest(trial)))
    return trials


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_of_a_batch_the_three_best_parts_get_their_share(seed: int) -> None:
    study = begun(seed, dear=True)
    ranked = [parts(trial) for trial in sorted(study.trials, key=lambda t: t.value or 0.0, reverse=True)]
    best, second, third, *_ = dict.fromkeys(ranked)
    trials = [study.ask() for _ in range(BATCH)]
    for trial in trials:
        SPACE.suggest(trial)
    met = Counter(parts(trial) for trial in trials)
    assert met[best] >= 2
    assert met[second] >= 1
    assert met[second] + met[third] >= 2
    assert isinstance(study.sampler, learned.Learned)
    aside = {parts(t) for t in trials if json.loads(study.sampler.why(t.number))["aside"]}
    assert aside
    assert aside <= {second, third}


def test_other_parts_are_found_that_the_first_good_ones_hide() -> None:
    found = []
    for seed in range(6):
        study = begun(seed, dear=True)
        told(study)
        told(study)
        found.append(study.best_trial.params["net"])
    assert found.count("conv") >= 4  # 2 if all that is asked for is what the process expects most of


def test_parts_that_are_never_legal_are_not_asked_for() -> None:
    never = Forbidden({"net": ("mlp",)}, "not today")
    space = Space("one", SPACE.choices, (never,))
    study = begun(0, dear=True, space=space)
    assert {parts(trial) for trial in told(study, space)} == {("conv", "prototype"), ("conv", "ridge")}
