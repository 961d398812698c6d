"""Spaces by file: what is asked for is what is searched, and what cannot be is said with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import Categorical, Integer, Real, Signature, Space, catalogue, files
from search_spaces.errors import MetanasError, SpaceError
from search_spaces.space import Forbidden
from search_spaces.widening import admitting

IMAGES = Signature("classification", (1, 28, 28), 5, 1)
CURVES = Signature("regression", (1,), 1, 5)


@pytest.fixture
def wrote(tmp_path: Path):  # type: ignore[no-untyped-def]
    def write(text: str, signature: Signature = IMAGES) -> Space:
        path = tmp_path / "my.toml"
        path.write_text(text, encoding="utf-8")
        return catalogue.space(str(path), signature)

    return write


def test_a_file_narrows_widens_and_fixes(wrote) -> None:  # type: ignore[no-untyped-def]
    space = wrote(
        """
        from = "closed-form"
        architectures = ["conv"]
        rules = ["ridge"]
        [architecture.conv]
        depth = [4, 3]
        width = [32, 96]
        norm = "running"
        [outer]
        learning_rate = { low = 1e-4, high = 2e-2 }
        weight_decay = 0.001
        """
    )
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(50)]
    assert space.name == "my"
    assert {c["architecture.conv.depth"] for c in drawn} == {3, 4}
    assert {c["architecture.conv.width"] for c in drawn} == {32, 96}
    assert {(c["architecture.conv.norm"], c["rule"], c["outer.weight_decay"]) for c in drawn} == {
        ("running", "ridge", 0.001)
    }
    rates = [float(c["outer.learning_rate"]) for c in drawn]
    assert min(rates) < 1e-3
    assert max(rates) > 1e-2
    for candidate in drawn:
        catalogue.build(candidate, IMAGES)
    assert not any("mlp" in name or "gradient" in name for name in space.flat)


def test_a_range_of_one_number_has_no_scale(wrote) -> None:  # type: ignore[no-untyped-def]
    """No weight decay is the usual wish; the range of the space is logarithmic."""
    space = wrote("outer.weight_decay = 0.0\n[rule.ridge]\nstrength = 0.1", CURVES)
    drawn = [space.sample(np.random.default_rng(seed)) for seed in range(20)]
    assert {c["outer.weight_decay"] for c in drawn} == {0.0}
    assert {c.get("rule.ridge.strength", 0.1) for c in drawn} == {0.1}
    assert space.encode(drawn[0]) is not None


OWN = """
import nni
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, Repeat
from torch import nn


class Low(ModelSpace):
    def __init__(self):
        super().__init__()
        self.act = LayerChoice([nn.Tanh(), nn.ReLU()], label="low")
        self.more = Repeat(nn.Linear(1, 1), (1, 3), label="more")

    def forward(self, x):
        return self.act(self.more(x))
