"""One space for several families: what all can build, and what its candidates are to each."""

from __future__ import annotations

import numpy as np
import pytest

from search_spaces import Categorical, Real, Signature, Space, catalogue
from search_spaces.errors import SpaceError
from search_spaces.shared import Shared, share
from search_spaces.space import Forbidden

CURVES = Signature("regression", (1,), 1, 5)
ROWS = Signature("regression", (7,), 1, 10)
PAIRS = Signature("classification", (8,), 2, 1)
FIVES = Signature("classification", (8,), 5, 1)
PICTURES = Signature("classification", (1, 28, 28), 5, 1)


def shared(*signatures: Signature, space: str = "default") -> Shared:
    return share({f"f{i}": catalogue.space(space, s) for i, s in enumerate(signatures)})


@pytest.mark.parametrize(
    "signatures",
    [(CURVES, ROWS), (PAIRS, FIVES), (CURVES, FIVES), (PICTURES, CURVES), (PAIRS, PICTURES, ROWS)],
)
def test_every_candidate_can_be_built_and_trained_for_each_family(
    signatures: tuple[Signature, ...], rng: np.random.Generator
) -> None:
    found = shared(*signatures)
    for _ in range(40):
        candidate = found.space.sample(rng)
        for i, signature in enumerate(signatures):
            own = found.of(candidate, i)
            found.own[i].validate(own)
            catalogue.space("default", signature).validate(own)
            catalogue.build(own, signature)
            catalogue.settings(own, signature)
            assert own["architecture"] == candidate["architecture"]
            assert own.part("rule") == {k: v for k, v in candidate.part("rule").items() if f"rule.{k}" in own}


def test_families_of_one_signature_share_the_whole_space() -> None:
    found = shared(CURVES, CURVES)
    assert found.space == catalogue.space("default", CURVES) == found.own[0] == found.own[1]


def test_only_what_suits_all_is_proposed() -> None:
    flat = shared(PICTURES, CURVES).space.flat
    assert flat["architecture"].values == ("mlp",)  # type: ignore[union-attr]
    assert "prototype" not in flat["rule"].values  # type: ignore[union-attr]


def test_sizes_of_training_tasks_are_those_of_the_same_place(rng: np.random.Generator) -> None:
    found = shared(PAIRS, FIVES)
    candidates = [found.space.sample(rng) for _ in range(60)]
    ways = {(found.of(c, 0)["outer.ways"], found.of(c, 1)["outer.ways"]) for c in candidates}
    assert ways == {(2, 5), (4, 10), (8, 20), (16, 40)}


def test_what_is_forbidden_for_one_family_is_forbidden_for_all(rng: np.random.Generator) -> None:
    found = shared(CURVES, FIVES, space="gradient")
    rows = [c for c in (found.space.sample(rng) for _ in range(300)) if c["rule.gradient.head"] == "rows"]
    assert {c["outer.ways"] for c in rows} == {5}
    assert rows


def test_what_only_one_family_has_is_left_to_it(rng: np.random.Generator) -> None:
    found = shared(CURVES, FIVES, space="gradient")
    candidate = found.space.sample(rng)
    assert "rule.gradient.head" in candidate
    assert "rule.gradient.head" not in found.of(candidate, 0)
    assert found.of(candidate, 1)["rule.gradient.head"] == candidate["rule.gradient.head"]


def test_a_rule_that_can_never_match_is_gone() -> None:
    one = Space(
        "s", (Categorical("a", (1, 2)), Categorical("b", (1, 2))), (Forbidden({"a": (2,), "b": (2,)}, "x"),)
    )
    other = Space("s", (Categorical("a", (1, 3)), Categorical("b", (1, 2))))
    found = share({"one": one, "other": other}).space
    assert [choice.values for choice in found.choices] == [(1,), (1, 2)]  # type: ignore[union-attr]
    assert found.objection({"a": 1, "b": 2}) is None


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (
            Categorical("rule", ("a",)),
            Categorical("rule", ("b",)),
            r"no rule suits all families \(x: a; y: b\)",
        ),
        (Real("r", 0, 1), Real("r", 2, 3), "no r suits all families: their ranges do not meet"),
        (Real("r", 0, 1), Categorical("r", (1,)), "r is of different kinds for x and y"),
    ],
)
def test_a_choice_that_nothing_suits_is_named(one: object, other: object, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        share({"x": Space("s", (one,)), "y": Space("s", (other,))})  # type: ignore[arg-type]
