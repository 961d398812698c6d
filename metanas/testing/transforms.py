"""What every transform of a gradient has to keep to; one table of checks, each of which takes a transform.

In a plug-in's own tests::

    @pytest.mark.parametrize("check", TRANSFORM_CHECKS, ids=lambda check: check.__name__)
    def test_transform(check):
        check(my_transform())

A transform is also a rule, on a network of its own: :data:`metanas.testing.rules.RULE_CHECKS` take
:func:`rule_of` it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from metanas.engine import Program
from metanas.testing.asserting import untouched
from metanas.testing.rules import draw, gradient, meta_gradient_equals_central_differences, start
from search_spaces import Signature, Value
from search_spaces.architectures import mlp
from search_spaces.rules.descent import Descent
from search_spaces.rules.transforms import Point, Transform, chain, step_size
from search_spaces.task import Task

Check = Callable[[Transform], None]
_SIGNATURE = Signature("regression", (2,), 2, 4)
_NETWORK: dict[str, Value] = {"depth": 2, "width_1": 6, "width_2": 5, "activation": "tanh", "norm": "none"}
_STEPS = 2
# gradients beyond the bounds that a clipping transform begins with, and steps that stay small
_TARGETS, _RATE = 30.0, 0.01
_KEY, _PROGRESS = torch.tensor(7), torch.tensor(0.5, dtype=torch.float64)


def rule_of(transform: Transform) -> Descent:
    """Two steps of it on a small smooth network, with the exact outer gradient."""
    links = chain(checked=transform, rate=step_size("fixed", _RATE, _STEPS))
    network = mlp.build(_NETWORK, _SIGNATURE)
    return Descent(network, _SIGNATURE, links, _STEPS, "second", "last", "all", "rows")


def steps_have_the_parameters_shapes(transform: Transform) -> None:
    """Whatever the gradient, zero too: a step for every parameter, finite, of its shape and type."""
    own, params = _own(transform)
    with untouched():
        state = transform.start(own, params, _KEY)
        for step, scale in enumerate((1.0, 0.0, 1e4)):
            gradients = {name: scale * torch.ones_like(p) for name, p in params.items()}
            point = Point(params, torch.tensor(1.0, dtype=torch.float64), step)
            moves, state = transform.update(own, state, gradients, point)
            assert moves.keys() == params.keys()
            for name, move in moves.items():
                assert (move.shape, move.dtype) == (params[name].shape, params[name].dtype), name
                assert move.isfinite().all(), (
                    f"{name}: a gradient of {scale:g} gives a step that is not finite"
                )


def updating_has_no_side_effects(transform: Transform) -> None:
    """The same memory gives the same step again: nothing is kept but what is handed back."""
    own, params = _own(transform)
    state = transform.start(own, params, _KEY)
    gradients = {name: torch.ones_like(p) for name, p in params.items()}
    point = Point(params, torch.tensor(1.0, dtype=torch.float64), 0)
    first, after = transform.update(own, state, gradients, point)
    transform.update(own, after, gradients, point)
    again, _ = transform.update(own, state, gradients, point)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert transform.view(own, params).keys() == params.keys()


def own_gradients_equal_central_differences(transform: Transform) -> None:
    """The outer gradient by each of its own tensors is the slope of the outer loss, which it moves."""
    rule = rule_of(transform)
    program, (meta, buffers), task = Program.of(rule), start(rule), _steep()
    exact, _, _ = gradient(program, meta, buffers, task)
    random = torch.Generator().manual_seed(0)
    for name, told in program.meta.unflatten(exact).items():
        if not name.startswith("checked."):
            continue
        way = {n: torch.zeros_like(t) for n, t in program.meta.unflatten(meta).items()}
        way[name] = torch.randn(told.shape, generator=random, dtype=torch.float64)
        slope, wanted = (
            _slope(program, meta, buffers, task, program.meta.flatten(way)),
            (told * way[name]).sum(),
        )
        assert wanted.abs() > 1e-9, f"the outer loss does not depend on {name}"
        assert (slope - wanted).abs() <= 1e-4 * wanted.abs(), f"{name}: slope {slope}, gradient says {wanted}"


def gradients_by_all_tensors_equal_central_differences(transform: Transform) -> None:
    """So is that by what is adapted, which goes through the steps: none is cut off from it."""
    meta_gradient_equals_central_differences(rule_of(transform))


def _slope(program: Program, meta: Tensor, buffers: Tensor, task: Task, way: Tensor) -> Tensor:
    step = 3e-5 / way.norm()
    ahead, behind = (
        program.task_loss(meta + side * step * way, buffers, task, _KEY, _PROGRESS)[0] for side in (1, -1)
    )
    found: Tensor = (ahead - behind) / (2 * step)
    return found


TRANSFORM_CHECKS: tuple[Check, ...] = (
    steps_have_the_parameters_shapes,
    updating_has_no_side_effects,
    own_gradients_equal_central_differences,
    gradients_by_all_tensors_equal_central_differences,
)


def _own(transform: Transform) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Its own tensors for two small layers, and the parameters of these."""
    random = torch.Generator().manual_seed(0)
    shapes = {"a.weight": (3, 2), "a.bias": (3,), "b.weight": (2, 3, 2, 2)}
    params = {n: torch.randn(s, generator=random, dtype=torch.float64) for n, s in shapes.items()}
    learned, fixed = transform.init(params, random)
    assert not learned.keys() & fixed.keys(), "a tensor is meta-trained or not"
    return {name: value.double() for name, value in (learned | fixed).items()}, params


def _steep() -> Task:
    task = draw(_SIGNATURE)
    return {**task, "support_y": _TARGETS * task["support_y"], "query_y": _TARGETS * task["query_y"]}