"""


def test_choices_of_a_model_space_are_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nni", reason="NNI is not installed on this machine")
    (tmp_path / "own_low.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    name, path = "nni:own_low:Low", tmp_path / "my.toml"

    def asked(text: str, *trusted: str) -> Space:
        path.write_text(f'architectures = ["{name}"]\n[architecture."{name}"]\n{text}')
        return catalogue.space(str(path), CURVES, architectures=trusted)

    space = asked("low = [0, 1]\nmore = [1, 3]", name)
    assert space.flat[f"architecture.{name}.low"].values == (0, 1)  # type: ignore[union-attr]
    assert space.flat[f"architecture.{name}.more"].values == (1, 3)  # type: ignore[union-attr]
    fixed = asked("low = 1\nmore = 2", name).flat
    assert fixed[f"architecture.{name}.low"].values == (1,)  # type: ignore[union-attr]
    assert fixed[f"architecture.{name}.more"].values == (2,)  # type: ignore[union-attr]
    with pytest.raises(SpaceError, match=r"line 3: .*Low.more cannot be 5 \(allowed: 1, 2, 3\)"):
        asked("more = [1, 5]", name)
    with pytest.raises(SpaceError, match=r"line 1: .*; if you trust it, add --architecture nni:own_low:Low"):
        asked("more = [1]")


def test_layers_that_the_space_has_not_have_widths_too(wrote) -> None:  # type: ignore[no-untyped-def]
    space = wrote('architectures = ["mlp"]\n[architecture.mlp]\ndepth = [2, 6]\nwidth_6 = 24', CURVES)
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(20)]
    widths = {c["architecture.mlp.depth"]: sum("width_" in name for name in c) for c in drawn}
    assert widths == {2: 2, 6: 6}
    for candidate in drawn:
        assert candidate.get("architecture.mlp.width_6", 24) == 24
        catalogue.build(candidate, CURVES)


def test_an_empty_file_is_the_usual_space(wrote) -> None:  # type: ignore[no-untyped-def]
    usual = catalogue.space("default", CURVES)
    found = wrote("", CURVES)
    assert (found.choices, found.forbidden) == (usual.choices, usual.forbidden)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[architecture.conv]\nwidht = [32]", 2, "did you mean architecture.conv.width"),
        ('rules = ["rigde"]', 1, 'rule cannot be "rigde" (allowed: "gradient", "prototype", "ridge")'),
        ('\n\n[architecture.conv]\nnorm = ["running", "batch"]', 4, '"batch" (allowed: "running", "support"'),
        ("[architecture.conv]\ndepth = [0]", 2, "depth cannot be 0 (allowed: 2, 3, 4, 5, or other numbers)"),
        ("[architecture.conv]\ndepth = [2.5]", 2, "depth cannot be 2.5"),
        ("[architecture.conv]\nresidual = [1]", 2, "residual cannot be 1 (allowed: false, true)"),
        ("[architecture.conv]\ndepth = []", 2, "at least one value"),
        ("[architecture.conv]\ndepth = [3, 3]", 2, "none of them twice"),
        (
            "[outer]\nlearning_rate = [1, 2]",
            2,
            "learning_rate takes numbers: one, or { low = 0.001, high = 0.01 }",
        ),
        ("[outer]\nlearning_rate = { low = 0.1, high = 0.01 }", 2, "low <= high"),
        ("[outer]\nlearning_rate = { low = 0, high = 0.01 }", 2, "low > 0"),
        ("[outer]\nlearning_rate = { low = 1e-4, hi = 0.01 }", 2, "takes numbers: one, or { low = 0.001"),
        ('rules = ["ridge"]\n[rule.gradient]\nsteps = 3', 3, "rule.gradient.steps has no effect"),
        ("[architecture.mlp]\ndepth = [1, 2]\nwidth_3 = 32", 3, "width_3 has no effect"),
        ('outer.learning_rate = { low = "a" }', 1, "takes numbers"),
        ("[architecture.resnet]\ndepth = 3", 2, "is no choice of space default"),
        ('\nfrom = "nothing"', 2, "no space called 'nothing' (known: default, gradient"),
        ("from = 3", 1, "from should be the name of a space"),
        ('from = "my.toml"', 1, "from should be the name of a space"),
        ("[architecture.mlp]\ndepth = [2, 51]", 2, "cannot be 51 (allowed: 1, 2, 3, 4, or others up to 50)"),
        ("[architecture.mlp]\ndepth = 6\nwidth_7 = 16", 3, "width_7 is no choice of space default"),
        ("= 3", None, "is not TOML"),
    ],
)
def test_what_cannot_be_is_said_with_its_line(wrote, text: str, line: int | None, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(MetanasError) as caught:
        wrote(text)
    assert says in str(caught.value)
    assert line is None or f"my.toml line {line}: " in str(caught.value)


def test_numbers_of_which_there_are_no_others(wrote) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SpaceError, match=r"line 2: rule.gradient.order cannot be 3 \(allowed: 1, 2\)$"):
        wrote("[rule.gradient]\norder = [1, 3]")


def test_instructions_are_as_many_as_there_are(wrote) -> None:  # type: ignore[no-untyped-def]
    said = r"line 3: rule.symbolic.slots cannot be 6 \(allowed: 1, 2, 3, 4, 5\)$"
    with pytest.raises(SpaceError, match=said):
        wrote('from = "symbolic"\n[rule.symbolic]\nslots = [3, 6]')


def test_a_kernel_that_cannot_be_built_is_said_before_a_search(wrote) -> None:  # type: ignore[no-untyped-def]
    space = wrote("[architecture.conv]\nkernel = [3, 4]")
    with pytest.raises(SpaceError, match=r"architecture.conv.kernel should be odd, not 4"):
        catalogue.check(space, IMAGES)
    space = wrote("[architecture.conv]\nkernel = [3, 7]")
    assert catalogue.check(space, IMAGES) == 100


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            'from = "symbolic"\n[rule.symbolic]\nc1 = { low = -1.0, high = 1.0, log = false }',
            "rule.symbolic.c1",
        ),
        (
            'from = "gradient"\n[rule.gradient]\nstep_size = "fixed"\n'
            "rate = { low = -0.1, high = 0, log = false }",
            r"no rule starts with rule.gradient.rate = ",
        ),
        ('from = "gradient"\n[rule.gradient]\nsteps = -3\nstep_size = "layer_step"', "steps = -3"),
        ('from = "closed-form"\n[rule.ridge]\nstrength = { low = 0, high = 0, log = false }', "strength = 0"),
        (
            "[outer]\nlearning_rate = { low = -0.01, high = 0.01, log = false }",
            "learning_rate should be above 0",
        ),
    ],
)
def test_numbers_that_nothing_can_start_with_are_said_before_a_search(wrote, text: str, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SpaceError, match=says):
        catalogue.check(wrote(text, CURVES), CURVES)


def test_steps_that_begin_below_zero_are_learned_and_saved(wrote) -> None:  # type: ignore[no-untyped-def]
    """As those of Meta-SGD may come to be; a learner's file admits what a space file has."""
    text = 'from = "gradient-methods"\n[rule.chain]\nrate = {{ low = {0}, high = {0}, log = false }}'
    space = wrote(text.format(-0.1) + '\nstep_size = "parameter"\n', CURVES)
    chosen = space.sample(np.random.default_rng(0))
    builtin = catalogue.space("gradient-methods", CURVES)
    (wider,) = admitting((builtin.flat["rule.chain.rate"],), chosen)
    assert (wider.low, wider.high, wider.log) == (-0.1, -0.1, False)  # type: ignore[union-attr]


