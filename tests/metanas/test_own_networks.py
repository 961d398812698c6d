"""Networks in a file of the user's: searched, exported, adapted; and never imported unasked."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import metanas as package
from metanas.learner import load
from metanas.testing.drawings import draw_classes
from metanas.testing.learners import REGRESSION, candidate, forged, written
from search_spaces import named
from search_spaces.errors import LearnerFileError

pytest.importorskip("nni", reason="NNI is not installed on this machine")
Run = Callable[..., Any]
EXAMPLE = Path(__file__).parents[2] / "examples" / "own_network.py"
WAVES = "nni:own_network:Waves"
PICTURES = """
import nni
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn


class Small(ModelSpace):
    def __init__(self, input_shape):
        super().__init__()
        first = nn.Conv2d(input_shape[0], 4, 3, stride=2)
        self.body = nn.Sequential(first, nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.pool = LayerChoice([nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)], label="pool")
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(4, 10))

    def forward(self, x):
        return self.head(self.pool(self.body(x)))


class Dropping(Small):
    def __init__(self, input_shape):
        super().__init__(input_shape)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(4, 10))
"""


@pytest.fixture
def own_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example, in a folder of its own; forgotten afterwards."""
    shutil.copy(EXAMPLE, tmp_path)
    monkeypatch.delitem(sys.modules, "own_network", raising=False)
    return tmp_path


