"""Model spaces as architectures: through the shared suite, under every rule, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from metanas.engine import Engine, Program
from metanas.testing.architectures import ARCHITECTURE_CHECKS, Check, examples, tensors
from metanas.testing.asserting import close
from metanas.testing.rules import (
    RULE_CHECKS,
    meta_gradient_equals_central_differences,
    several,
)
from metanas.testing.rules import Check as RuleCheck
from search_spaces import Categorical, Signature, Space
from search_spaces.errors import MetanasError, RuleError, SpaceError, UnknownNameError
from search_spaces.named import covering
from search_spaces.rules import gradient, prototype, ridge
from search_spaces.rules.interface import Rule
from tests.search_spaces.nni import spaces

pytest.importorskip("nni", reason="NNI is not installed on this machine")
from search_spaces.nni import models

CURVES = Signature("regression", (1,), 2, 3)
TABLES = Signature("regression", (3,), 1, 5)
SQUARES = Signature("classification", (2, 4, 4), 2, 2)
VECTORS = models.ModelArchitecture("nni:m:Vectors", spaces.Vectors)
PICTURES = models.ModelArchitecture("nni:m:Pictures", spaces.Pictures)
RECREATED = models.ModelArchitecture("nni:m:Recreated", spaces.Recreated)
CASES = {"vectors": (VECTORS, CURVES), "pictures": (PICTURES, SQUARES), "recreated": (RECREATED, TABLES)}
SMOOTH = {"kernel": "(3, 3)", "join": "0+1", "pool": 0}
MAML = {"steps": 1, "order": 2, "step_size": "layer", "rate": 0.1, "scope": "all", "head": "rows"}


@pytest.mark.parametrize("check", ARCHITECTURE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", CASES)
def test_architecture(check: Check, case: str) -> None:
    check(*CASES[case])


def maml(norm: str, **changes: Any) -> Rule:
    network = PICTURES.build(SMOOTH | {"batch_norm": norm}, SQUARES)
    return gradient.build(MAML | changes, network, SQUARES)


@pytest.mark.parametrize("check", RULE_CHECKS, ids=lambda check: check.__name__)
def test_second_order_maml(check: RuleCheck) -> None:
    """In double precision; among the checks: vmap over tasks and candidates equals one after the other."""
    check(maml("running"))


def test_the_meta_gradient_is_exact() -> None:
    meta_gradient_equals_central_differences(maml("support", steps=2))


def batched_equals_sequential(rule: Rule) -> None:
    """A step of the outer loop over two candidates and two tasks, in double precision."""
    program, progress = Program.of(rule), torch.tensor(0.5, dtype=torch.float64)
    drawn = several(rule, 2, 2)
    ways = [Engine(program, torch.device("cpu"), way) for way in ("vmap", "sequential")]
    for one, other in zip(*(engine.gradients(*drawn, progress) for engine in ways), strict=True):
        close(one, other, 1e-9)


@pytest.mark.parametrize("norm", ["running", "support"])
def test_every_rule_works_on_its_features(norm: str) -> None:
    network = PICTURES.build(SMOOTH | {"batch_norm": norm}, SQUARES)
    batched_equals_sequential(gradient.build(MAML, network, SQUARES))
    batched_equals_sequential(prototype.build({"distance": "euclid"}, network, SQUARES))
    batched_equals_sequential(ridge.build({"strength": 0.1}, network, SQUARES))


def test_features_are_those_of_the_model_without_its_head() -> None:
    """NNI's own frozen model, in training, on the same numbers."""
    from nni.nas.space import model_context

    network = PICTURES.build(SMOOTH | {"batch_norm": "running"}, SQUARES)
    params, _ = tensors(network)
    with model_context({"kernel": (3, 3), "join": [0, 1], "pool": 0}):
        model = spaces.Pictures((2, 4, 4))
    model.head = nn.Identity()
    model.load_state_dict({name.removeprefix("net."): v for name, v in params.items()}, strict=False)
    x = examples(SQUARES)
    features, used = network.apply(params, x, None, {})
    torch.testing.assert_close(features, model.train()(x.clone()), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(0.1 * used["net.norm.mean"], model.norm.running_mean, atol=1e-6, rtol=1e-5)
    again, _ = network.apply(params, x, None, used)
    torch.testing.assert_close(again, features, atol=1e-5, rtol=1e-5)


def test_the_head_is_taken_off_where_there_is_one() -> None:
    assert PICTURES.build(SMOOTH | {"batch_norm": "running"}, SQUARES).size == 4
    assert VECTORS.build({"width": 8, "act": "tanh", "more": 1, "act_0": 0}, CURVES).size == 8
    headless = RECREATED.build({"recreated.depth": 1, "recreated.scale": "2.0"}, TABLES)
    assert headless.size == 3
    assert set(headless.init(torch.Generator())) == {"net.layers.0.weight", "net.layers.0.bias"}


def test_a_layer_that_is_used_again_is_no_head() -> None:
    network = models.ModelArchitecture("nni:m:Tied", spaces.Tied).build({"act": 0}, CURVES)
    params, x = tensors(network)[0], examples(CURVES)
    assert {name.split(".")[1] for name in params} == {"stem", "cell"}
    stem, cell = ([params[f"net.{name}.{kind}"] for kind in ("weight", "bias")] for name in ("stem", "cell"))
    linear = nn.functional.linear
    expected = linear(torch.tanh(linear(torch.tanh(linear(x, *stem)), *cell)), *cell)
    torch.testing.assert_close(network.apply(params, x, None, {})[0], expected)


def test_functions_go_by_names_that_last() -> None:
    architecture = models.ModelArchitecture("nni:m:Functions", spaces.Functions)
    (act,) = architecture.choices(CURVES)
    assert isinstance(act, Categorical)
    assert act.values == ("torch.nn.functional.relu", "torch.tanh")
    network = architecture.build({"act": "torch.tanh"}, CURVES)
    features, _ = network.apply(tensors(network)[0], examples(CURVES), None, {})
    assert features.min() < 0
    with pytest.raises(SpaceError, match="without a name that lasts: use LayerChoice"):
        models.ModelArchitecture("nni:m:Nameless", spaces.Nameless).choices(CURVES)


def test_what_is_imported_where_a_model_is_made_is_looked_for_in_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "blocks_beside.py").write_text("width = 7")
    monkeypatch.chdir(tmp_path)
    network = models.ModelArchitecture("nni:m:Lazily", spaces.Lazily).build({"act": 0}, CURVES)
    assert network.size == 7
    monkeypatch.delitem(sys.modules, "blocks_beside")


