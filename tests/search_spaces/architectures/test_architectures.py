"""Every architecture through the shared suite; sizes and norms against torch's own."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from metanas.testing.architectures import ARCHITECTURE_CHECKS, Architecture, Check, examples, tensors
from search_spaces import Signature
from search_spaces.architectures import conv, mlp, norms
from search_spaces.errors import RuleError

CURVES = Signature("regression", (1,), 1, 5)
TABLES = Signature("regression", (3,), 2, 5)
SQUARES = Signature("classification", (1, 8, 8), 5, 1)
OBLONGS = Signature("classification", (3, 5, 9), 5, 1)
CASES: dict[str, tuple[Architecture, Signature]] = {
    "mlp on curves": (mlp, CURVES),
    "mlp on tables": (mlp, TABLES),
    "mlp on images": (mlp, OBLONGS),
    "conv on squares": (conv, SQUARES),
    "conv on oblongs": (conv, OBLONGS),
}


@pytest.mark.parametrize("check", ARCHITECTURE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", CASES)
def test_architecture(check: Check, case: str) -> None:
    check(*CASES[case])


def conv_of(signature: Signature, **changes: object) -> conv.Conv:
    usual = {"depth": 4, "width": 4, "kernel": 3, "activation": "relu", "norm": "none"}
    return conv.build({**usual, "downsample": "pool", "residual": False, **changes}, signature)


@pytest.mark.parametrize(
    ("height", "width", "depth", "kernel", "downsample", "residual"),
    list(itertools.product((1, 2, 7), (1, 3, 16), (1, 3, 5), (3, 5), ("pool", "stride"), (False, True))),
)
def test_conv_knows_its_size_on_images_of_any_size(
    height: int, width: int, depth: int, kernel: int, downsample: str, residual: bool
) -> None:
    signature = Signature("classification", (2, height, width), 5, 1)
    network = conv_of(signature, depth=depth, kernel=kernel, downsample=downsample, residual=residual)
    params, _ = tensors(network)
    assert network.apply(params, examples(signature, rows=2), None, {})[0].shape == (2, network.size)


def test_conv4_is_the_published_one() -> None:
    """Vinyals et al.: four blocks of 3×3 convolution, batch norm, ReLU, 2×2 pooling: 28×28 to 64 features."""
    signature = Signature("classification", (1, 28, 28), 5, 1)
    network = conv_of(signature, width=64, norm="running")
    params, _ = tensors(network)
    assert network.size == 64
    layers: list[nn.Module] = []
    for i, planes in enumerate((1, 64, 64, 64)):
        convolution, norm = nn.Conv2d(planes, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64)
        convolution.weight.data = params[f"layer{i}.weight"]
        norm.weight.data, norm.bias.data = params[f"layer{i}.scale"], params[f"layer{i}.bias"]
        layers += [convolution, norm, nn.ReLU(), nn.MaxPool2d(2)]
    x = examples(signature)
    features, _ = network.apply(params, x, None, {})
    torch.testing.assert_close(features, nn.Sequential(*layers)(x).flatten(1), atol=1e-4, rtol=1e-4)


def test_residual_connections_are_added() -> None:
    """A second layer that does nothing leaves the first one's features as they are."""
    signature = Signature("classification", (1, 4, 4), 5, 1)
    for downsample, after in (("stride", lambda x: x[..., ::2, ::2]), ("pool", nn.MaxPool2d(2))):
        one, two = (
            conv_of(signature, depth=d, residual=True, downsample=downsample, activation="relu")
            for d in (1, 2)
        )
        params, _ = tensors(two)
        params |= {"layer1.weight": torch.zeros_like(params["layer1.weight"]), "layer1.bias": torch.zeros(4)}
        x = examples(signature)
        first = one.apply(params, x, None, {})[0].reshape(len(x), 4, 2, 2)
        assert torch.equal(two.apply(params, x, None, {})[0], after(first).flatten(1))


def test_conv_refuses_what_is_no_image() -> None:
    with pytest.raises(RuleError, match="try mlp"):
        conv_of(TABLES)
    assert not conv.suits(TABLES)


