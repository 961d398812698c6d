"""A learner in somebody's program: what surrounds it, how columns are named, what is not there."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from metanas.learner import Learner
from metanas.testing.learners import REGRESSION, SPECIES, candidate, written
from search_spaces.errors import DataError
from tests.metanas.learner.test_learner import GOOD, Y, make, numbers


@pytest.fixture
def regression(tmp_path: Path) -> Learner:
    return make(tmp_path, REGRESSION)


@pytest.mark.parametrize("rule", ["ridge", "gradient", "prototype"])
def test_what_surrounds_a_learner_changes_nothing(
    tmp_path: Path, rng: np.random.Generator, rule: str
) -> None:
    """As in a program that trains in half precision, or keeps all its tensors somewhere else."""
    learner = make(tmp_path, SPECIES, rule, **({"rule_head": "shared"} if rule == "gradient" else {}))
    x, y = rng.normal(size=(9, 2)), list("aabbccabc")
    before = learner.adapt(x, y).predict_proba(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_array_equal(learner.adapt(x, y).predict_proba(x), before)
    torch.set_default_device("meta")  # tensors without values: whatever lands there is lost
    try:
        np.testing.assert_array_equal(learner.adapt(x, y).predict_proba(x), before)
    finally:
        torch.set_default_device(None)


def test_named_numbers_are_found_by_name(regression: Learner, rng: np.random.Generator) -> None:
    x, y = numbers(rng)
    expected = regression.adapt(x, y).predict(x)
    frame = pd.DataFrame({"dose": x[:, 1], "who": "a", "time": x[:, 0]})
    for named in (frame, dict(frame), frame.to_dict("records"), frame[["time", "dose"]]):
        np.testing.assert_array_equal(regression.adapt(named, y).predict(named), expected)
    plain = pd.DataFrame(x)  # it has none of the names: by place, as an array
    np.testing.assert_array_equal(
        regression.adapt(plain, pd.DataFrame({"y": y})).predict(plain)[:, 0], expected
    )
    with pytest.raises(DataError, match=r"query lacks the column 'dose' \(it has time\)"):
        regression.adapt(frame, y).predict({"time": x[:, 0]})
    with pytest.raises(DataError, match=r"support: column 'dose': row 1 .*'much' is not a number"):
        regression.adapt({"time": [0.0, 1.0], "dose": [1.0, "much"]}, [1.0, 2.0])


def test_a_data_frame_of_other_names_does_not_go_by_place(regression: Learner) -> None:
    with pytest.raises(DataError, match=r"support lacks the column 'time' \(it has DOSE, TIME\)"):
        regression.adapt(pd.DataFrame({"DOSE": [0.0, 1.0], "TIME": [1.0, 0.0]}), [1.0, 2.0])


def test_loading_takes_no_compiler(regression: Learner, tmp_path: Path) -> None:
    """A second of every program's start, and a variable of its environment."""
    code = (
        "import os, sys, metanas; metanas.load(sys.argv[1])\n"
        "assert 'torch._dynamo' not in sys.modules and 'TORCHINDUCTOR_CACHE_DIR' not in os.environ\n"
        "try: metanas.load('none')\n"
        "except metanas.LearnerFileError as error: assert isinstance(error, metanas.MetanasError)"
    )
    (file,) = tmp_path.glob("*.metanas")
    surroundings = {name: value for name, value in os.environ.items() if "INDUCTOR" not in name}
    subprocess.run([sys.executable, "-c", code, str(file)], check=True, timeout=60, env=surroundings)


def test_what_a_mask_hides_is_not_learned(regression: Learner) -> None:
    with pytest.raises(DataError, match=r"support y: row 1 .*NaN"):
        regression.adapt(GOOD, np.ma.masked_values([1.0, -999.0, 3.0], -999.0))
    with pytest.raises(DataError, match=r"support x: row 0 .*NaN"):
        regression.adapt(np.ma.masked_equal(GOOD, 0.0), Y)
    with pytest.raises(DataError, match=r"support x: row 0 .*NaN"):
        regression.adapt([np.ma.masked_equal(row, 0.0) for row in GOOD], Y)
    with pytest.raises(DataError, match=r"support y: row 1 .*NaN"):
        regression.adapt(GOOD, pd.array([1.0, None, 3.0], dtype="Float64"))


def test_a_head_of_rows_takes_no_class_that_it_does_not_know(tmp_path: Path) -> None:
    """Its rows stand for classes: other names would be given to them in an order of their own."""
    feature = {"name": "a", "kind": "number", "mean": 0.0, "std": 1.0, "missing": False}
    names = ["10", "8", "9"]
    known = {
        "kind": "columns",
        "features": [{**feature, "name": name} for name in ("length", "width")],
        "target": {"name": "site", "classes": names},
    }
    made = written(tmp_path, candidate("mlp", "gradient", rule_head="rows"), SPECIES)
    manifest = replace(made.manifest, preprocessing=known)
    learner = Learner(manifest, made.program, made.meta, made.buffers)
    assert learner.adapt(GOOD, [8, 9, 10]).classes.tolist() == [10, 8, 9]
    with pytest.raises(DataError, match=r"class 'nine'.* of 10, 8, 9: name them so"):
        learner.adapt(GOOD, [8, 10, "nine"])
    target = {"name": "site", "classes": [*names, "7"]}  # of tasks that have some of them each
    varied = replace(manifest, preprocessing={**known, "target": target})
    some = Learner(varied, made.program, made.meta, made.buffers)
    assert some.adapt(GOOD, ["1", "2", "3"]).classes.tolist() == ["1", "2", "3"]


@pytest.mark.parametrize(("norm", "step_size"), [("running", "layer_step"), ("none", "fixed")])
def test_a_learner_that_is_sent_to_another_process_is_the_same(
    tmp_path: Path, rng: np.random.Generator, norm: str, step_size: str
) -> None:
    """Step sizes that are not learned, and statistics, are no meta-parameters."""
    learner = make(tmp_path, REGRESSION, "gradient", norm=norm, rule_step_size=step_size)
    x, y = numbers(rng)
    sent = copy.copy(learner)  # as a pickle makes it
    for mine, theirs in zip(learner.weights, sent.weights, strict=True):
        assert torch.equal(mine, theirs)
    np.testing.assert_array_equal(sent.adapt(x, y).predict(x), learner.adapt(x, y).predict(x))