def test_choices_change_the_model() -> None:
    def recreated(depth: int, scale: str) -> Any:
        return RECREATED.build({"recreated.depth": depth, "recreated.scale": scale}, TABLES)

    networks = recreated(1, "0.5"), recreated(1, "2.0")
    params, x = tensors(networks[0])[0], examples(TABLES)
    half, double = (network.apply(params, x, None, {})[0] - torch.arange(3.0) for network in networks)
    torch.testing.assert_close(4 * half, double)
    assert len(recreated(2, "0.5").init(torch.Generator())) == 4


@pytest.mark.long
def test_on_four_threads_with_nothing_on_stdout() -> None:
    """NNI keeps global stacks: without a lock most of these fail; and its log goes to stdout."""
    code = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np, optuna, torch
from controllers.nni import PLUGINS
from metanas.testing.controllers import toy_space, toy_study, search
from metanas.testing.architectures import examples, tensors
from search_spaces import Signature, Space
from tests.search_spaces.nni import spaces
from search_spaces.nni import from_nni, models, to_nni
optuna.logging.set_verbosity(optuna.logging.ERROR)
torch.set_num_threads(1)
def model(seed):
    signature = Signature("classification", (1, 6, 6), 3, 2)
    space = models.ModelArchitecture(f"nni:m:{seed}", spaces.Pictures)
    choices = Space("s", space.choices(signature)).sample(np.random.default_rng(seed % 3))
    network = space.build(choices, signature)
    params, _ = tensors(network)
    return float(network.apply(params, examples(signature), None, {})[0].sum())
