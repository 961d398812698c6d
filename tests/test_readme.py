"""What the README shows runs as it stands."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from search_spaces import Categorical, Signature, catalogue

HOUSE = Path(__file__).parents[1]
TEXT = (HOUSE / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
CURVES = Signature("regression", (1,), 1, 5)
optuna.logging.set_verbosity(optuna.logging.ERROR)


def block(language: str, part: str) -> str:
    """The only block of that language that has this part."""
    (found,) = (body for kind, body in BLOCKS if kind == language and part in body)
    return str(found)


def test_our_sampler_drives_a_plain_study(tmp_path: Path) -> None:
    score = 'def my_score(candidate):\n    return candidate["outer.learning_rate"]\n\n\n'
    (tmp_path / "shown.py").write_text(score + block("python", "my_score"), encoding="utf-8")
    study: Any = runpy.run_path(str(tmp_path / "shown.py"))["study"]
    assert len(study.trials) == 50
    assert study.best_value < 0.002, "it finds the end of the range"
    assert len({trial.params["rule"] for trial in study.trials}) > 1


def test_the_example_of_it_trains_and_scores() -> None:
    example = runpy.run_path(str(HOUSE / "examples" / "plain_optuna.py"))
    study = optuna.create_study(sampler=example["evolution"].build(example["SPACE"], seed=0))
    study.optimize(lambda trial: example["objective"](trial, steps=5), n_trials=2)
    assert 0 < study.best_value < 20


def test_the_space_file_is_one(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(block("toml", "my.toml"), encoding="utf-8")
    space = catalogue.space(str(tmp_path / "my.toml"), CURVES)
    depth, rng = space.flat["architecture.mlp.depth"], np.random.default_rng(0)
    assert isinstance(depth, Categorical)
    assert depth.values == (1, 2, 6)
    for _ in range(20):
        catalogue.build(space.sample(rng), CURVES)


def test_the_family_is_the_example_that_is_searched() -> None:
    """See tests/metanas/test_own_families.py."""
    example = (HOUSE / "examples" / "own_family.py").read_text(encoding="utf-8")
    shown = block("python", "class Decays")
    assert shown.partition("import torch")[2] == example.partition("import torch")[2]
