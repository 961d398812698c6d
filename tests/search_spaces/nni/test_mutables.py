"""Spaces to NNI's mutables and back: nothing is lost, and what is a point of one is a point of the other."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import Candidate, Categorical, Integer, Real, Space
from search_spaces.errors import IllegalCandidateError, SpaceError
from tests.search_spaces.drawn import spaces

theirs = pytest.importorskip("nni.mutable", reason="NNI is not installed on this machine")
from search_spaces import nni as bridge  # noqa: E402  # which says so in our words where it is not

FEW = settings(max_examples=40, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**31)
RULE = Categorical("rule", ("ridge", "gradient"), {"gradient": (Integer("steps", 1, 10),)})
TINY = Space("tiny", (RULE, Real("rate", 1e-3, 1e-1, log=True)))


@FEW
@given(spaces())
def test_there_and_back_is_the_same_space(space: Space) -> None:
    back = bridge.from_nni(bridge.to_nni(space))
    assert back == space
    assert back.to_json() == space.to_json()


@FEW
@given(spaces(), SEEDS)
def test_what_nni_draws_is_a_candidate(space: Space, seed: int) -> None:
    mutable, sample = bridge.to_nni(space), {}
    try:
        frozen = mutable.random(sample, np.random.RandomState(seed))
    except theirs.SampleValidationError:  # drawn without a look at what is forbidden together
        with pytest.raises(IllegalCandidateError):
            space.validate(bridge.candidate_of(space, sample))
        return
    candidate = bridge.candidate_of(space, sample)
    space.validate(candidate)
    assert set(frozen) == set(candidate)


@FEW
@given(spaces(), SEEDS)
def test_what_we_draw_is_a_sample(space: Space, seed: int) -> None:
    candidate = space.sample(np.random.default_rng(seed))
    mutable = bridge.to_nni(space)
    sample = bridge.sample_of(mutable, candidate, np.random.RandomState(seed))
    assert mutable.contains(sample)
    assert mutable.freeze(sample) == dict(candidate)
    assert set(sample) == set(mutable.simplify()), "of inactive choices too"
    assert bridge.candidate_of(space, sample) == candidate


@pytest.mark.parametrize(
    ("sample", "legal"),
    [
        ({"rule": "ridge", "rate": 0.01}, True),  # steps are not active
        ({"rule": "gradient", "rate": 0.01}, False),
        ({"rule": "gradient", "rate": 0.01, "steps": 11}, False),
        ({"rule": "gradient", "rate": 0.01, "steps": 3}, True),
        ({"rule": "ridge", "rate": math.nan}, False),
        ({"rule": "ridge", "rate": "fast"}, False),
        ({"rule": "ridge", "rate": True}, False),
        ({"rule": "knn", "rate": 0.01}, False),
        ({"rate": 0.01}, False),
    ],
)
def test_only_what_is_active_is_asked_for(sample: dict[str, Any], legal: bool) -> None:
    assert bridge.to_nni(TINY).contains(sample) is legal


def test_nnis_own_spaces_are_read() -> None:
    own = theirs.MutableDict(
        {
            "op": theirs.Categorical(["conv", "pool"], label="op"),
            "rate": theirs.Numerical(1e-3, 1e-1, log_distributed=True, label="rate"),
            "more": theirs.MutableList([theirs.Numerical(1, 4, quantize=1, label="depth")]),
            "drop": theirs.Numerical(0, 0.5, quantize=0.25, label="drop"),
            "third": theirs.Numerical(0.1, 0.3, quantize=0.1, label="third"),  # 0.3 / 0.1 is less than 3
        }
    )
    assert bridge.from_nni(own, "own") == Space(
        "own",
        (
            Categorical("op", ("conv", "pool")),
            Real("rate", 1e-3, 1e-1, log=True),
            Integer("depth", 1, 4),
            Categorical("drop", (0.0, 0.25, 0.5), ordered=True),
            Categorical("third", (0.1, 0.2, 0.3), ordered=True),
        ),
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: theirs.Numerical(mu=0.0, sigma=1.0, label="x"), "NNI's number x has no ends"),
        (lambda: theirs.Categorical([(1, 2), (3, 4)], label="x"), "NNI's choice x has the value"),
        (lambda: theirs.CategoricalMultiple([1, 2, 3], n_chosen=2, label="x"), "has no counterpart here"),
        (lambda: 3, "int is no mutable of NNI's"),
    ],
)
def test_what_has_no_counterpart_is_named(make: Any, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        bridge.from_nni(make())


def test_a_label_that_nni_refuses_is_named() -> None:
    with pytest.raises(SpaceError, match="a/b: NNI's labels may not contain /"):
        bridge.to_nni(Space("s", (Integer("a/b", 1, 2),)))


def test_a_sample_that_lacks_a_choice_is_refused() -> None:
    with pytest.raises(SpaceError, match="lacks steps"):
        bridge.candidate_of(TINY, {"rule": "gradient", "rate": 0.01})


def test_numbers_of_numpy_become_pythons() -> None:
    sample = {"rule": np.str_("gradient"), "rate": np.float64(0.01), "steps": np.float64(3.0)}
    candidate = bridge.candidate_of(TINY, sample)
    assert candidate == Candidate({"rule": "gradient", "steps": 3, "rate": 0.01})
    assert [type(candidate[name]) for name in ("rule", "steps", "rate")] == [str, int, float]


def test_nothing_of_it_is_on_stdout() -> None:
    code = (
        "from search_spaces import Integer, Space; from search_spaces import nni as bridge;"
        "bridge.to_nni(Space('s', (Integer('a', 1, 2),))).random()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
