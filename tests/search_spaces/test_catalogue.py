"""The named spaces: whatever they propose can be built, and trained."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from search_spaces import Candidate, Categorical, Real, Signature, Space, catalogue, mutate, outer
from search_spaces.errors import RuleError, SpaceError, UnknownNameError
from search_spaces.task import Task

CURVES = Signature("regression", (1,), 1, 5)
TABLES = Signature("regression", (3,), 2, 1)
IMAGES = Signature("classification", (1, 28, 28), 5, 1)
TINY = Signature("classification", (3, 9, 7), 2, 2)
ROWS = Signature("classification", (4,), 3, 1)
SIGNATURES = {"curves": CURVES, "tables": TABLES, "images": IMAGES, "tiny images": TINY, "rows": ROWS}
every_signature = pytest.mark.parametrize("signature", SIGNATURES.values(), ids=list(SIGNATURES))


WIDEST = ("default", "gradient-methods", "symbolic")
widest_spaces = pytest.mark.parametrize("name", WIDEST)


def named(name: str, signature: Signature) -> Space:
    return catalogue.space(name, signature, augmentations=("none", "rotate"))


def default(signature: Signature) -> Space:
    return named("default", signature)


@widest_spaces
@every_signature
def test_every_sample_builds(signature: Signature, rng: np.random.Generator, name: str) -> None:
    space = named(name, signature)
    for _ in range(80):
        candidate = space.sample(rng)
        rule = catalogue.build(candidate, signature)
        assert rule.network.size >= 1
        made = catalogue.settings(candidate, signature)
        most = made.shots if isinstance(made.shots, int) else made.shots[1]
        assert min(made.tasks, made.queries, most) >= 1
        assert made.ways % signature.outputs == 0
        assert most <= 2 * signature.shots
        assert (made.learning_rate, made.weight_decay) == (
            candidate["outer.learning_rate"],
            candidate["outer.weight_decay"],
        )


@widest_spaces
@pytest.mark.parametrize("signature", [CURVES, TABLES, TINY, ROWS])
def test_every_sample_can_be_trained_and_asked(signature: Signature, name: str) -> None:
    """One outer gradient and one prediction; tiny images stand for large ones."""
    space, rng = named(name, signature), np.random.default_rng(1)
    diverged = 0
    for _ in range(12):
        candidate = space.sample(rng)
        rule = catalogue.build(candidate, signature)
        ways = catalogue.settings(candidate, signature).ways
        meta, buffers = rule.init(torch.Generator().manual_seed(0))
        free = {name: value.requires_grad_() for name, value in meta.items()}
        key, progress = torch.tensor(0), torch.tensor(0.5)
        loss, observed = rule.outer_loss(free, buffers, task(signature, ways), key, progress)
        gradients = torch.autograd.grad(loss, list(free.values()), allow_unused=True)
        assert observed.keys() <= buffers.keys()
        useful = any(g is not None and g.isfinite().all() and g.any() for g in gradients)
        diverged += not useful
        # ten steps of a size drawn up to 1 may leave all that is finite; nothing else may
        assert useful or (name != "default" and not loss.isfinite()), candidate
        scored = task(signature, signature.outputs)
        adapted = rule.adapt(free, buffers, scored["support_x"], scored["support_y"], None, key)
        assert rule.predict(free, buffers, adapted, scored["query_x"]).shape == scored["query_y"].shape
    assert diverged <= 3


def task(signature: Signature, ways: int) -> Task:
    random = torch.Generator().manual_seed(0)
    parts = []
    for rows in (signature.shots, 2):
        if signature.kind == "regression":
            y = torch.randn(rows, ways, generator=random)
        else:
            y = torch.eye(ways).repeat(rows, 1)
        parts += [torch.randn(len(y), *signature.input_shape, generator=random), y]
    return {"support_x": parts[0], "support_y": parts[1], "query_x": parts[2], "query_y": parts[3]}


def test_every_pair_of_parts_that_suits_is_proposed(rng: np.random.Generator) -> None:
    def pairs(name: str, signature: Signature) -> set[tuple[str, str]]:
        space = catalogue.space(name, signature)
        return {(str(c["architecture"]), str(c["rule"])) for c in (space.sample(rng) for _ in range(150))}

    assert pairs("default", CURVES) == {("mlp", "gradient"), ("mlp", "ridge")}
    rules = ("gradient", "prototype", "ridge")
    assert pairs("default", IMAGES) == set(itertools.product(("conv", "mlp"), rules))
    assert pairs("gradient", IMAGES) == {("conv", "gradient"), ("mlp", "gradient")}
    assert pairs("closed-form", CURVES) == {("mlp", "ridge")}
    assert pairs("gradient-methods", IMAGES) == {("conv", "chain"), ("mlp", "chain")}
    assert pairs("symbolic", IMAGES) == {("conv", "symbolic"), ("mlp", "symbolic")}


def test_named_methods_are_points_of_the_space() -> None:
    """MAML, first-order MAML, ANIL and BOIL, for curves; Prototypical networks and R2-D2, for images."""
    layers = {f"architecture.mlp.width_{i}": 40 for i in (1, 2)}
    network = {
        "architecture": "mlp",
        "architecture.mlp.depth": 2,
        **layers,
        "architecture.mlp.activation": "relu",
        "architecture.mlp.norm": "none",
    }
    outside = {
        "outer.learning_rate": 1e-3,
        "outer.schedule": "constant",
        "outer.weight_decay": 1e-6,
        "outer.shots": "same",
        "outer.augmentation": "none",
    }
    curves = {**outside, "outer.tasks": 16, "outer.queries": 10}
    for order, scope in ((2, "all"), (1, "all"), (2, "head"), (2, "body")):
        inner = {"steps": 5, "order": order, "step_size": "fixed", "rate": 0.01, "scope": scope}
        rule = {"rule": "gradient", **{f"rule.gradient.{name}": value for name, value in inner.items()}}
        catalogue.space("default", CURVES).validate(Candidate({**network, **rule, **curves}))
    names = ("depth", "width", "kernel", "activation", "norm", "downsample", "residual")
    conv4 = dict(zip(names, (4, 64, 3, "relu", "running", "pool", False), strict=True))
    conv4 = {"architecture": "conv", **{f"architecture.conv.{name}": value for name, value in conv4.items()}}
    images = {**outside, "outer.ways": 40, "outer.classes": 40, "outer.queries": 5}
    prototypes = {"rule": "prototype", "rule.prototype.distance": "euclid"}
    ridge = {"rule": "ridge", "rule.ridge.strength": 0.1}
    for rule in (prototypes, ridge):
        catalogue.space("default", IMAGES).validate(Candidate({**conv4, **rule, **images}))


def test_the_default_space_asks_of_gradient_rules_what_it_always_did() -> None:
    """In this order: else a search with a seed would not repeat."""
    rule = default(IMAGES).flat["rule"]
    assert isinstance(rule, Categorical)
    assert rule.values == ("gradient", "prototype", "ridge")
    names = [choice.name.rpartition(".")[2] for choice in rule.branches["gradient"]]
    assert names == ["steps", "order", "step_size", "rate", "scope", "head"]
    values = [getattr(choice, "values", None) for choice in rule.branches["gradient"]]
    assert values[1:3] == [(1, 2), ("fixed", "layer", "layer_step")]
    assert values[4:] == [("all", "head", "body"), ("shared", "rows")]


@every_signature
def test_shape_ignores_reals_and_schedule_and_nothing_else(
    signature: Signature, rng: np.random.Generator
) -> None:
    space = default(signature)
    seen = set()
    for _ in range(60):
        parent = space.sample(rng)
        child = mutate(space, parent, rng)
        (moved,) = [name for name in parent if name in child and parent[name] != child[name]]
        value_only = isinstance(space.flat[moved], Real) or moved == "outer.schedule"
        assert (catalogue.shape_of(child) == catalogue.shape_of(parent)) == value_only, moved
        seen.add(value_only)
    assert seen == {True, False}


def test_pairs_that_cannot_work_are_forbidden() -> None:
    space = catalogue.space("default", IMAGES)

    def objection(**values: str | int) -> str | None:
        return space.objection({name.replace("_", "."): value for name, value in values.items()})

    assert objection(rule_gradient_head="shared", rule_gradient_scope="body")
    assert objection(rule_gradient_head="rows", outer_ways=10)
    assert not objection(rule_gradient_head="rows", outer_ways=5)
    assert not objection(rule_gradient_head="shared", rule_gradient_scope="head", outer_ways=10)
    assert objection(rule="ridge", outer_ways=40) is None


def test_training_asks_for_no_more_than_the_family_has(rng: np.random.Generator) -> None:
    for train_ways, examples in ((5, 2), (7, 7), (12, 8), (64, 20)):
        space = catalogue.space("default", IMAGES, train_ways=train_ways, examples=examples)
        for _ in range(40):
            made = catalogue.settings(space.sample(rng), IMAGES)
            most = made.shots if isinstance(made.shots, int) else made.shots[1]
            assert made.ways <= train_ways
            assert most + made.queries <= examples


def test_a_choice_of_one_is_kept_as_a_fixed_value() -> None:
    """Optuna is not asked for it, but the candidate says it."""
    space = catalogue.space("default", CURVES)
    assert isinstance(space.flat["architecture"], Categorical)
    assert space.flat["architecture"].values == ("mlp",)
    assert space.sample(np.random.default_rng(0))["architecture"] == "mlp"


def test_an_unknown_space_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="default, gradient, closed-form"):
        catalogue.space("everything", CURVES)


def test_a_candidate_that_lacks_something_says_what(rng: np.random.Generator) -> None:
    candidate = default(CURVES).sample(rng)
    for name in ("rule", "architecture", "architecture.mlp.norm"):
        with pytest.raises(SpaceError, match=name.rpartition(".")[2]):
            catalogue.build(Candidate({k: v for k, v in candidate.items() if k != name}), CURVES)
    with pytest.raises(SpaceError, match=r"outer\.tasks|outer\.classes"):
        catalogue.settings(Candidate({k: v for k, v in candidate.items() if k != "outer.tasks"}), CURVES)


def test_parts_that_do_not_suit_the_tasks_are_refused(rng: np.random.Generator) -> None:
    conv = next(c for c in iter(lambda: default(TINY).sample(rng), None) if c["architecture"] == "conv")
    with pytest.raises(RuleError, match="try mlp"):
        catalogue.build(conv, ROWS)
    prototype = next(c for c in iter(lambda: default(ROWS).sample(rng), None) if c["rule"] == "prototype")
    with pytest.raises(RuleError, match="ridge or gradient"):
        catalogue.build(prototype, Signature("regression", (4,), 3, 1))


def test_outer_settings_say_what_the_choices_mean() -> None:
    choices = {
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "weight_decay": 1e-4,
        "augmentation": "none",
        "queries": 5,
    }
    mixed = outer.build({**choices, "shots": "mixed", "ways": 10, "classes": 40}, IMAGES)
    assert (mixed.ways, mixed.tasks, mixed.shots) == (10, 4, (1, 2))
    double = outer.build({**choices, "shots": "double", "tasks": 16}, CURVES)
    assert (double.ways, double.tasks, double.shots) == (1, 16, 10)


def test_reals_of_a_network_are_a_part_of_what_is_computed_and_those_of_a_rule_are_not() -> None:
    """A slope may stand in what a third party's network computes; what a rule has is learned, or an input."""
    network = {"architecture": "mine", "architecture.mine.slope": 0.1}
    settings = {**network, "rule": "ridge", "rule.ridge.strength": 0.1}
    first = catalogue.shape_of(Candidate(settings))
    assert catalogue.shape_of(Candidate({**settings, "rule.ridge.strength": 0.2})) == first
    assert catalogue.shape_of(Candidate({**settings, "architecture.mine.slope": 0.2})) != first
