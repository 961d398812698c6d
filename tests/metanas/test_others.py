"""Third parties' plug-ins: what is wrong with one is said, at once and with its name."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import torch
from optuna.samplers import BaseSampler
from torch import Tensor

from controllers.interface import CandidateSampler
from metanas.aims import Aims
from metanas.engine import Program
from metanas.learner import Manifest, load, save
from metanas.learner.building import program_of
from metanas.proposals import Proposals
from metanas.tasks.own import Own
from metanas.testing.families import support_and_query_share_nothing
from search_spaces import Candidate, Categorical, Real, Signature, Space, catalogue, plugins
from search_spaces.architectures import mlp
from search_spaces.errors import LearnerFileError, MetanasError
from search_spaces.record import REFUSED
from search_spaces.rules import ridge

Run = Callable[..., Any]
Installed = Callable[[str, object], None]
CURVES = Signature("regression", (1,), 1, 5)
CLASSES = Signature("classification", (2,), 5, 1)
SEARCH = ("search", "sinusoid", "--trials", "2", "--execution", "vmap")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Has a plug-in of some kind, called ``mine``, installed."""
    import tests.metanas.test_others as here

    points: list[EntryPoint] = []
    monkeypatch.setattr(plugins, "entry_points", lambda **wanted: EntryPoints(points).select(**wanted))

    def install(kind: str, part: object) -> None:
        monkeypatch.setattr(here, f"the_{kind}", part, raising=False)
        points.append(EntryPoint("mine", f"{__name__}:the_{kind}", f"metanas.{kind}"))

    return install


def rule(**changes: Any) -> SimpleNamespace:
    """Ridge regression, but for some of its functions; None: without that one."""
    functions = {"choices": ridge.choices, "build": ridge.build} | changes
    return SimpleNamespace(**{name: one for name, one in functions.items() if one is not None})