def both_ways(seed):
    return from_nni(to_nni(toy_space())).to_json()
def proposed(seed):
    study = toy_study(PLUGINS["nni-evolution" if seed % 2 else "nni-tpe"].build, seed=seed)
    return [candidate.id for _, candidate in search(study, toy_space(), 6)]
work = [(run, i) for i in range(8) for run in (model, both_ways, proposed)]
alone = [run(i) for run, i in work]
with ThreadPoolExecutor(4) as pool:
    assert list(pool.map(lambda item: item[0](item[1]), work)) == alone
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_one_network_on_several_threads() -> None:
    """Lanes share a network: what one thread puts into the model is not seen by another."""
    network = PICTURES.build(SMOOTH | {"batch_norm": "support"}, SQUARES)
    several = [tensors(network, torch.float64, seed)[0] for seed in range(4)]
    x = examples(SQUARES, torch.float64)

    def run(i: int) -> torch.Tensor:
        return network.apply(several[i % 4], x, None, {})[0]

    alone = [run(i) for i in range(40)]
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(run, range(40)), alone, strict=True):
            close(found, wanted, 1e-12)


def checked(architecture: models.ModelArchitecture, signature: Signature) -> None:
    architecture.check(covering(Space("all", architecture.choices(signature))), signature)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (lambda: nn.Dropout(0.1), "layer odd (Dropout): it draws random numbers"),
        (lambda: nn.Sequential(nn.ReLU(), nn.Dropout2d(0.2)), "layer odd.1 (Dropout2d): it draws random"),
        (spaces.DropPath, "layer odd (DropPath): it draws random numbers"),
        (spaces.Counting, "layer odd (Counting): it changes its buffer calls"),
        (spaces.Replacing, "layer odd (Replacing): it changes its buffer calls"),
        (
            lambda: nn.InstanceNorm2d(4, track_running_stats=True),
            "layer odd (InstanceNorm2d): it changes its buffer running_mean",
        ),
        (spaces.Deciding, "layer odd (Deciding): "),
        (spaces.Twice, "layer odd.norm (BatchNorm2d): a batch norm that is used twice"),
        (nn.Hardsigmoid, "layer odd (Hardsigmoid): derivative for aten::hardsigmoid_backward is not"),
        (spaces.Attention, "layer odd.heads (MultiheadAttention): derivative for "),
        (lambda: nn.LazyConv2d(4, 1), "has no sizes yet: layer odd (LazyConv2d)"),
        (lambda: nn.Conv2d(7, 4, 1), "cannot take inputs (1, 5, 5): layer odd (Conv2d): "),
    ],
)
def test_a_layer_that_is_no_pure_function_is_named(layer: Callable[[], nn.Module], said: str) -> None:
    signature = Signature("classification", (1, 5, 5), 3, 2)
    architecture = models.ModelArchitecture("nni:m:One", spaces.around(layer))
    with pytest.raises(RuleError) as error:
        checked(architecture, signature)
    assert said in str(error.value)
    assert str(error.value).startswith("nni:m:One ")
    assert "\n" not in str(error.value)


def test_a_model_that_changes_its_input_is_refused() -> None:
    """It would be that of the tasks that all others are scored on."""
    architecture = models.ModelArchitecture("nni:m:Shifting", spaces.Shifting)
    with pytest.raises(RuleError, match="its forward changes what it is given in place"):
        checked(architecture, Signature("classification", (1, 5, 5), 3, 2))