@pytest.mark.long
def test_the_example_is_searched_exported_and_adapted(
    metanas: Run, quick: Sequence[object], own_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = (*quick, "--architecture", WAVES, "--json")
    ran = metanas(*again)
    assert (ran.code, ran.err) == (0, "")
    best = ran.lines[-1]["best"]
    assert best["candidate"]["architecture"] == WAVES
    assert best["candidate"][f"architecture.{WAVES}.width"] in (32, 64)
    assert best["architecture"].startswith("Waves (")
    told = metanas(*quick, "--architecture", WAVES)
    assert told.code == 0, "goes on"
    how = f"metanas adapt sinusoid.metanas --support support.csv --query query.csv --architecture {WAVES}"
    assert how in told.out

    learner = package.load(own_network / "sinusoid.metanas", architectures=[WAVES])
    x, y = np.arange(5.0)[:, None], np.arange(5.0)
    predicted = learner.adapt(x, y).predict(x)
    sent = ForkingPickler.loads(ForkingPickler.dumps(learner))  # as a pool of processes does
    np.testing.assert_array_equal(sent.adapt(x, y).predict(x), predicted)
    model = ForkingPickler.loads(ForkingPickler.dumps(sent.adapt(x, y)))
    np.testing.assert_array_equal(model.predict(x), predicted)
    rows = "x,y\n" + "".join(f"{x},{x}\n" for x in range(5))
    for name in ("support.csv", "query.csv"):
        (own_network / name).write_text(rows)
    adapt = ("adapt", "sinusoid.metanas", "--support", "support.csv", "--query", "query.csv")
    export = ("export", "sinusoid", "-o", "other.metanas")
    debugs = ("debug", "sinusoid"), ("debug", "sinusoid.metanas")
    assert metanas("report", "sinusoid", "-o", "r.html").code == 0
    page = (own_network / "r.html").read_text()
    assert f"--architecture {WAVES}" in page
    for command in (adapt, export, *debugs):
        monkeypatch.delitem(sys.modules, "own_network")
        refused = metanas(*command)
        assert refused.code == 2
        assert f"--architecture {WAVES}" in refused.err
        assert len(refused.err.splitlines()) == 1
        assert "own_network" not in sys.modules, "it is not imported unless the user names it"
        assert metanas(*command, "--architecture", WAVES).code == 0
    assert (own_network / "other.metanas").read_bytes()[:2] == b"PK"


@pytest.mark.long
def test_a_learner_whose_module_is_not_here_says_so(
    metanas: Run,
    metanas_in: Run,
    quick: Sequence[object],
    own_network: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert metanas(*quick, "--architecture", WAVES).code == 0
    monkeypatch.delitem(sys.modules, "own_network")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "s.csv").write_text("x,y\n1,2\n")
    path = own_network / "sinusoid.metanas"
    ran = metanas_in(
        elsewhere, "adapt", path, "--support", "s.csv", "--query", "s.csv", "--architecture", WAVES
    )
    assert ran.code == 2
    assert (
        "cannot import nni:own_network:Waves: ModuleNotFoundError: No module named 'own_network'" in ran.err
    )
    assert len(ran.err.splitlines()) == 1


def test_a_foreign_file_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever module it names, and whatever else the user trusts."""
    (tmp_path / "evil_one.py").write_text("raise SystemExit('run')\n")
    monkeypatch.syspath_prepend(tmp_path)
    good = written(tmp_path, candidate("mlp", "ridge"), REGRESSION)
    for name, said in (
        ("nni:evil_one:Space", "if you trust it"),
        ("nni:evil_one:Space --device cpu; rm", "a model space is nni:module:Class"),
        ("nni:" + "x" * 1000 + ":Y", "a model space is nni:module:Class"),
    ):
        path = forged(
            good, tmp_path / "forged", lambda values, name=name: values["candidate"].update(architecture=name)
        )
        with pytest.raises(LearnerFileError, match=said):
            load(path, architectures=[WAVES])
    assert "evil_one" not in sys.modules


@pytest.mark.long
def test_several_families_share_a_network_of_ones_own(
    metanas: Run, quick: Sequence[object], own_network: Path
) -> None:
    ran = metanas("search", "sinusoid", "harmonics", *quick[2:], "--architecture", WAVES)
    assert (ran.code, ran.err.count("failed")) == (0, 0), ran.err
    assert f"--query query.csv --architecture {WAVES}" in ran.out
    found = package.load(own_network / "sinusoid-harmonics-harmonics.metanas", architectures=[WAVES])
    assert found.candidate["architecture"] == WAVES


def test_architectures_narrow_any_space(metanas: Run, quick: Sequence[object], tmp_path: Path) -> None:
    ran = metanas("space", "describe", "default", "--tasks", "images", "--architecture", "conv")
    assert "architecture: conv\n" in ran.out
    (tmp_path / "my.toml").write_text('rules = ["ridge"]\n[architecture.mlp]\ndepth = 2\n')
    ran = metanas("space", "describe", "my.toml", "--tasks", "images", "--architecture", "mlp")
    assert "architecture: mlp\n" in ran.out
    assert "rule: ridge\n" in ran.out
    assert "architecture.mlp.depth: 2\n" in ran.out
    ran = metanas(*quick, "--architecture", "mlp", "--json")
    assert ran.lines[-1]["best"]["candidate"]["architecture"] == "mlp"


def test_model_spaces_stand_beside_ours_and_in_files(metanas: Run, own_network: Path) -> None:
    both = ("--architecture", "mlp", "--architecture", WAVES)
    ran = metanas("space", "check", "closed-form", *both)
    assert ran.code == 0, ran.err
    (own_network / "my.toml").write_text(f'[architecture."{WAVES}"]\nwidth = 32\nmore = [0, 1]\n')
    ran = metanas("space", "describe", "my.toml", *both)
    assert f"architecture: mlp | {WAVES}\n" in ran.out
    assert f"architecture.{WAVES}.width: 32\n" in ran.out
    assert f"architecture.{WAVES}.act_1" not in ran.out, "a block that is not there asks nothing"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--architecture", "cnov"), "no architecture called 'cnov'; did you mean conv?"),
        (("--architecture", "conv"), "space closed-form has no conv for these tasks (it has mlp)"),
        (("--architecture", "nni:own_network"), "a model space is nni:module:Class"),
        (
            ("--architecture", "nni:own_network:Missing"),
            "cannot import nni:own_network:Missing: AttributeError",
        ),
        (("--architecture", "nni:missing_module:Net"), "No module named 'missing_module'"),
        (("--space", "only.toml", "--architecture", WAVES), f"space only has no {WAVES}"),
    ],
)
def test_what_cannot_be_had_is_one_line(
    metanas: Run, quick: Sequence[object], own_network: Path, options: Sequence[str], said: str
) -> None:
    (own_network / "only.toml").write_text('architectures = ["mlp"]\n')
    ran = metanas(*quick, *options)
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not (own_network / "metanas.db").exists(), "before a store is made"


def test_another_network_is_another_study(metanas: Run, quick: Sequence[object], own_network: Path) -> None:
    assert metanas(*quick, "--architecture", "mlp").code == 0
    ran = metanas(*quick, "--architecture", WAVES)
    assert ran.code == 2
    assert f"--architecture mlp, now {WAVES}" in ran.err


def test_what_stands_around_a_network_is_a_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    names = []
    for number, activation in enumerate(("nn.SiLU()", "nn.GELU()")):
        (tmp_path / f"network_around_{number}.py").write_text(
            EXAMPLE.read_text().replace("nn.SiLU()", activation)
        )
        names.append(f"nni:network_around_{number}:Waves")
    assert len(set(named.code(names).values())) == 2


@pytest.mark.long
def test_images_with_a_network_of_ones_own(metanas: Run, quick: Sequence[object], tmp_path: Path) -> None:
    draw_classes(tmp_path / "drawn", [f"c{i}" for i in range(12)])
    (tmp_path / "own_pictures.py").write_text(PICTURES)
    options = ("--ways", 3, "--queries", 2, "--image-size", 8, "--rung", 2, "--trials", 2)
    images = ("search", "images", "drawn", *options, "--architecture")
    ran = metanas(*images, "nni:own_pictures:Small", "--controller", "nni-evolution", "--json")
    assert (ran.code, ran.err) == (0, ""), ran.err
    best = ran.lines[-1]["best"]["candidate"]
    assert best["architecture.nni:own_pictures:Small.batch_norm"] in ("running", "support")
    learner = package.load(tmp_path / "images.metanas", architectures=["nni:own_pictures:Small"])
    picture = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    model = learner.adapt(np.stack([picture, 255 - picture, picture // 2]), ["a", "b", "c"])
    assert model.predict(picture[None])[0] in ("a", "b", "c")
    ran = metanas(*images, "nni:own_pictures:Dropping", "--study", "dropping")
    assert ran.code == 2
    assert "layer head.1 (Dropout): it draws random numbers" in ran.err
    assert len(ran.err.splitlines()) == 1
