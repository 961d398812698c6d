"""The shared suites catch what they are there for: parts that are wrong in one way each."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from controllers import random as uniform
from metanas.testing import architectures as nets
from metanas.testing import controllers, rules, transforms
from search_spaces import Signature, Space
from search_spaces.architectures import mlp
from search_spaces.rules import ridge
from search_spaces.rules.ridge import Ridge
from search_spaces.rules.transforms import Transform

CURVES = Signature("regression", (2,), 2, 3)
NETWORK = mlp.build({"depth": 1, "width_1": 5, "activation": "tanh", "norm": "support"}, CURVES)


class Transductive(Ridge):
    def predict(self, meta: Any, buffers: Any, adapted: Any, x: Tensor) -> Tensor:
        found = super().predict(meta, buffers, adapted, x)
        return found - found.mean(0)


class Maskless(Ridge):
    def fit(self, meta: Any, features: Tensor, y: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        return super().fit(meta, features, y, None)


class Ordered(Ridge):
    def fit(self, meta: Any, features: Tensor, y: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        return super().fit(meta, features * torch.arange(1, len(features) + 1)[:, None], y, mask)


class Global(Ridge):
    def init(self, generator: torch.Generator) -> Any:
        meta, buffers = super().init(generator)
        return meta | {"shift": torch.randn(())}, buffers


class Blunt(Ridge):
    """Loses part of its gradient."""

    def fit(self, meta: Any, features: Tensor, y: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        return super().fit(meta, features.detach(), y, mask)


class Branching(Ridge):
    """Decides by what it sees, which tracing freezes."""

    def fit(self, meta: Any, features: Tensor, y: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        return super().fit(meta, features * (2.0 if y.sum() > 0 else 1.0), y, mask)


class Deaf(Ridge):
    """Looks at no label."""

    def fit(self, meta: Any, features: Tensor, y: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        found = super().fit(meta, features, y, mask)
        return {name: torch.zeros_like(value) for name, value in found.items()}


class Doubling(Ridge):
    """Has one precision, whatever it is given."""

    def read(self, meta: Any, head: Any, features: Tensor) -> Tensor:
        return super().read(meta, head, features) + torch.zeros((), dtype=torch.float64).expand(1, 1)


class Counting(Ridge):
    """Changes what it was given."""

    def read(self, meta: Any, head: Any, features: Tensor) -> Tensor:
        meta["strength.log"].data.mul_(0.9)
        return super().read(meta, head, features)


class Looking(Ridge):
    """Has a start that depends on the values that are drawn for it."""

    def init(self, generator: torch.Generator) -> Any:
        meta, buffers = super().init(generator)
        return {name: value / max(1.0, float(value.abs().max())) for name, value in meta.items()}, buffers


class Fixed(Ridge):
    """Has a learned row for each of the classes that are scored."""

    def read(self, meta: Any, head: Any, features: Tensor) -> Tensor:
        return super().read(meta, head, features) + torch.zeros(self.signature.outputs)


@pytest.mark.parametrize(
    ("kind", "check", "words"),
    [
        (Looking, rules.starts_have_a_shape_alone, "meta tensors"),
        (Transductive, rules.queries_do_not_meet, "predictions differ"),
        (Maskless, rules.what_is_behind_a_mask_changes_nothing, "differ"),
        (Ordered, rules.order_of_support_changes_nothing, "predictions differ"),
        (Global, rules.starts_are_the_generators, "global generator"),
        (Blunt, rules.meta_gradient_equals_central_differences, "slope"),
        (Branching, rules.ways_of_running_agree, "data-dependent control flow"),
        (Counting, rules.computing_has_no_side_effects, "another result"),
        (Deaf, rules.examples_change_predictions, "the same predictions"),
        (Doubling, rules.single_precision_is_kept, "float64"),
    ],
)
def test_a_wrong_rule_is_caught(kind: type[Ridge], check: rules.Check, words: str) -> None:
    with pytest.raises((AssertionError, RuntimeError), match=words):
        check(kind(NETWORK, CURVES, 0.1))


def test_a_rule_that_cannot_take_other_numbers_of_classes_has_to_say_so() -> None:
    classes = Signature("classification", (2,), 3, 2)
    network = mlp.build({"depth": 1, "width_1": 5, "activation": "tanh", "norm": "none"}, classes)
    rules.any_number_of_classes_is_learned(Ridge(network, classes, 0.1))
    with pytest.raises(RuntimeError, match="size"):
        rules.any_number_of_classes_is_learned(Fixed(network, classes, 0.1))
    told = type("Told", (Fixed,), {"fixed_ways": True})
    rules.any_number_of_classes_is_learned(told(network, classes, 0.1))


def test_a_rule_with_its_reals_built_in_is_caught() -> None:
    class Constant(Ridge):
        def read(self, meta: Any, head: Any, features: Tensor) -> Tensor:
            return self.strength * super().read(meta, head, features)

    kind = SimpleNamespace(build=lambda choices, network, s: Constant(network, s, choices["strength"]))
    rules.reals_only_set_initial_values(ridge, {"strength": 0.1}, NETWORK, CURVES)
    with pytest.raises(AssertionError, match="a constant of the computation"):
        rules.reals_only_set_initial_values(kind, {"strength": 0.1}, NETWORK, CURVES)


@dataclass(frozen=True)
class Idle(mlp.Mlp):
    """Has a parameter that does nothing."""

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        return super().init(generator) | {"spare.weight": torch.zeros(2)}


class Mingling(mlp.Mlp):
    """Centres its features over the batch."""

    def apply(self, *args: Any) -> tuple[Tensor, dict[str, Tensor]]:
        features, used = super().apply(*args)
        return features - features.mean(0), used


class Sideways(mlp.Mlp):
    """Draws noise."""

    def apply(self, *args: Any) -> tuple[Tensor, dict[str, Tensor]]:
        features, used = super().apply(*args)
        return features + torch.randn(features.shape), used


class Wide(mlp.Mlp):
    @property
    def size(self) -> int:
        return 99


@pytest.mark.parametrize(
    ("kind", "check", "words"),
    [
        (Idle, nets.every_parameter_counts, re.escape("['spare.weight'] change nothing")),
        (Mingling, nets.examples_do_not_meet, "differ"),
        (Mingling, nets.masked_rows_change_nothing, "differ"),
        (Sideways, nets.computing_has_no_side_effects, "global generator"),
        (Wide, nets.features_are_as_wide_as_said, "not 99 wide"),
    ],
)
def test_a_wrong_architecture_is_caught(kind: type[mlp.Mlp], check: nets.Check, words: str) -> None:
    def build(choices: Any, signature: Signature) -> mlp.Mlp:
        good = mlp.build(choices, signature)
        return kind(good.inputs, good.widths, good.activation, good.norm)

    with pytest.raises(AssertionError, match=words):
        check(SimpleNamespace(build=build, choices=mlp.choices, suits=mlp.suits), CURVES)


def test_a_transform_that_cuts_the_gradient_is_caught() -> None:
    def update(own: Any, state: Any, gradients: Any, point: Any) -> Any:
        return {name: (g - g.mean()).detach() for name, g in gradients.items()}, state

    with pytest.raises(AssertionError, match="slope"):
        transforms.gradients_by_all_tensors_equal_central_differences(Transform(update))


@pytest.mark.parametrize("seed", [random.seed, torch.manual_seed, np.random.seed])
def test_a_controller_that_seeds_what_is_not_its_own_is_caught(seed: Callable[[int], object]) -> None:
    def build(space: Space, number: int) -> Any:
        seed(number)
        return uniform.build(space, number)

    with torch.random.fork_rng(), pytest.raises(AssertionError, match="generator was used"):
        controllers.global_randomness_is_left_alone(build)
