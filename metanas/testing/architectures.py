"""What every architecture has to keep to; one table of checks, each of which takes one and a signature.

In a plug-in's own tests::

    @pytest.mark.parametrize("check", ARCHITECTURE_CHECKS, ids=lambda check: check.__name__)
    def test_architecture(check):
        check(my_architecture, Signature("regression", (3,), 1, 5))

The signature is one that suits it; a small one keeps the checks quick.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from metanas.testing.asserting import close, untouched
from search_spaces import Choice, Signature, Space, Value, plugins
from search_spaces.architectures.interface import Network
from search_spaces.task import Tensors

_SAMPLES = 12
_ROWS = 6


class Architecture(Protocol):
    """A family of networks, as a module of ``search_spaces.architectures`` or an object of yours.

    It may have ``suits(signature)``, too.
    """

    def choices(self, signature: Signature, /) -> tuple[Choice, ...]: ...
    def build(self, choices: Mapping[str, Value], signature: Signature, /) -> Network: ...


Check = Callable[[Architecture, Signature], None]


def choices_make_a_space(architecture: Architecture, signature: Signature) -> None:
    """It suits the signature, has a docstring, and its choices are plain data."""
    assert getattr(architecture, "suits", lambda signature: True)(signature)
    assert plugins.summary(architecture), "its docstring's first line is what lists show"
    space = Space("architecture", architecture.choices(signature))
    assert Space.from_json(space.to_json()) == space


def features_are_as_wide_as_said(architecture: Architecture, signature: Signature) -> None:
    """``(N, *x)`` gives ``(N, size)``, finite, in the precision of what is given."""
    for network in networks(architecture, signature):
        for dtype in (torch.float32, torch.float64):
            params, statistics = tensors(network, dtype)
            features, _ = network.apply(params, examples(signature, dtype), None, statistics)
            assert features.shape == (_ROWS, network.size), f"not {network.size} wide, as said: {network}"
            assert features.dtype == dtype
            assert features.isfinite().all()
            one, _ = network.apply(params, examples(signature, dtype, rows=1), None, {})
            assert one.isfinite().all(), "a support set may hold a single example"


def starts_are_the_generators(architecture: Architecture, signature: Signature) -> None:
    """The same seed gives the same parameters, another one others; the global state plays no part."""
    for network in networks(architecture, signature):
        with untouched():
            first, again, other = (network.init(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
        assert list(first) == list(again) == list(other)
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert any(not torch.equal(first[name], other[name]) for name in first)
        assert all("." in name for name in first), "parameters are called layer.kind"


def starts_have_a_shape_alone(architecture: Architecture, signature: Signature) -> None:
    """``init`` looks at no value: a learner file is read without memory for what it says of itself."""
    for network in networks(architecture, signature):
        known = {name: value.shape for name, value in network.init(torch.Generator()).items()}
        with torch.device("meta"):
            found = network.init(torch.Generator())
        assert {name: value.shape for name, value in found.items()} == known


def computing_has_no_side_effects(architecture: Architecture, signature: Signature) -> None:
    """The same arguments give the same features, and stay as they are."""
    for network in networks(architecture, signature):
        params, statistics = tensors(network)
        x, before = examples(signature), copy.deepcopy((params, statistics))
        with untouched():
            first, again = (network.apply(params, x, None, statistics)[0] for _ in range(2))
        assert torch.equal(first, again), "the same arguments gave another result"
        assert torch.equal(x, examples(signature)), "the examples were changed"
        for now, then in zip((params, statistics), before, strict=True):
            assert all(torch.equal(now[name], then[name]) for name in then)


def every_parameter_counts(architecture: Architecture, signature: Signature) -> None:
    """Each parameter gets a gradient from some example."""
    for network in networks(architecture, signature):
        params, statistics = tensors(network)
        free = {name: value.requires_grad_() for name, value in params.items()}
        features, _ = network.apply(free, examples(signature, rows=32), None, statistics)
        loss = (features * torch.linspace(-1, 2, features.numel()).reshape(features.shape)).sum()
        gradients = torch.autograd.grad(loss, list(free.values()), allow_unused=True)
        dead = [name for name, g in zip(free, gradients, strict=True) if g is None or not g.any()]
        assert not dead, f"{dead} change nothing: {network}"


def examples_do_not_meet(architecture: Architecture, signature: Signature) -> None:
    """With statistics given, the features of an example do not depend on the others."""
    for network in networks(architecture, signature):
        params, _ = tensors(network, torch.float64)
        x = examples(signature, torch.float64)
        _, used = network.apply(params, x, None, {})
        together, _ = network.apply(params, x, None, used)
        alone = torch.cat([network.apply(params, row[None], None, used)[0] for row in x])
        close(together, alone, 1e-9)


def only_running_norms_start_with_statistics(architecture: Architecture, signature: Signature) -> None:
    """Their names and shapes are those of the statistics that are used."""
    for network in networks(architecture, signature):
        params, statistics = tensors(network)
        assert bool(statistics) == (network.norm == "running"), network
        _, used = network.apply(params, examples(signature), None, {})
        assert bool(used) == (network.norm in ("running", "support")), network
        if statistics:
            assert {name: value.shape for name, value in used.items()} == {
                name: value.shape for name, value in statistics.items()
            }


def masked_rows_change_nothing(architecture: Architecture, signature: Signature) -> None:
    """Statistics are taken over the rows that count, and are those of these rows alone."""
    for network in networks(architecture, signature):
        params, _ = tensors(network, torch.float64)
        x, kept = examples(signature, torch.float64), _ROWS - 2
        mask = torch.arange(_ROWS) < kept
        alone, statistics = network.apply(params, x[:kept], None, {})
        for filler in (0.0, 100.0):
            filled = x.clone()
            filled[kept:] = filler
            features, used = network.apply(params, filled, mask, {})
            close(features[:kept], alone, 1e-9)
            assert used.keys() == statistics.keys()
            for name in used:
                close(used[name], statistics[name], 1e-9)


def networks_can_be_batched(architecture: Architecture, signature: Signature) -> None:
    """``vmap`` over parameters and examples gives what one after the other gives, gradients too."""
    for network in networks(architecture, signature):
        several = [tensors(network, torch.float64, seed)[0] for seed in range(3)]
        params = {name: torch.stack([one[name] for one in several]) for name in several[0]}
        x = torch.stack([examples(signature, torch.float64, seed) for seed in range(3)])

        def loss(params: Tensors, x: Tensor, network: Network = network) -> Tensor:
            return network.apply(params, x, None, {})[0].square().mean()

        batched = torch.func.vmap(torch.func.grad(loss))(params, x)
        for i, one in enumerate(several):
            alone = torch.func.grad(loss)(one, x[i])
            for name in alone:
                close(batched[name][i], alone[name], 1e-9)


ARCHITECTURE_CHECKS: tuple[Check, ...] = (
    choices_make_a_space,
    features_are_as_wide_as_said,
    starts_are_the_generators,
    starts_have_a_shape_alone,
    computing_has_no_side_effects,
    every_parameter_counts,
    examples_do_not_meet,
    only_running_norms_start_with_statistics,
    masked_rows_change_nothing,
    networks_can_be_batched,
)


def networks(architecture: Architecture, signature: Signature) -> Iterator[Network]:
    """Some networks of the architecture, drawn from its choices; the same at every call."""
    space, rng = Space("architecture", architecture.choices(signature)), np.random.default_rng(0)
    for _ in range(_SAMPLES):
        yield architecture.build(space.sample(rng), signature)


def tensors(
    network: Network, dtype: torch.dtype = torch.float32, seed: int = 0
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Initial parameters and statistics of a network."""
    params = network.init(torch.Generator().manual_seed(seed))
    statistics = network.statistics()
    return {k: v.to(dtype) for k, v in params.items()}, {k: v.to(dtype) for k, v in statistics.items()}


def examples(
    signature: Signature, dtype: torch.dtype = torch.float32, seed: int = 0, rows: int = _ROWS
) -> Tensor:
    """``(N, *x)`` drawn examples."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(rows, *signature.input_shape, generator=random, dtype=dtype)