def test_mlp_is_linear_layers_and_activations() -> None:
    choices = {"depth": 2, "width_1": 16, "width_2": 32, "activation": "tanh", "norm": "none"}
    network = mlp.build(choices, OBLONGS)
    params, _ = tensors(network)
    assert {name: tuple(value.shape) for name, value in params.items()} == {
        "layer0.weight": (16, 135),
        "layer0.bias": (16,),
        "layer1.weight": (32, 16),
        "layer1.bias": (32,),
    }
    x = examples(OBLONGS)
    hidden = torch.tanh(x.flatten(1) @ params["layer0.weight"].T + params["layer0.bias"])
    wanted = torch.tanh(hidden @ params["layer1.weight"].T + params["layer1.bias"])
    torch.testing.assert_close(network.apply(params, x, None, {})[0], wanted)


TORCH_NORMS = {
    "running": lambda channels, shape: (nn.BatchNorm2d if shape else nn.BatchNorm1d)(channels),
    "support": lambda channels, shape: (nn.BatchNorm2d if shape else nn.BatchNorm1d)(channels),
    "group": lambda channels, shape: nn.GroupNorm({64: 8, 16: 4, 10: 2, 3: 1}[channels], channels),
    "layer": lambda channels, shape: nn.GroupNorm(1, channels),
}


@pytest.mark.parametrize("norm", TORCH_NORMS)
@pytest.mark.parametrize("channels", [64, 16, 10, 3])
@pytest.mark.parametrize("shape", [(), (3, 4)])
def test_norms_are_torchs(norm: str, channels: int, shape: tuple[int, ...]) -> None:
    random = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(7, channels, *shape, generator=random) + 2
    params = norms.init(norm, "n", channels, 1, random)
    params["n.scale"] = torch.rand(channels, generator=random) + 0.5
    theirs = TORCH_NORMS[norm](channels, shape)
    theirs.weight.data, theirs.bias.data = params["n.scale"], params["n.bias"]
    ours, used = norms.normalise(norm, params, "n", x, None, {})
    torch.testing.assert_close(ours, theirs(x), atol=1e-4, rtol=1e-4)
    if not used:
        return
    # asked again with those statistics, another batch is normalised by them
    theirs.eval()
    theirs.running_mean.data, theirs.running_var.data = used["n.mean"], used["n.var"]
    other = torch.randn(4, channels, *shape, generator=random)
    ours, again = norms.normalise(norm, params, "n", other, None, used)
    torch.testing.assert_close(ours, theirs(other), atol=1e-4, rtol=1e-4)
    assert all(torch.equal(again[name], used[name]) for name in used)


@pytest.mark.parametrize("width", [2, 3, 6, 7, 16])
def test_a_group_is_never_so_small_that_it_forgets_its_input(width: int) -> None:
    network = mlp.build({"depth": 1, "width_1": width, "activation": "tanh", "norm": "group"}, TABLES)
    features, _ = network.apply(tensors(network)[0], examples(TABLES), None, {})
    assert features.std(0).min() > 0.05


def test_no_norm_shifts_only() -> None:
    params = norms.init("none", "n", 3, 1, torch.Generator().manual_seed(0))
    x = torch.ones(2, 3)
    assert set(params) == {"n.bias"}
    assert torch.equal(norms.normalise("none", params, "n", x, None, {})[0], x + params["n.bias"])


@pytest.mark.parametrize("norm", norms.NORMS)
@pytest.mark.parametrize("downsample", ["pool", "stride"])
def test_conv_computes_in_the_precision_of_its_examples(norm: str, downsample: str) -> None:
    """Features, statistics and gradients stay the parameters' own, and near those of full precision."""
    network = conv_of(SQUARES, norm=norm, width=16, downsample=downsample, activation="tanh", residual=True)
    params, _ = tensors(network)
    x = examples(SQUARES, rows=16)
    found = []
    for given in (x, x.bfloat16()):
        free = {name: value.clone().requires_grad_() for name, value in params.items()}
        features, used = network.apply(free, given, None, {})
        gradients = torch.autograd.grad((features**3).sum(), list(free.values()))
        assert {t.dtype for t in (features, *used.values(), *gradients)} == {x.dtype}
        found.append((features.detach(), torch.cat([g.flatten() for g in gradients])))
        again, _ = network.apply(params, given, None, {k: v.detach() for k, v in used.items()})
        assert (again - features).norm() < 0.05 * features.norm()
    (full, exact), (half, rounded) = found
    assert not torch.equal(full, half), "it did compute in half precision"
    assert (half - full).norm() < 0.05 * full.norm()
    assert torch.cosine_similarity(exact, rounded, dim=0) > 0.95
