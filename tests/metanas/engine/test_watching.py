"""What is written down of a meta-step, against plain autograd, and where numbers stop being finite."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from metanas.engine import Program
from metanas.engine.program import at
from metanas.engine.watching import coupling, outer_gradient, slopes, watch
from metanas.testing.asserting import close
from metanas.testing.rules import draw, gradient, several, start
from search_spaces import Signature
from search_spaces.architectures import mlp
from search_spaces.rules import chain, prototype, ridge
from search_spaces.rules.descent import Descent
from search_spaces.rules.interface import Rule
from search_spaces.rules.transforms import Named, Point, State, Transform
from search_spaces.task import Episodes, Tensors

CURVES = Signature("regression", (2,), 1, 4)
CLASSES = Signature("classification", (3,), 3, 2)
DONE = torch.tensor(0.9, dtype=torch.float64)
LAYERS = ("network.layer0", "network.layer1", "head")


def composed(signature: Signature = CURVES, norm: str = "none", **changes: Any) -> Descent:
    network = mlp.build(
        {"depth": 2, "width_1": 5, "width_2": 4, "activation": "tanh", "norm": norm}, signature
    )
    usual = {"steps": 2, "order": "second", "loss": "last", "scope": "all", "step_size": "fixed", "rate": 0.1}
    rule = chain.build({**usual, **changes}, network, signature)
    assert isinstance(rule, Descent)
    return rule


def drawn(rule: Rule, tasks: int = 3) -> tuple[Program, Tensor, Tensor, Episodes, Tensor]:
    """Program, meta-parameters ``(P,)``, buffers ``(B,)``, episodes ``(T, …)``, keys ``(T,)``."""
    meta, buffers, episodes, keys = several(rule, 1, tasks)
    return Program.of(rule), meta[0], buffers[0], at(episodes, 0), keys[0]


def test_norms_are_those_of_plain_autograd() -> None:
    rule = composed()
    program, meta, buffers, episodes, keys = drawn(rule)
    seen = watch(program, meta, buffers, episodes, keys, DONE)
    assert seen.layers == LAYERS
    assert seen.began is None
    assert (seen.losses.shape, seen.gradients.shape, seen.meta_gradients.shape) == (
        (3, 2),
        (3, 2, 3),
        (3, 3, 3),
    )
    for t in range(3):
        task = at(episodes, t)
        exact, loss, _ = gradient(program, meta, buffers, task, keys[t])
        named = program.meta.unflatten(exact)
        wanted = torch.stack(
            [torch.cat([named[f"{n}.weight"].flatten(), named[f"{n}.bias"]]).norm() for n in LAYERS]
        )
        close(seen.meta_gradients[t, 0], wanted, 1e-9, "meta-gradients of the start")
        close(seen.outer[t], loss, 1e-9, "outer losses")
        last = rule.adapt(
            program.meta.unflatten(meta),
            program.buffers.unflatten(buffers),
            task["support_x"],
            task["support_y"],
            task.get("support_mask"),
            keys[t],
        )
        free = {name: value.detach().requires_grad_() for name, value in last.items()}
        loss = rule.query_loss(rule.predict({}, {}, free, task["query_x"]), task)
        parts = dict(zip(free, torch.autograd.grad(loss, list(free.values())), strict=True))
        wanted = torch.stack(
            [torch.cat([parts[f"{n}.weight"].flatten(), parts[f"{n}.bias"]]).norm() for n in LAYERS]
        )
        close(seen.meta_gradients[t, -1], wanted, 1e-9, "meta-gradients of the end")


def test_a_rule_without_inner_steps_has_meta_gradients_alone() -> None:
    network = mlp.build({"depth": 1, "width_1": 5, "activation": "tanh", "norm": "none"}, CURVES)
    program, meta, buffers, episodes, keys = drawn(ridge.build({"strength": 0.1}, network, CURVES))
    seen = watch(program, meta, buffers, episodes, keys, DONE)
    assert seen.layers == ("network.layer0", "strength")
    assert (seen.gradients.shape, seen.meta_gradients.shape) == ((3, 0, 2), (3, 1, 2))
    assert (seen.meta_gradients > 0).all()


def test_the_outer_gradient_by_layer_is_the_mean_over_tasks() -> None:
    program, meta, buffers, episodes, keys = drawn(composed(step_size="layer"))
    parts = outer_gradient(program, meta, buffers, episodes, keys, DONE)
    assert list(parts) == [*LAYERS, "rate", "rate.network"]
    every = [gradient(program, meta, buffers, at(episodes, t), keys[t])[0] for t in range(3)]
    close(torch.cat(list(parts.values())), torch.stack(every).mean(0), 1e-9)


def test_slopes_are_what_the_gradient_says_unless_it_leaves_out_a_part() -> None:
    for order, apart in (("second", False), ("first", True)):
        rule = composed(order=order)
        told, measured = slopes(Program.of(rule), *start(rule), draw(CURVES), torch.tensor(7), DONE)
        assert ((told - measured).abs().max() > 1e-3 * measured.abs().max()) == apart


@pytest.mark.parametrize(
    ("rule", "meets"),
    [
        (composed(), False),
        (composed(norm="support"), False),
        (composed(CLASSES, norm="running", head="prototype"), False),
        (
            prototype.build(
                {"distance": "euclid"},
                mlp.build({"depth": 1, "width_1": 5, "activation": "tanh", "norm": "running"}, CLASSES),
                CLASSES,
            ),
            True,
        ),
    ],
)
def test_queries_meet_in_training_where_a_norm_takes_statistics_of_them(rule: Rule, meets: bool) -> None:
    meta, buffers = start(rule)
    task = draw(rule.signature, queries=4)
    found = coupling(Program.of(rule), meta, buffers, task, torch.tensor(7), DONE)
    assert (found > 1e-3) == meets
    assert meets or found < 1e-9


def test_queries_behind_a_mask_meet_nobody() -> None:
    rule = composed(norm="support")
    meta, buffers = start(rule)
    task = draw(rule.signature, queries=4)
    wanted = coupling(Program.of(rule), meta, buffers, task, torch.tensor(7), DONE)
    parts: Any = task
    rows = {n: torch.cat([parts[n], parts[n][:3] * torch.nan]) for n in ("query_x", "query_y")}
    masked: Any = {**task, **rows, "query_mask": torch.arange(7) < 4}
    found = coupling(Program.of(rule), meta, buffers, masked, torch.tensor(7), DONE)
    assert found == pytest.approx(wanted, abs=1e-9)


# Where numbers stop being finite.


def root() -> Transform:
    """The square root of a gradient's size, whose slope at zero is infinite."""

    def update(own: Tensors, state: State, gradients: Tensors, point: Point) -> tuple[Named, State]:
        return {name: g.abs().sqrt() for name, g in gradients.items()}, state

    return Transform(update)


