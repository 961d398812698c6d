"""Every rule on every architecture through the shared suite: one line each."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from metanas.engine import Program
from metanas.testing.asserting import close
from metanas.testing.rules import (
    RULE_CHECKS,
    Check,
    RuleKind,
    meta_gradient_equals_central_differences,
    reals_only_set_initial_values,
    ways_of_running_agree,
)
from search_spaces import Signature
from search_spaces.architectures import conv, mlp
from search_spaces.architectures.interface import Network
from search_spaces.rules import chain, gradient, prototype, ridge, symbolic
from search_spaces.rules.interface import Rule

CURVES = Signature("regression", (2,), 2, 3)
CLASSES = Signature("classification", (3,), 3, 2)
PICTURES = Signature("classification", (2, 4, 4), 2, 2)

MLP = {"depth": 2, "width_1": 6, "width_2": 5, "activation": "tanh", "norm": "none"}
CONV = {
    "depth": 2,
    "width": 3,
    "kernel": 3,
    "activation": "silu",
    "norm": "none",
    "downsample": "stride",
    "residual": True,
}
STEPS: dict[str, Any] = {
    "steps": 2,
    "order": 2,
    "step_size": "fixed",
    "rate": 0.1,
    "scope": "all",
    "head": "rows",
}


def on_curves(**changes: Any) -> Network:
    return mlp.build(MLP | changes, CURVES)


def on_classes(**changes: Any) -> Network:
    return mlp.build(MLP | changes, CLASSES)


def on_pictures(**changes: Any) -> Network:
    return conv.build(CONV | changes, PICTURES)


def maml(**changes: Any) -> dict[str, Any]:
    return STEPS | changes


def composed(**changes: Any) -> dict[str, Any]:
    usual = {"steps": 2, "order": "second", "loss": "last", "scope": "all", "head": "rows"}
    return {**usual, "step_size": "fixed", "rate": 0.1, **changes}


def written(*slots: tuple[str, ...], **changes: Any) -> dict[str, Any]:
    usual = {"steps": 2, "order": "second", "loss": "last", "scope": "all", "head": "rows", "rate": 0.1}
    told = {f"op_{i}": slot[0] for i, slot in enumerate(slots, 1)}
    told |= {f"{n}_{i}": v for i, slot in enumerate(slots, 1) for n, v in zip("ab", slot[1:], strict=False)}
    return {**usual, "c1": 0.5, "c2": 0.1, "c3": 2.0, "slots": len(slots), **told, **changes}


ADAM = (("divide_root", "m", "v"), ("multiply", "c2", "θ"), ("add", "s1", "s2"))
GATED = (("decay", "k"), ("multiply", "s1", "c1"))  # no gradient takes part: a factor of it

RIDGE = {"strength": 0.1}
EUCLID, COSINE = {"distance": "euclid"}, {"distance": "cosine"}

# name: kind, its choices, network, signature
EXACT: dict[str, tuple[RuleKind, dict[str, Any], Network, Signature]] = {
    "maml, mlp": (gradient, maml(), on_curves(), CURVES),
    "maml, 3 steps, gelu": (gradient, maml(steps=3), on_curves(activation="gelu"), CURVES),
    "maml, classes": (gradient, maml(), on_classes(), CLASSES),
    "maml, shared head": (gradient, maml(head="shared"), on_classes(), CLASSES),
    "maml, step size a layer": (gradient, maml(step_size="layer"), on_curves(), CURVES),
    "maml, step size a layer and step": (gradient, maml(step_size="layer_step"), on_curves(), CURVES),
    "maml, support norm": (gradient, maml(), on_curves(norm="support"), CURVES),
    "maml, layer norm": (gradient, maml(), on_curves(norm="layer"), CURVES),
    "maml, group norm": (gradient, maml(), on_curves(norm="group"), CURVES),
    "maml, running norm": (gradient, maml(), on_curves(norm="running"), CURVES),
    "anil": (gradient, maml(scope="head"), on_curves(), CURVES),
    "anil, step size a layer": (gradient, maml(scope="head", step_size="layer"), on_classes(), CLASSES),
    "anil, shared head": (gradient, maml(scope="head", head="shared"), on_classes(), CLASSES),
    "anil, support norm": (gradient, maml(scope="head"), on_curves(norm="support"), CURVES),
    "anil, running norm": (gradient, maml(scope="head"), on_classes(norm="running"), CLASSES),
    "boil": (gradient, maml(scope="body"), on_curves(), CURVES),
    "boil, step size a layer and step": (
        gradient,
        maml(scope="body", step_size="layer_step"),
        on_classes(norm="layer"),
        CLASSES,
    ),
    "boil, support norm": (gradient, maml(scope="body"), on_curves(norm="support"), CURVES),
    "maml, conv": (gradient, maml(), on_pictures(), PICTURES),
    "maml, conv, pool": (gradient, maml(), on_pictures(downsample="pool", residual=False), PICTURES),
    "maml, conv, support norm": (gradient, maml(), on_pictures(norm="support"), PICTURES),
    "maml, conv, group norm": (gradient, maml(steps=1), on_pictures(norm="group"), PICTURES),
    "maml, conv, running norm": (gradient, maml(steps=1), on_pictures(norm="running"), PICTURES),
    "anil, conv": (gradient, maml(scope="head", head="shared"), on_pictures(norm="layer"), PICTURES),
    "ridge, curves": (ridge, RIDGE, on_curves(), CURVES),
    "ridge, wide": (ridge, RIDGE, on_curves(width_2=12), CURVES),
    "ridge, support norm": (ridge, RIDGE, on_curves(norm="support"), CURVES),
    "ridge, running norm": (ridge, RIDGE, on_curves(norm="running"), CURVES),
    "ridge, classes": (ridge, RIDGE, on_classes(norm="layer"), CLASSES),
    "ridge, conv": (ridge, RIDGE, on_pictures(norm="running"), PICTURES),
    "prototype": (prototype, EUCLID, on_classes(), CLASSES),
    "prototype, cosine": (prototype, COSINE, on_classes(), CLASSES),
    "prototype, support norm": (prototype, EUCLID, on_classes(norm="support"), CLASSES),
    "prototype, group norm": (prototype, COSINE, on_classes(norm="group"), CLASSES),
    "prototype, conv, running norm": (prototype, EUCLID, on_pictures(norm="running"), PICTURES),
    "prototype, conv, support norm": (prototype, COSINE, on_pictures(norm="support"), PICTURES),
    "chain, all places": (
        chain,
        composed(limit="norm", metric="curvature", direction="adam", pull="start", step_size="tensor_step"),
        on_curves(),
        CURVES,
    ),
    "chain, loss of every step": (chain, composed(loss="every", order="annealed"), on_classes(), CLASSES),
    "chain, every step, support norm": (
        chain,
        composed(loss="every", steps=3),
        on_curves(norm="support"),
        CURVES,
    ),
    "chain, context": (chain, composed(scope="context"), on_curves(), CURVES),
    "chain, context, support norm": (chain, composed(scope="context"), on_classes(norm="support"), CLASSES),
    "chain, prototypes": (chain, composed(head="prototype"), on_classes(norm="layer"), CLASSES),
    "chain, prototypes, running norm": (
        chain,
        composed(head="prototype", metric="mtnet"),
        on_classes(norm="running"),
        CLASSES,
    ),
    "chain, shared head, T-net": (chain, composed(head="shared", metric="tnet"), on_classes(), CLASSES),
    "chain, shared head, curvature": (
        chain,
        composed(head="shared", metric="curvature", step_size="parameter"),
        on_classes(),
        CLASSES,
    ),
    "chain, conv, MT-net": (chain, composed(metric="mtnet"), on_pictures(norm="support"), PICTURES),
    "chain, conv, curvature": (chain, composed(metric="curvature", scope="body"), on_pictures(), PICTURES),
    "symbolic, Adam": (symbolic, written(*ADAM), on_curves(), CURVES),
    "symbolic, every step, running norm": (
        symbolic,
        written(*ADAM, loss="every", order="annealed", head="shared"),
        on_classes(norm="running"),
        CLASSES,
    ),
    "symbolic, context": (symbolic, written(*GATED, scope="context"), on_curves(), CURVES),
    "symbolic, noise, prototypes": (
        symbolic,
        written(("multiply", "ξ", "c1"), ("add", "s1", "g"), head="prototype"),
        on_classes(norm="layer"),
        CLASSES,
    ),
    "symbolic, conv": (symbolic, written(*ADAM, scope="body"), on_pictures(norm="support"), PICTURES),
    "chain, conv, LSTM": (
        chain,
        composed(direction="meta_lstm", scope="head", head="shared"),
        on_pictures(norm="layer"),
        PICTURES,
    ),
}
FIRST_ORDER: dict[str, tuple[RuleKind, dict[str, Any], Network, Signature]] = {
    "first-order maml": (gradient, maml(order=1), on_curves(), CURVES),
    "first-order maml, relu": (gradient, maml(order=1), on_classes(activation="relu"), CLASSES),
    "first-order maml, step size a layer": (
        gradient,
        maml(order=1, step_size="layer"),
        on_curves(norm="support"),
        CURVES,
    ),
    "first-order anil": (gradient, maml(order=1, scope="head"), on_curves(norm="running"), CURVES),
    "first-order boil, conv": (gradient, maml(order=1, scope="body"), on_pictures(norm="support"), PICTURES),
    "chain, first order": (chain, composed(order="first", direction="lstm"), on_curves(), CURVES),
    "reptile": (chain, composed(order="first", loss="distance"), on_curves(norm="running"), CURVES),
    "symbolic, first order": (symbolic, written(*ADAM, order="first"), on_curves(), CURVES),
    "reptile, shared head": (
        chain,
        composed(order="first", loss="distance", head="shared"),
        on_classes(),
        CLASSES,
    ),
}
CASES = EXACT | FIRST_ORDER


def built(name: str) -> Rule:
    kind, choices, network, signature = CASES[name]
    return kind.build(choices, network, signature)


# tracing takes seconds: `make test ARGS="-m long"`; the others are for `-m slow`
TRACED = {
    "maml, mlp",
    "anil, running norm",
    "boil, step size a layer and step",
    "maml, conv, running norm",
    "ridge, classes",
    "ridge, conv",
    "prototype, support norm",
    "prototype, conv, running norm",
    "first-order maml, step size a layer",
    "chain, loss of every step",
    "chain, prototypes, running norm",
    "symbolic, noise, prototypes",
    "reptile, shared head",
}


def case(check: Check, name: str) -> Any:
    mark = pytest.mark.long if name in TRACED else pytest.mark.slow
    traced = check is ways_of_running_agree
    return pytest.param(check, name, id=f"{check.__name__}-{name}", marks=[mark] * traced)


@pytest.mark.parametrize("metric", ["tnet", "mtnet"])
def test_prototypes_are_of_the_features_that_a_metric_makes(metric: str) -> None:
    """Not of those of the parameters alone, with which nothing is ever run."""
    rule: Any = chain.build(composed(head="prototype", metric=metric, scope="body"), on_classes(), CLASSES)
    program, random = Program.of(rule), torch.Generator().manual_seed(0)
    flat, buffers = program.init(0)
    meta = program.meta.unflatten(flat + 0.3 * torch.randn(flat.shape, generator=random))
    own = {**meta, **program.buffers.unflatten(buffers)}
    x, y = torch.randn(6, 3, generator=random), torch.eye(3).repeat(2, 1)
    fast, slow = rule._start(meta, program.buffers.unflatten(buffers), x, y, None)
    seen = rule._seen(own, slow, fast)
    centres = y.mT @ rule._features(seen, x, None, {}) / 2
    close(slow["head.weight"], 2 * centres, 1e-5)
    raw = y.mT @ rule._features({**slow, **fast}, x, None, {}) / 2
    assert not torch.allclose(raw, centres)


@pytest.mark.parametrize(("check", "name"), [case(check, name) for check in RULE_CHECKS for name in CASES])
def test_rule(check: Check, name: str) -> None:
    check(built(name))


@pytest.mark.parametrize("name", EXACT)
def test_meta_gradient_equals_central_differences(name: str) -> None:
    meta_gradient_equals_central_differences(built(name))


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_first_order_gradient_is_not_the_exact_one(name: str) -> None:
    with pytest.raises(AssertionError, match="slope"):
        meta_gradient_equals_central_differences(built(name))


@pytest.mark.parametrize("name", CASES)
def test_reals_only_set_initial_values(name: str) -> None:
    reals_only_set_initial_values(*CASES[name])


@pytest.mark.parametrize("name", ["ridge, curves", "maml, mlp"])
def test_reals_do_set_initial_values(name: str) -> None:
    kind, choices, network, signature = CASES[name]
    reals = {key: value / 2 for key, value in choices.items() if isinstance(value, float)}
    tensors = [
        torch.cat(
            [t.flatten() for part in rule.init(torch.Generator().manual_seed(0)) for t in part.values()]
        )
        for rule in (kind.build({**choices, **changes}, network, signature) for changes in ({}, reals))
    ]
    assert not torch.equal(*tensors)
