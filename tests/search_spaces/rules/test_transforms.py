"""Every transform through the shared suite: one line each, in the table of the rule ``chain``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from metanas.testing.asserting import close
from metanas.testing.rules import RULE_CHECKS, ways_of_running_agree
from metanas.testing.rules import Check as RuleCheck
from metanas.testing.transforms import TRANSFORM_CHECKS, Check, rule_of
from search_spaces.rules import keys, metrics, recurrent
from search_spaces.rules.chain import PLACES
from search_spaces.rules.directions import adam, clip_norm, clip_value, momentum, pull, sign
from search_spaces.rules.expressions import UNARY, Program, read
from search_spaces.rules.symbolic import step as symbolic
from search_spaces.rules.transforms import RATES, Point, Transform, chain, step_size

CONSTANTS = {"c1": 0.5, "c2": 0.1}
RATES_OF = {"Lion": 10.0, "Adam that cools down": 30.0}  # of steps of size 1: else the loss hardly moves
EXPRESSIONS = {
    "Lion": Program(
        (
            ("multiply", "c1", "g"),
            ("add", "m", "s1"),
            ("tanh", "s2"),  # a sign, smooth
            ("multiply", "c2", "θ"),
            ("add", "s3", "s4"),
        )
    ),
    "Adam that cools down": Program(
        (("divide_root", "m", "v"), ("multiply", "c1", "k"), ("decay", "s2"), ("multiply", "s1", "s3"))
    ),
    "noise": Program((("multiply", "ξ", "c1"), ("divide", "g", "s1"), ("add", "s2", "m"))),
    **{
        f"g {name} θ": Program((("add", "θ", "c1"), (name, "s1"), ("multiply", "s2", "g")))
        for name in UNARY
        if name != "sign"
    },
}


def expressed(name: str) -> Transform:
    return symbolic(EXPRESSIONS[name], RATES_OF.get(name, 0.1), CONSTANTS)


TRANSFORMS: dict[str, Callable[[], Transform]] = {
    **{name: make for place in PLACES.values() for name, make in place.items()},
    **{f"step size, {kind}": lambda kind=kind: step_size(kind, 0.1, 2) for kind in RATES},
    **{f"symbolic, {name}": lambda name=name: expressed(name) for name in EXPRESSIONS},
    "symbolic, a formula": lambda: symbolic(read("c1*m/sqrt(v + ε**2) + c2*θ/k"), 0.1, CONSTANTS),
    "a chain of all": lambda: chain(
        **{place: next(iter(kinds.values()))() for place, kinds in PLACES.items()}
    ),
}
every_transform = pytest.mark.parametrize("name", TRANSFORMS)


@every_transform
@pytest.mark.parametrize("check", TRANSFORM_CHECKS, ids=lambda check: check.__name__)
def test_transform(check: Check, name: str) -> None:
    check(TRANSFORMS[name]())


# tracing takes seconds: `make test ARGS="-m long"`; the others are for `-m slow`
TRACED = {"a chain of all", "symbolic, noise"}


def case(check: RuleCheck, name: str) -> Any:
    mark = pytest.mark.long if name in TRACED else pytest.mark.slow
    traced = check is ways_of_running_agree
    return pytest.param(check, name, id=f"{check.__name__}-{name}", marks=[mark] * traced)


@pytest.mark.parametrize(
    ("check", "name"), [case(check, name) for check in RULE_CHECKS for name in TRANSFORMS]
)
def test_a_rule_of_the_transform(check: RuleCheck, name: str) -> None:
    check(rule_of(TRANSFORMS[name]()))


def run(
    transform: Transform, gradients: list[list[float]], params: list[float] | None = None
) -> torch.Tensor:
    """The steps ``(K, P)`` that it makes of gradients ``(K, P)`` of one tensor at a fixed point."""
    at = {"layer.bias": torch.tensor(params or [0.0] * len(gradients[0]))}
    learned, fixed = transform.init(at, torch.Generator().manual_seed(0))
    own, found = learned | fixed, []
    state = transform.start(own, at, None)
    for step, slope in enumerate(gradients):
        move, state = transform.update(
            own, state, {"layer.bias": torch.tensor(slope)}, Point(at, torch.tensor(1.0), step)
        )
        found.append(move["layer.bias"])
    return torch.stack(found)


def test_steps_are_what_their_formulas_say() -> None:
    g = [[3.0, -4.0], [1.0, 0.0], [0.0, 2.0]]
    close(run(momentum(0.5), g), torch.tensor([[3.0, -4.0], [2.5, -2.0], [1.25, 1.0]]), 1e-6)
    close(run(sign(), g), torch.tensor([[1.0, -1.0], [1.0, 0.0], [0.0, 1.0]]), 1e-6)
    close(run(clip_norm(1.0), g), torch.tensor([[0.6, -0.8], [1.0, 0.0], [0.0, 1.0]]), 1e-6)
    close(run(clip_norm(100.0), g), torch.tensor(g), 1e-6)  # what is short stays so
    close(run(clip_value(2.0), g), torch.tensor([[2.0, -2.0], [1.0, 0.0], [0.0, 2.0]]), 1e-6)
    close(run(step_size("tensor", 0.5, 1), g), 0.5 * torch.tensor(g), 1e-6)


def test_adam_is_torchs_own_for_gradients_that_are_not_tiny() -> None:
    slopes = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)) + 3
    weight = torch.zeros(4, requires_grad=True)
    theirs = torch.optim.Adam([weight], lr=1.0, betas=(0.9, 0.99))
    found = []
    for slope in slopes:
        before = weight.detach().clone()
        weight.grad = slope
        theirs.step()
        found.append(before - weight.detach())
    close(run(adam(), slopes.tolist()), torch.stack(found), 1e-5)


def test_a_pull_is_toward_the_start() -> None:
    start = {"layer.bias": torch.tensor([1.0, -1.0])}
    transform = pull(0.5)
    own = transform.init(start, torch.Generator())[0]
    state = transform.start(own, start, None)
    now = Point({"layer.bias": torch.tensor([3.0, -1.0])}, torch.tensor(0.0), 1)
    move, _ = transform.update(own, state, {"layer.bias": torch.zeros(2)}, now)
    close(move["layer.bias"], torch.tensor([1.0, 0.0]), 1e-6)


def test_step_sizes_of_their_own_end_with_the_last() -> None:
    """A learner trained for two steps may take three."""
    transform = step_size("tensor_step", 0.5, 2)
    at = {"layer.bias": torch.zeros(1)}
    own = {"layer.bias": torch.tensor([0.1, 0.7]).log()}
    state = transform.start(own, at, None)
    moves = [
        transform.update(own, state, {"layer.bias": torch.ones(1)}, Point(at, torch.tensor(0.0), step))[0]
        for step in range(4)
    ]
    close(torch.cat([move["layer.bias"] for move in moves]), torch.tensor([0.1, 0.7, 0.7, 0.7]), 1e-6)


def test_an_lstm_is_told_sizes_by_their_logarithm() -> None:
    e = torch.e
    told = recurrent.told(torch.tensor([e**10, -1.0, e**-5, e**-11, 0.0]))
    close(told[:, 0], torch.tensor([1.0, 0.0, -0.5, -1.0, -1.0]), 1e-6)
    close(told[:, 1], torch.tensor([1.0, -1.0, 1.0, 1 / e, 0.0]), 1e-5)


def test_a_mask_is_drawn_a_task_and_certain_when_a_learner_adapts() -> None:
    params = {"a.weight": torch.ones(500, 2), "a.bias": torch.ones(500)}
    transform = metrics.mask()
    own = {"a": torch.full((500,), 1.0)}
    drawn = [transform.start(own, params, torch.tensor(key))["a"] for key in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    # rounded, a relaxed Bernoulli variable is one of that probability
    assert abs((drawn[0] > 0.5).double().mean() - torch.tensor(1.0).sigmoid()) < 0.06
    close(transform.start(own, params, None)["a"], torch.full((500,), 1.0).sigmoid(), 1e-6)
    moves, _ = transform.update(own, {"a": drawn[0]}, params, Point(params, torch.tensor(0.0), 0))
    assert torch.equal(moves["a.weight"], torch.stack([moves["a.bias"]] * 2, 1))


def test_a_mask_leaves_a_number_as_it_is() -> None:
    """A foreign network may have a parameter without axes."""
    transform = metrics.mask()
    params = {"network.scale": torch.tensor(2.0), "network.layer0.weight": torch.ones(3, 2)}
    own, _ = transform.init(params, torch.Generator().manual_seed(0))
    state = transform.start(own, params, None)
    moved, _ = transform.update(own, state, params, Point(params, torch.tensor(0.0), 0))
    assert moved["network.scale"] == 2.0
    close(moved["network.layer0.weight"], torch.full((3, 2), 0.5), 1e-6)


def test_curvature_leaves_axes_that_are_too_long() -> None:
    long = metrics.LONGEST + 1
    learned, _ = metrics.curvature().init({"a.weight": torch.empty(2, long)}, torch.Generator())
    assert {name: tuple(value.shape) for name, value in learned.items()} == {"a.weight.0": (2, 2)}


def test_keys_give_uniform_numbers_that_differ() -> None:
    like = torch.empty(0)
    batch = torch.func.vmap(lambda key: keys.uniform(key, 1000, like))(torch.arange(50) * 2**40)
    assert torch.equal(batch[3], keys.uniform(torch.tensor(3 * 2**40), 1000, like))
    assert batch.min() > 0
    assert batch.max() < 1
    assert len(batch.unique()) > 0.99 * 50_000 - 50_000**2 / 2**24
    counts = torch.histc(batch, 20, 0, 1)
    assert ((counts - 2500) / 2500**0.5).abs().max() < 4.5
    assert torch.corrcoef(batch).fill_diagonal_(0).abs().max() < 0.16