def raising(*given: object) -> Any:
    raise IndexError("list index out of range")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"choices": raising}, r"^rule mine, a plug-in, fails: IndexError: list index .*test_others.py line"),
        ({"choices": lambda: ()}, "^rule mine, a plug-in, fails: TypeError: .* takes 0 positional arguments"),
        ({"suits": raising}, "^rule mine, a plug-in, fails: IndexError"),
        ({"choices": lambda signature: Real("a", 0.0, 1.0)}, r"^rule mine: choices\(signature\) should be a"),
        ({"choices": None}, "^plug-in mine .* has no choices"),
        ({"choices": lambda s: (Categorical("a", (0.5, 1.0)),)}, "^rule mine: a lists real numbers"),
        ({"choices": lambda s: (Categorical("a", ((1, 2), (3, 4))),)}, "a: a value is text, a number"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_rule_is_named(wrong: dict[str, Any], says: str, installed: Installed) -> None:
    installed("rules", rule(**wrong))
    with pytest.raises(MetanasError, match=says):
        catalogue.space("default", CURVES)


def test_lists_show_the_others_where_one_is_broken(metanas: Run, installed: Installed) -> None:
    installed("rules", rule(build=None))
    ran = metanas("rule", "list", "--json")
    assert ran.code == 0
    found = {one["name"]: one["summary"] for one in ran.json}
    assert "has no build" in found["mine"]
    assert "ridge" in found


def test_several_of_a_module_are_had_by_name(installed: Installed) -> None:
    installed("rules", SimpleNamespace(PLUGINS={"mine": rule()}))
    assert "mine" in catalogue.space("default", CURVES).flat["rule"].values  # type: ignore[union-attr]


def test_a_start_that_looks_at_values_is_refused_before_the_search(
    metanas: Run, installed: Installed
) -> None:
    """A learner file could not be read, which came out at its end."""

    class Looking(mlp.Mlp):
        def init(self, generator: torch.Generator) -> dict[str, Tensor]:
            found = super().init(generator)
            return {name: value / max(1.0, float(value.norm())) for name, value in found.items()}

    def build(choices: Mapping[str, Any], signature: Signature) -> mlp.Mlp:
        good = mlp.build(choices, signature)
        return Looking(good.inputs, good.widths, good.activation, good.norm)

    installed("architectures", SimpleNamespace(choices=mlp.choices, build=build))
    ran = metanas(*SEARCH)
    assert ran.code == 2
    assert "on mine does not start with these numbers" in ran.err


class Proposing(CandidateSampler):
    """Proposes what it is given, or uniformly."""

    def __init__(self, space: Space, seed: int, changes: Mapping[str, Any] | None) -> None:
        super().__init__(space, seed)
        self._changes = changes

    def propose(self, study: optuna.Study) -> Candidate:
        if self._changes is None:
            raise IndexError("nothing left")
        drawn = dict(self.space.sample(self.rng)) | self._changes
        return Candidate({name: value for name, value in drawn.items() if value is not ...})


class Plain(optuna.samplers.RandomSampler):
    """Answers Optuna's questions one by one."""

    def sample_independent(self, *asked: Any) -> Any:
        return 7 if asked[2] == "outer.tasks" else super().sample_independent(*asked)


class After(optuna.samplers.RandomSampler):
    def after_trial(self, *told: Any) -> None:
        raise KeyError("mine")


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (raising, "controller mine, a plug-in, fails: IndexError"),
        (
            lambda space, seed: Proposing(space, seed, None),
            "controller mine, .*, fails: IndexError: no",
        ),
        (
            lambda space, seed: Proposing(space, seed, {"outer.learning_rate": 77.0}),
            "outer.learning_rate should be a number from .* got 77.0",
        ),
        (lambda space, seed: Proposing(space, seed, {"outer.tasks": 7}), "no candidate: .*7.* not in"),
        (lambda space, seed: Proposing(space, seed, {"outer.tasks": ...}), "proposed no outer.tasks"),
        (
            lambda space, seed: Plain(seed % 2**32),
            "the controller proposed .*: .*7.* not in",
        ),
        (lambda space, seed: After(seed % 2**32), "controller mine, a plug-in, fails: KeyError: 'mine'"),
    ],
)
def test_a_wrong_controller_is_named(
    build: Callable[[Space, int], BaseSampler], says: str, metanas: Run, quick: Any, installed: Installed
) -> None:
    installed("controllers", SimpleNamespace(build=build))
    ran = metanas(*quick, "--controller", "mine")
    assert ran.code == 2, ran.err
    assert re.search(says, ran.err), ran.err


def test_what_a_person_asks_for_that_is_no_candidate_is_refused_and_the_search_goes_on() -> None:
    space = catalogue.space("default", CURVES)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    study.enqueue_trial({"rule": "no such rule"})
    study.enqueue_trial({"outer.learning_rate": 77.0})
    with pytest.warns(UserWarning, match="out of range"):  # Optuna's
        trial, _ = Proposals(study, space, 0, Aims()).next([])
    assert trial.number >= 2
    refused = [t.user_attrs[REFUSED] for t in study.get_trials()[:2]]
    assert "no such rule" in refused[0]
    assert "outer.learning_rate should be" in refused[1]


def test_a_family_that_lacks_something_is_named(metanas: Run, installed: Installed) -> None:
    class Half:
        name, kind = "half", "regression"

    installed("families", SimpleNamespace(build=lambda source: Half()))
    ran = metanas("search", "mine", "--trials", "1")
    assert ran.code == 2
    assert "family mine has no augmentations, no check, no facts" in ran.err


