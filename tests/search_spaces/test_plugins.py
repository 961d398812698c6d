"""Plug-ins: ours by their file, third parties' by their entry point."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from types import SimpleNamespace
from typing import Any

import pytest

from metanas.learner.building import program_of
from search_spaces import Candidate, Signature, catalogue, plugins
from search_spaces.architectures import mlp
from search_spaces.catalogue import ARCHITECTURES, RULES
from search_spaces.errors import MetanasError, UnknownNameError

KINDS = [
    (ARCHITECTURES, ["conv", "mlp"]),
    (RULES, ["chain", "gradient", "prototype", "ridge", "symbolic"]),
    (("metanas.tasks.families", "metanas.families"), ["harmonics", "images", "sinusoid", "table"]),
    (
        ("controllers", "metanas.controllers"),
        ["evolution", "learned", "nni-evolution", "nni-tpe", "random", "tpe"],
    ),
]


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """Entry points of third parties, to be added to."""
    points: list[EntryPoint] = []

    def entry_points(**wanted: Any) -> EntryPoints:
        return EntryPoints(points).select(**wanted)

    monkeypatch.setattr(plugins, "entry_points", entry_points)
    return points


@pytest.mark.parametrize(("kind", "known"), KINDS)
def test_ours_are_the_files_that_build(kind: tuple[str, str], known: list[str]) -> None:
    assert plugins.names(*kind) == known
    for name in known:
        assert callable(plugins.load(*kind, name).build)
        assert plugins.summary(plugins.load(*kind, name)), f"{name} needs a docstring: it is what lists show"


@pytest.mark.parametrize(
    ("kind", "word"),
    list(zip([kind for kind, _ in KINDS], ["architecture", "rule", "family", "controller"], strict=True)),
)
def test_an_unknown_name_lists_the_known_ones(kind: tuple[str, str], word: str) -> None:
    with pytest.raises(UnknownNameError) as error:
        plugins.load(*kind, "nothing of the kind")
    assert f"no {word} called 'nothing of the kind'" in str(error.value)
    assert f"known: {', '.join(plugins.names(*kind))}" in str(error.value)


def test_a_slip_of_the_pen_is_guessed() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean gradient\?"):
        plugins.load(*RULES, "gradeint")


def test_a_module_without_a_build_is_no_plugin() -> None:
    with pytest.raises(UnknownNameError):
        plugins.load(*RULES, "losses")


def test_a_third_partys_is_found_and_loaded_only_when_asked_for(others: list[EntryPoint]) -> None:
    others.append(EntryPoint("mine", "no_such_module:part", "metanas.rules"))
    assert plugins.names(*RULES) == ["chain", "gradient", "mine", "prototype", "ridge", "symbolic"]
    assert "mine" not in plugins.names(*ARCHITECTURES)
    with pytest.raises(MetanasError, match=r"plug-in mine \(no_such_module:part, metanas.rules\)"):
        plugins.load(*RULES, "mine")


def test_what_a_part_is_may_stand_at_its_build() -> None:
    def build() -> None:
        """Builds bridges.

        And more.
        """

    assert plugins.summary(SimpleNamespace(__doc__=None, build=build)) == "Builds bridges."


def test_a_third_partys_cannot_take_a_name_of_ours(others: list[EntryPoint]) -> None:
    others.append(EntryPoint("ridge", "no_such_module:part", "metanas.rules"))
    assert plugins.load(*RULES, "ridge").__name__ == "search_spaces.rules.ridge"
    assert plugins.names(*RULES) == ["chain", "gradient", "prototype", "ridge", "symbolic"]
    assert "the name of one of ours" in plugins.broken(*RULES)["ridge"]


def test_a_third_partys_architecture_is_searched_and_built(
    others: list[EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    signature = Signature("regression", (3,), 1, 5)
    part = SimpleNamespace(suits=lambda s: s.outputs == 1, choices=mlp.choices, build=mlp.build)
    monkeypatch.setattr(mlp, "third_party", part, raising=False)
    others.append(EntryPoint("mine", "search_spaces.architectures.mlp:third_party", ARCHITECTURES[1]))
    space = catalogue.space("default", signature)
    assert space.flat["architecture"].values == ("mine", "mlp")
    assert "architecture.mine.depth" in space.flat
    values = {"depth": 1, "width_1": 16, "activation": "tanh", "norm": "none"}
    named = {f"architecture.mine.{name}": value for name, value in values.items()}
    rule = {"rule": "ridge", "rule.ridge.strength": 0.1}
    candidate = Candidate({"architecture": "mine", **named, **rule})
    assert catalogue.build(candidate, signature).network.size == 16
    assert program_of(candidate, signature).rule is not None  # what a learner is saved and loaded by
    del part.suits  # it need not say what it suits
    assert program_of(candidate, signature).rule is not None
    part.suits = lambda s: s.outputs == 1
    picky = Signature("regression", (3,), 2, 5)
    assert catalogue.space("default", picky).flat["architecture"].values == ("mlp",)
