"""``metanas space explain|shrink`` on a store of simulated studies."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metanas.testing import simulated
from search_spaces import Candidate, Signature, catalogue
from storage import Store
from tests.metanas.conftest import run_in

Run = Callable[..., Any]
SPACE = catalogue.space("default", Signature("regression", (1,), 1, 5))


def error(candidate: Candidate) -> float:
    """Ridge is bad, and the higher the learning rate the better."""
    rate = math.log10(float(candidate["outer.learning_rate"]))
    return 3.0 * (candidate["rule"] == "ridge") - 4 * rate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explain")
    with Store.open(str(folder / "metanas.db")) as store:
        for seed, name in enumerate(("one", "two")):
            found = simulated.records(name, SPACE, error, np.random.default_rng(seed), 60)
            simulated.remember(store, name, SPACE, found)
        for name, count in (("few", 3), ("some", 20)):
            found = simulated.records(name, SPACE, error, np.random.default_rng(9), count)
            simulated.remember(store, name, SPACE, found)
    return folder


def test_explain_says_what_matters(folder: Path) -> None:
    ran = run_in(folder, "space", "explain", "one", "two")
    assert (ran.code, ran.err) == (0, "")
    assert "120 trials of one, two, in space default" in ran.out
    assert "rule = ridge" in ran.out
    assert "At an edge: the best of" in ran.out
    told = run_in(folder, "space", "explain", "one", "two", "--json").json
    assert next(iter(told["importance"])) == "outer.learning_rate"
    assert {"rule", "outer.learning_rate"} <= {one["choice"] for one in told["dominated"]}
    assert told["edges"][0]["choice"] == "outer.learning_rate"
    assert told["edges"][0]["highest"]


def test_too_few_trials_say_how_many_it_takes(folder: Path) -> None:
    told = run_in(folder, "space", "explain", "some", "--json").json
    assert not told["dominated"]
    assert told["values_tested"] == 0
    enough = run_in(folder, "space", "explain", "one", "two", "--json").json
    assert enough["values_tested"] > len(enough["dominated"]) > 0
    assert told["trials_needed"] == enough["trials_needed"], "it is of the space, not of what was tried"
    said = f"other choices, which takes up to {told['trials_needed']}"
    assert said in run_in(folder, "space", "explain", "some").out
    assert said not in run_in(folder, "space", "explain", "one", "two").out


def test_shrink_writes_a_space_that_can_be_searched(folder: Path) -> None:
    ran = run_in(folder, "space", "shrink", "one", "two", "-o", "smaller.toml")
    assert (ran.code, ran.err) == (0, "")
    assert "smaller.toml: " in ran.out
    assert run_in(folder, "space", "check", "smaller.toml").code == 0
    smaller = catalogue.space(str(folder / "smaller.toml"), Signature("regression", (1,), 1, 5))
    assert "ridge" not in smaller.flat["rule"].values  # type: ignore[union-attr]
    rate, before = (space.flat["outer.learning_rate"] for space in (smaller, SPACE))
    assert rate.high == before.high  # type: ignore[union-attr]
    assert rate.low > before.low  # type: ignore[union-attr]


def test_shrink_starts_from_the_space_that_a_widened_one_is_of(tmp_path: Path) -> None:
    """Of more layers than any named space has: yet its rules are of one of them alone."""
    (tmp_path / "wide.toml").write_text('from = "gradient-methods"\n[architecture.mlp]\ndepth = [1, 2, 6]\n')
    signature = Signature("regression", (1,), 1, 5)
    wide = catalogue.space(str(tmp_path / "wide.toml"), signature)
    with Store.open(str(tmp_path / "metanas.db")) as store:
        found = simulated.records(
            "wide", wide, lambda c: float(c["outer.tasks"]), np.random.default_rng(0), 60
        )
        simulated.remember(store, "wide", wide, found)
    assert run_in(tmp_path, "space", "shrink", "wide", "-o", "smaller.toml").code == 0
    assert 'from = "gradient-methods"' in (tmp_path / "smaller.toml").read_text()
    smaller = catalogue.space(str(tmp_path / "smaller.toml"), signature)
    assert smaller.flat.keys() <= wide.flat.keys()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("explain", "few"), "3 trials have ended"),
        (("explain", "nosuch"), "no study 'nosuch'"),
        (("shrink", "one", "-o", "smaller.txt"), "ends in .toml"),
        (("shrink", "one", "-o", "nowhere/smaller.toml"), "no folder"),
    ],
)
def test_a_mistake_is_one_line(folder: Path, arguments: tuple[str, ...], why: str) -> None:
    ran = run_in(folder, "space", *arguments)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert why in ran.err