@pytest.mark.long
def test_a_study_goes_on_as_it_was_begun_when_a_plugin_is_installed(
    metanas: Run, quick: Any, installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert metanas(*quick).code == 0
    conflicts = [({"outer.tasks": (64,)}, "too many")]
    installed("rules", rule(conflicts=lambda signature: conflicts))
    assert metanas(*quick).code == 0
    space = catalogue.space("default", CURVES)
    monkeypatch.setattr(plugins, "entry_points", lambda **wanted: EntryPoints(()))
    begun = catalogue.space("default", CURVES)
    assert "mine" in space.flat["rule"].values  # type: ignore[union-attr]
    assert catalogue.as_begun(space, space) == space
    assert catalogue.as_begun(space, begun) == begun


@pytest.mark.long
def test_a_study_with_a_plugin_that_is_gone_says_so(
    metanas: Run, quick: Any, installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("rules", rule())
    assert metanas(*quick).code == 0
    monkeypatch.setattr(plugins, "entry_points", lambda **wanted: EntryPoints(()))
    ran = metanas(*quick)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "rule mine, of a package that is not installed now" in ran.err


@pytest.mark.long
def test_so_does_a_search_over_several_families(metanas: Run, quick: Any, installed: Installed) -> None:
    both = (*quick[:2], "harmonics", *quick[2:])
    assert metanas(*both).code == 0
    installed("rules", rule())
    ran = metanas(*both)
    assert (ran.code, "other settings" in ran.err) == (0, False), ran.err


def test_what_is_a_third_partys_can_be_copied(installed: Installed) -> None:
    installed("rules", rule())
    one = plugins.load(*catalogue.RULES, "mine")
    assert copy.deepcopy(copy.copy(one)).choices(CURVES) == ridge.choices(CURVES)


def test_a_learner_of_a_plugin_that_is_not_here_says_what_to_do(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed("rules", rule())
    space = catalogue.space("default", CURVES)
    (candidate,) = catalogue.of_others(space)
    program = program_of(candidate, CURVES)
    meta, buffers = Program.of(program.rule).init(0)
    provenance = {"versions": {"metanas": "1", "snapshot": "ab", "mine-rules": "1.2"}}
    known: dict[str, Any] = {"kind": "array"}
    made = Manifest(candidate, CURVES, known, {"ways": 1, "shots": 5, "queries": 5}, provenance=provenance)
    save(tmp_path / "its.metanas", made, meta, buffers)
    monkeypatch.setattr(plugins, "entry_points", lambda **wanted: EntryPoints(()))
    with pytest.raises(LearnerFileError, match=r"no rule called 'mine' .* install .*was mine-rules 1.2\)$"):
        load(tmp_path / "its.metanas")


def test_a_rule_may_be_one_of_a_fixed_number_of_classes(installed: Installed) -> None:
    def conflicts(signature: Signature) -> Any:
        return (({"outer.ways": (10, 20, 40)}, "one learned row a class"),)

    installed("rules", rule(conflicts=conflicts))
    space = catalogue.space("default", CLASSES)
    legal = {"rule": "mine", "outer.ways": 5}
    assert space.objection(legal) is None
    assert space.objection(legal | {"outer.ways": 10}) == "one learned row a class"
    assert space.objection({"rule": "ridge", "outer.ways": 10}) is None


def test_families_of_few_values_may_have_examples_that_are_alike() -> None:
    """As of doses that were given several times; of others a row that comes again was drawn again."""

    class Doses:
        def sample(self, n_tasks: int, examples: int, generator: torch.Generator) -> Any:
            x = torch.randint(3, (n_tasks, examples, 1), generator=generator).float()
            return x, x * torch.randint(1, 3, (n_tasks, 1, 1), generator=generator)

    class Again:
        def sample(self, n_tasks: int, examples: int, generator: torch.Generator) -> Any:
            x = torch.rand(n_tasks, 20, 1, generator=generator)
            at = torch.randint(20, (n_tasks, examples, 1), generator=generator)
            return x.gather(1, at), x.gather(1, at)

    support_and_query_share_nothing(Own("here:Doses", Doses()))
    with pytest.raises(AssertionError, match="comes twice"):
        support_and_query_share_nothing(Own("here:Again", Again()))