def test_a_head_of_rows_goes_with_its_own_ways_whatever_others_a_file_gives(wrote) -> None:  # type: ignore[no-untyped-def]
    space, rng = wrote("[outer]\nways = [5, 15]"), np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(300)]
    assert {c["outer.ways"] for c in drawn if c.get("rule.gradient.head") == "rows"} == {5}
    assert {c["outer.ways"] for c in drawn} == {5, 15}


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"cannot read .*no.toml: No such file"):
        catalogue.space(str(tmp_path / "no.toml"), IMAGES)


def test_rules_over_what_is_gone_go_too(tmp_path: Path) -> None:
    inner = Integer("steps", 1, 10)
    rule = Categorical("rule", ("ridge", "gradient"), {"gradient": (inner,)})
    space = Space("s", (rule, Real("rate", 0.1, 1.0)), (Forbidden({"steps": (1,)}, "too few"),))
    file = files.SpaceFile(tmp_path / "x.toml", "s", {"rule": "ridge"}, {})
    assert file.applied(space).forbidden == ()
    assert file.applied(space).sample(np.random.default_rng(0)).keys() == {"rule", "rate"}


@settings(deadline=None)  # no timing
@given(st.text(max_size=60))
def test_any_text_is_a_space_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "any.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        catalogue.space(str(path), CURVES)
    except MetanasError as error:
        assert str(error)  # noqa: PT017
