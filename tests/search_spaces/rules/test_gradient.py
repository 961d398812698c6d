"""Gradient rules against few-line references in plain autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from metanas.engine import Program
from metanas.testing.asserting import close
from metanas.testing.rules import draw, gradient, start
from search_spaces import Signature
from search_spaces.architectures import mlp
from search_spaces.rules import gradient as rules
from search_spaces.rules.interface import Rule
from search_spaces.task import Task

CURVES = Signature("regression", (1,), 1, 5)
CLASSES = Signature("classification", (3,), 3, 2)


def rule_of(signature: Signature, **changes: Any) -> Rule:
    network = mlp.build(
        {"depth": 2, "width_1": 8, "width_2": 7, "activation": "relu", "norm": "none"}, signature
    )
    usual = {"steps": 2, "order": 2, "step_size": "fixed", "rate": 0.1, "scope": "all", "head": "rows"}
    return rules.build({**usual, **changes}, network, signature)


def reference(
    meta: dict[str, Tensor], task: Task, rates: dict[str, list[Tensor]], order: int, adapted: str
) -> tuple[Tensor, Tensor]:
    """MAML on a multilayer perceptron, as one would write it in a notebook.

    Args:
        meta: Parameters by name.
        task: To learn.
        rates: Step sizes by layer, one a step.
        order: 1 leaves out the second derivatives.
        adapted: What the names of the adapted parameters start with; the empty string adapts all.

    Returns:
        The loss after adapting, and the predictions.
    """
    names = ["network.layer0", "network.layer1", "head"]

    def predict(p: dict[str, Tensor], x: Tensor) -> Tensor:
        for name in names[:-1]:
            x = torch.relu(x @ p[f"{name}.weight"].T + p[f"{name}.bias"])
        return x @ p["head.weight"].T + p["head.bias"]

    def loss(p: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        if y.shape[1] == 1:
            return functional.mse_loss(predict(p, x), y)
        return functional.cross_entropy(predict(p, x), y.argmax(1))

    now = {k: v for k, v in meta.items() if k.startswith(tuple(names))}
    fast = [name for name in now if name.startswith(adapted)]
    for step in range(len(rates["head"])):
        support = loss(now, task["support_x"], task["support_y"])
        slopes = torch.autograd.grad(support, [now[name] for name in fast], create_graph=order == 2)
        for name, slope in zip(fast, slopes, strict=True):
            rate = rates[name.rpartition(".")[0]][step]
            now = {**now, name: now[name] - rate * slope}
    return loss(now, task["query_x"], task["query_y"]), predict(now, task["query_x"])


@pytest.mark.parametrize("signature", [CURVES, CLASSES], ids=["regression", "classification"])
@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("scope", ["all", "head", "body"])
def test_maml_anil_and_boil_are_what_they_are_called(
    signature: Signature, steps: int, order: int, scope: str
) -> None:
    rule = rule_of(signature, steps=steps, order=order, scope=scope)
    same_as_reference(
        rule, lambda meta: dict.fromkeys(LAYERS, [torch.tensor(0.1, dtype=torch.float64)] * steps)
    )


LAYERS = ("network.layer0", "network.layer1", "head")


@pytest.mark.parametrize("order", [1, 2])
def test_step_sizes_a_layer(order: int) -> None:
    rule = rule_of(CURVES, order=order, step_size="layer", steps=3)
    same_as_reference(rule, lambda meta: {k: [meta[f"rate.{k}"].exp()] * 3 for k in LAYERS})


@pytest.mark.parametrize("order", [1, 2])
def test_step_sizes_a_layer_and_step(order: int) -> None:
    rule = rule_of(CURVES, order=order, step_size="layer_step", steps=3)
    same_as_reference(rule, lambda meta: {k: list(meta[f"rate.{k}"].exp()) for k in LAYERS})


def same_as_reference(rule: Any, rates_of: Any) -> None:
    """Loss, gradient and predictions agree to 1e-9."""
    program = Program.of(rule)
    flat, buffers = start(rule)
    buffers = torch.full_like(buffers, 0.1).log()  # the fixed step sizes
    task = draw(rule.signature)
    prefix = {"all": "", "head": "head", "body": "network"}[rule.scope]
    free = {name: value.clone().requires_grad_() for name, value in program.meta.unflatten(flat).items()}
    loss, predictions = reference(free, task, rates_of(free), 1 if rule.order == "first" else 2, prefix)
    slopes = torch.autograd.grad(loss, list(free.values()), materialize_grads=True)
    ours, our_loss, _ = gradient(program, flat, buffers, task)
    close(our_loss, loss.detach(), 1e-9, "losses")
    close(ours, torch.cat([slope.flatten() for slope in slopes]), 1e-9, "gradients")
    close(program.adapt_predict(flat, buffers, task), predictions.detach(), 1e-9, "predictions")


def test_only_the_scope_is_adapted() -> None:
    for scope, adapted in (("all", ""), ("head", "head"), ("body", "network")):
        rule = rule_of(CURVES, scope=scope)
        meta, buffers = (part.unflatten(flat) for part, flat in parts(rule))
        task = draw(CURVES)
        result = rule.adapt(meta, buffers, task["support_x"], task["support_y"], None, torch.tensor(0))
        moved = {name for name in result if not torch.equal(result[name], meta[name])}
        assert moved == {name for name in result if name.startswith(adapted)}


def test_a_shared_head_serves_any_number_of_ways_in_any_order() -> None:
    rule = rule_of(CLASSES, head="shared")
    program, (meta, buffers) = Program.of(rule), start(rule)
    for ways in (2, 5, 9):
        task = draw(CLASSES, ways=ways)
        order = torch.randperm(ways, generator=torch.Generator().manual_seed(0))
        renamed: Task = {
            **task,
            "support_y": task["support_y"][:, order],
            "query_y": task["query_y"][:, order],
        }
        first, second = (program.adapt_predict(meta, buffers, each) for each in (task, renamed))
        assert first.shape[1] == ways
        close(second, first[:, order], 1e-9)


def test_support_norms_use_what_the_adapted_network_makes_of_the_support_set() -> None:
    network = mlp.build({"depth": 1, "width_1": 6, "activation": "tanh", "norm": "support"}, CURVES)
    choices = {"steps": 2, "order": 2, "step_size": "fixed", "rate": 0.5, "scope": "all"}
    rule = rules.build(choices, network, CURVES)
    meta, buffers = (part.unflatten(flat) for part, flat in parts(rule))
    task = draw(CURVES)
    adapted = rule.adapt(meta, buffers, task["support_x"], task["support_y"], None, torch.tensor(0))
    hidden = task["support_x"] @ adapted["network.layer0.weight"].T
    close(adapted["statistics.layer0.mean"], hidden.mean(0), 1e-9)
    close(adapted["statistics.layer0.var"], hidden.var(0, correction=0), 1e-9)
    hidden = task["query_x"] @ adapted["network.layer0.weight"].T
    hidden = (hidden - adapted["statistics.layer0.mean"]) / (
        adapted["statistics.layer0.var"] + 1e-5
    ).sqrt() * adapted["network.layer0.scale"] + adapted["network.layer0.bias"]
    wanted = torch.tanh(hidden) @ adapted["head.weight"].T + adapted["head.bias"]
    close(rule.predict(meta, buffers, adapted, task["query_x"]), wanted, 1e-9)


def test_running_norms_observe_the_support_set_before_adapting() -> None:
    network = mlp.build({"depth": 1, "width_1": 6, "activation": "tanh", "norm": "running"}, CURVES)
    choices = {"steps": 2, "order": 2, "step_size": "fixed", "rate": 0.5, "scope": "all"}
    rule = rules.build(choices, network, CURVES)
    meta, buffers = (part.unflatten(flat) for part, flat in parts(rule))
    task = draw(CURVES)
    _, observed = rule.outer_loss(meta, buffers, task, torch.tensor(0), torch.tensor(0.0))
    hidden = task["support_x"] @ meta["network.layer0.weight"].T
    close(observed["statistics.layer0.mean"], hidden.mean(0), 1e-9)
    close(observed["statistics.layer0.var"], hidden.var(0, correction=0), 1e-9)


def parts(rule: Rule) -> tuple[tuple[Any, Tensor], tuple[Any, Tensor]]:
    program, (meta, buffers) = Program.of(rule), start(rule)
    return (program.meta, meta), (program.buffers, buffers)
