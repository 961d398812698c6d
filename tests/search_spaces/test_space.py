"""Spaces: whatever is proposed is legal, whatever is legal can be proposed; over drawn spaces."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import (
    Candidate,
    Categorical,
    Choice,
    Forbidden,
    Integer,
    Real,
    Space,
    crossover,
    mutate,
)
from search_spaces.errors import IllegalCandidateError, SpaceError
from tests.search_spaces.drawn import spaces

FEW = settings(max_examples=40, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32)


@FEW
@given(spaces(), SEEDS)
def test_whatever_is_proposed_is_legal(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = space.sample(rng), space.sample(rng)
    further = [] if space.forbidden else [mutate(space, a, rng, changes=3)]  # from there none may be legal
    for proposed in (a, b, crossover(space, a, b, rng), mutate(space, a, rng), *further):
        space.validate(proposed)
        assert space.objection(proposed) is None


@FEW
@given(spaces(), SEEDS)
def test_a_mutant_is_another_candidate_where_there_is_one(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parent = space.sample(rng)
    for _ in range(5):
        assert (mutate(space, parent, rng) == parent) == (space.size == 1)


@FEW
@given(spaces(), SEEDS)
def test_a_mutant_differs_in_one_choice_and_what_that_opens(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parent = space.sample(rng)
    child = mutate(space, parent, rng)
    moved = [name for name in parent.keys() & child.keys() if parent[name] != child[name]]
    assert len(moved) == (space.size > 1)


@FEW
@given(spaces(forbid=False), SEEDS)
def test_a_child_takes_after_its_parents(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = space.sample(rng), space.sample(rng)
    for name, value in crossover(space, a, b, rng).items():
        having = [parent[name] for parent in (a, b) if name in parent]
        assert value in having or not having
    assert crossover(space, a, a, rng) == a


@FEW
@given(spaces(), SEEDS)
def test_codes_have_one_length_and_mark_what_is_active(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    length = sum(choice.width for choice in space.flat.values())
    for _ in range(3):
        candidate = space.sample(rng)
        code, mask = space.encode(candidate)
        assert code.shape == mask.shape == (length,)
        assert mask.dtype == bool
        assert ((code >= 0) & (code <= 1)).all()
        assert not code[~mask].any()
        ends = np.cumsum([choice.width for choice in space.flat.values()])[:-1]
        marked = dict(zip(space.flat, np.split(mask, ends), strict=True))
        assert {name for name, part in marked.items() if part.all()} == set(candidate)
        assert all(part.all() or not part.any() for part in marked.values())


@FEW
@given(spaces())
def test_json_gives_the_same_space_back(space: Space) -> None:
    back = Space.from_json(space.to_json())
    assert back == space
    assert back.to_json() == space.to_json()
    assert list(back.flat) == list(space.flat), "codes would mean something else"
    assert back.sample(np.random.default_rng(0)) == space.sample(np.random.default_rng(0))


@FEW
@given(spaces(finite=True, forbid=False))
def test_size_is_the_number_of_candidates(space: Space) -> None:
    every = [Candidate(point) for point in points(space.choices)]
    assert len({candidate.id for candidate in every}) == len(every) == space.size
    for candidate in every[:20]:
        space.validate(candidate)


@FEW
@given(spaces(finite=True, forbid=False))
def test_different_candidates_have_different_codes(space: Space) -> None:
    every = [space.encode(Candidate(point)) for point in itertools.islice(points(space.choices), 200)]
    assert len({(code.tobytes(), mask.tobytes()) for code, mask in every}) == len(every)


def points(choices: tuple[Choice, ...]) -> Iterator[dict[str, Any]]:
    """Every candidate of a finite tree, written without the code under test."""
    if not choices:
        yield {}
        return
    first, *rest = choices
    if isinstance(first, Categorical):
        heads = [(value, first.branches.get(value, ())) for value in first.values]
    else:
        heads = [(value, ()) for value in range(int(first.low), int(first.high) + 1)]
    for value, below in heads:
        for here in points(below):
            for others in points(tuple(rest)):
                yield {first.name: value, **here, **others}


def test_every_legal_candidate_of_a_small_space_is_drawn(rng: np.random.Generator) -> None:
    space = small()
    legal = {c.id for c in map(Candidate, points(space.choices)) if space.objection(c) is None}
    assert len(legal) == 8
    assert {space.sample(rng).id for _ in range(1000)} == legal
    start = space.sample(rng)
    walk = {start.id}
    for _ in range(1000):
        start = mutate(space, start, rng)
        walk.add(start.id)
    assert walk == legal, "mutation should reach everything"


def small() -> Space:
    steps = Integer("steps", 1, 3)
    rule = Categorical("rule", ("ridge", "gradient"), {"gradient": (steps,)})
    norm = Categorical("norm", ("none", "group", "layer"), ordered=True)
    return Space(
        "small", (rule, norm), (Forbidden({"steps": (2, 3), "norm": ("none", "layer")}, "too slow"),)
    )


@FEW
@given(spaces(forbid=False))
def test_a_trials_parameters_are_the_candidate(space: Space) -> None:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    candidate = space.suggest(trial)
    space.validate(candidate)
    singles = {name for name, c in space.flat.items() if isinstance(c, Categorical) and c.width == 1}
    assert trial.params == {name: value for name, value in candidate.items() if name not in singles}
    assert all(type(trial.params[name]) is type(candidate[name]) for name in trial.params)


def test_an_illegal_trial_is_refused_with_the_reason() -> None:
    trial = optuna.trial.FixedTrial({"rule": "gradient", "steps": 2, "norm": "none"})
    with pytest.raises(IllegalCandidateError, match="too slow"):
        small().suggest(trial)
    assert trial.params == {"rule": "gradient", "steps": 2, "norm": "none"}, "Optuna keeps what was refused"


def test_an_enqueued_whole_number_becomes_the_real_it_stands_for() -> None:
    study = optuna.create_study()
    study.enqueue_trial({"r": 1})
    space = Space("s", (Real("r", 0.0, 2.0),))
    assert space.suggest(study.ask()) == Candidate({"r": 1.0})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "lacks rule"),
        ({"rule": "ridge"}, "lacks norm"),
        ({"rule": "gradient", "norm": "group"}, "lacks steps"),
        ({"rule": "svm", "norm": "group"}, r"rule should be one of \['ridge', 'gradient'\], got 'svm'"),
        (
            {"rule": "gradient", "steps": 4, "norm": "group"},
            "steps should be a whole number from 1 to 3, got 4",
        ),
        ({"rule": "ridge", "norm": "group", "colour": 1}, "colour: not active"),
        ({"rule": "ridge", "steps": 1, "norm": "group"}, "steps: not active"),
    ],
)
def test_what_is_no_point_of_the_space_is_told_why(values: dict[str, Any], words: str) -> None:
    with pytest.raises(SpaceError, match=words) as error:
        small().validate(Candidate(values))
    assert not isinstance(error.value, IllegalCandidateError)


def test_values_that_do_not_go_together_are_told_apart_from_wrong_ones() -> None:
    with pytest.raises(IllegalCandidateError, match="too slow"):
        small().validate(Candidate({"rule": "gradient", "steps": 3, "norm": "layer"}))


def test_a_space_without_room_says_so(rng: np.random.Generator) -> None:
    roots = (Categorical("a", (1, 2)), Categorical("b", (1, 2)))
    space = Space("full", roots, (Forbidden({"a": (1, 2)}, "no"),))
    with pytest.raises(SpaceError, match=r"space full.*no room"):
        space.sample(rng)


N = Integer("n", 1, 2)


@pytest.mark.parametrize(
    "roots",
    [
        (N, N),
        (N, Real("n", 1.0, 2.0)),
        (N, Categorical("c", (1, 2), {1: (N,)})),
        (Categorical("c", (1, 2), {1: (N,)}), Categorical("d", (1, 2), {2: (N,)})),
        (Categorical("c", (1, 2), {1: (N, N)}),),
        (Categorical("c", (1, 2), {1: (Categorical("c", (1, 2)),)}),),
        (Categorical("c", (1, 2), {1: (N,), 2: (Integer("n", 1, 3),)}),),
    ],
)
def test_a_name_stands_for_one_choice(roots: tuple[Choice, ...]) -> None:
    with pytest.raises(SpaceError, match=r"space s: .* called [nc]\b"):
        Space("s", roots)


def test_choices_that_are_never_active_together_may_be_the_same() -> None:
    assert Space("s", (Categorical("c", (1, 2), {1: (N,), 2: (N,)}),)).size == 4


def test_forbidding_what_is_not_there_is_refused() -> None:
    with pytest.raises(SpaceError, match="colour"):
        Space("s", (N,), (Forbidden({"colour": (1,)}, "no"),))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"name": "s", "choices": 3, "forbidden": []}',
        '{"name": "s", "choices": [{"kind": "tree", "name": "n"}], "forbidden": []}',
        '{"name": "s", "choices": [{"kind": "integer", "name": "n", "low": 1}], "forbidden": []}',
        '{"name": "s", "choices": [{"kind": "integer", "name": "n", "low": 3, "high": 1, "log": false}], '
        '"forbidden": []}',
        '{"name": "s", "choices": [{"kind": "integer", "name": "n", "low": "1", "high": 2, "log": false}], '
        '"forbidden": []}',
        '{"name": "s", "choices": [], "forbidden": [{"when": {"a": [1]}, "reason": ""}]}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:40] or "empty",
)
def test_text_that_is_no_space_is_refused(text: str) -> None:
    with pytest.raises(SpaceError):
        Space.from_json(text)


def test_the_tree_is_described_as_a_tree() -> None:
    space = Space("s", (*small().choices, Real("lr", 1e-4, 0.1, log=True)))
    assert space.describe().splitlines() == [
        "s: infinitely many candidates",
        "  rule: ridge | gradient",
        "    if gradient:",
        "      steps: 1 to 3",
        "  norm: none | group | layer",
        "  lr: 0.0001 to 0.1, logarithmic",
    ]
    assert small().describe().startswith("small: 12 candidates\n")
    assert math.isinf(space.size)