def began(rule: Descent, change: Any = None) -> str | None:
    program, meta, buffers, episodes, keys = drawn(rule, tasks=2)
    if change is not None:
        meta, buffers, episodes = change(program, meta, buffers, episodes)
    return watch(program, meta, buffers, episodes, keys, DONE).began


def test_weights_that_are_not_finite_are_named() -> None:
    def change(program: Program, meta: Tensor, *rest: Any) -> Any:
        parts = program.meta.unflatten(meta.clone())
        parts["head.weight"][0, 1] = torch.inf
        return program.meta.flatten(parts), *rest

    assert began(composed(), change) == "weights of head.weight"


def test_targets_that_are_not_finite_show_in_the_first_loss() -> None:
    def change(program: Program, meta: Tensor, buffers: Tensor, episodes: Episodes) -> Any:
        y = episodes["support_y"].clone()
        y[1, 0] = torch.nan
        return meta, buffers, {**episodes, "support_y": y}

    assert began(composed(), change) == "task 1: support loss before step 1"


def test_steps_that_are_too_long_are_named_by_step_and_tensor() -> None:
    def change(program: Program, meta: Tensor, buffers: Tensor, *rest: Any) -> Any:
        return meta, buffers + 800.0, *rest

    found = began(composed(steps=3), change)
    assert found == "task 0: network.layer0.weight after step 1"


def test_what_breaks_on_the_way_back_is_told_from_what_breaks_before() -> None:
    rule = composed()
    broken = Descent(
        rule.network, CURVES, root(), steps=2, order="second", loss="last", scope="all", head="rows"
    )

    def change(program: Program, meta: Tensor, *rest: Any) -> Any:
        parts = program.meta.unflatten(meta.clone())
        parts["head.weight"][:] = 0.0  # no gradient reaches the layers below
        return program.meta.flatten(parts), *rest

    found = began(broken, change)
    assert found is not None
    assert "meta-gradient of" in found
    assert "all before it being finite" in found