def test_what_a_search_may_have_is_let_through() -> None:
    signature = Signature("classification", (1, 5, 5), 3, 2)
    for layer in (lambda: nn.Dropout(0.0), lambda: nn.SyncBatchNorm(4), lambda: nn.GroupNorm(2, 4)):
        checked(models.ModelArchitecture("nni:m:One", spaces.around(layer)), signature)


def test_what_is_no_model_space_of_this_kind_is_refused() -> None:
    class Wanting(spaces.Recreated):  # type: ignore[misc]
        def __init__(self, width: int, input_shape: Any = None) -> None:
            super().__init__()

    class Failing(spaces.Recreated):  # type: ignore[misc]
        def __init__(self) -> None:
            raise OSError("no such table")

    class Pair(spaces.Recreated):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x, x

    wrong = {Wanting: "it wants width", Failing: "OSError: no such table", Pair: "gives tuple for 2 examples"}
    for space, said in wrong.items():
        with pytest.raises(RuleError, match=said):
            checked(models.ModelArchitecture("nni:m:Wrong", space), TABLES)
    with pytest.raises(RuleError, match=r"cannot take inputs \(1,\): layer layers.0 \(Linear\)"):
        RECREATED.build({"recreated.depth": 1, "recreated.scale": "0.5"}, CURVES)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nni:no.such.module:Space", "cannot import nni:no.such.module:Space: ModuleNotFoundError"),
        ("nni:tests.search_spaces.nni.spaces:Missing", "AttributeError"),
        ("nni:tests.search_spaces.nni.spaces:DropPath", "is no class of nni.nas.nn.pytorch.ModelSpace's"),
        ("nni:nni.nas.hub.pytorch:NasBench201", r"pip install 'metanas\[nni-hub\]'"),
    ],
)
def test_what_cannot_be_loaded_says_why(name: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_lightning", None)
    monkeypatch.delitem(sys.modules, "nni.nas.hub.pytorch", raising=False)
    with pytest.raises(UnknownNameError, match=said):
        models.load(name)


def test_a_hubs_space_is_meta_trained() -> None:
    """NAS-Bench-201, narrowed to one small cell a stack: a second-order step, batched equals sequential."""
    pytest.importorskip(
        "pytorch_lightning", reason="PyTorch Lightning is missing: pip install 'metanas[nni-hub]'"
    )
    from nni.nas.hub.pytorch import NasBench201

    class Small(NasBench201):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(stem_out_channels=4, num_modules_per_stack=1)

    signature = Signature("classification", (3, 8, 8), 2, 1)
    architecture = models.ModelArchitecture("nni:m:Small", Small)
    found = Space("hub", architecture.choices(signature))
    assert found.size == 5**6 * 2
    assert models.load("nni:nni.nas.hub.pytorch:NasBench201").choices(signature) == found.choices
    checked(architecture, signature)
    for norm in ("running", "support"):
        values = dict.fromkeys(found.flat, "conv_3x3") | {"batch_norm": norm}
        network = architecture.build(values | {"cell.0_1": "avg_pool_3x3"}, signature)
        batched_equals_sequential(gradient.build(MAML, network, signature))


def test_covering_meets_every_value() -> None:
    space = Space("all", VECTORS.choices(CURVES))
    met = {item for candidate in covering(space) for item in candidate.items()}
    assert met == {(c.name, v) for c in space.flat.values() for v in c.values}  # type: ignore[union-attr]
    assert len(list(covering(space))) <= 12
    rng = np.random.default_rng(0)
    assert all(isinstance(space.sample(rng), type(candidate)) for candidate in covering(space))


def test_a_user_who_has_no_nni_is_told_so() -> None:
    code = (
        "import sys; sys.modules['nni'] = None\n"
        "from search_spaces import named; from search_spaces.errors import MetanasError\n"
        "try: named.architecture('nni:m:S', ['nni:m:S'])\n"
        "except MetanasError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install nni" in done.stdout
    assert issubclass(UnknownNameError, MetanasError)
