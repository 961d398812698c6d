"""``metanas rule show|recipes``, and searches that begin at recipes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from metanas.aims import Aims
from metanas.cli import starting
from metanas.cli.joint_wiring import open_joint
from metanas.cli.wiring import Request, open_search
from metanas.proposals import Proposals
from metanas.report.page import _rule
from metanas.tasks.family import Source
from search_spaces import Candidate, Signature, catalogue
from search_spaces.rules import canonical, ridge
from search_spaces.rules.expressions import Program, read
from search_spaces.rules.formulas import formula
from search_spaces.rules.recipes import RECIPES
from search_spaces.rules.steps import STEPS
from storage import Store

Run = Callable[..., Any]
CURVES = Signature("regression", (1,), 1, 5)


def test_recipes_are_listed(metanas: Run) -> None:
    ran = metanas("rule", "recipes", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert [recipe["name"] for recipe in ran.json] == [*RECIPES, *STEPS]
    shown = metanas("rule", "recipes").out
    assert all(recipe["name"] in shown and recipe["summary"] in shown for recipe in ran.json)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_shows_words_formula_choices_and_citation(metanas: Run, name: str) -> None:
    found = metanas("rule", "show", name, "--json").json
    assert (found["name"], found["kind"], found["title"]) == (name, "recipe", RECIPES[name].title)
    assert "gₖ = ∇L(θₖ; support)" in found["formula"]
    assert found["choices"]["steps"] >= 1
    assert found["citation"][0].partition("https://")[2]
    shown = metanas("rule", "show", name).out
    assert shown.startswith(f"{found['title']}: {found['words']}\n")
    for line in (*found["formula"], *found["citation"], *(f"{k}: {v}" for k, v in found["choices"].items())):
        assert f"\n  {line}\n" in shown


def test_formulas_tell_methods_apart(metanas: Run) -> None:
    formulas = {
        name: tuple(metanas("rule", "show", name, "--json").json["formula"])
        for name in RECIPES
        if "classification" in RECIPES[name].kinds and "regression" in RECIPES[name].kinds
    }
    assert len(set(formulas.values())) == len(formulas)
    assert "M = σ(ζ + noise)" in " ".join(formulas["mt-net"])
    assert "a code of the task" in formulas["cavia"][0]
    images = metanas("rule", "show", "maml", "--tasks", "images", "--json").json
    assert "α = 0.4" in " ".join(images["formula"])


@pytest.mark.parametrize("name", ["chain", "gradient", "prototype", "ridge", "symbolic"])
def test_a_rule_shows_the_same_of_itself(metanas: Run, name: str) -> None:
    found = metanas("rule", "show", name, "--json").json
    assert (found["kind"], found["name"]) == ("rule", name)
    assert all(found[part] for part in ("words", "formula", "choices", "citation", "spaces"))
    assert ("default" in found["spaces"]) == (name not in ("chain", "symbolic"))


def test_what_is_not_there_is_said_in_one_line(metanas: Run) -> None:
    ran = metanas("rule", "show", "mamml")
    assert ran.code == 2
    known = "chain, gradient, prototype, ridge, symbolic"
    more = "methods and steps: metanas rule recipes"
    assert ran.err == f"metanas: no rule called 'mamml' (known: {known}); {more}\n"
    ran = metanas("rule", "show", "proto-maml", "--tasks", "regression")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "is for classification" in ran.err


@pytest.mark.parametrize("formula", ["m", "g-m", "g*v**(-3/2)", "(v + ε**2)**(-3/2)"])
def test_what_is_no_name_is_a_formula(metanas: Run, formula: str) -> None:
    """Those that are written like a name, too, and those that metanas prints itself."""
    found = metanas("rule", "show", formula, "--json").json
    assert found["kind"] == "formula"
    (shown,) = found["formula"]
    again = metanas("rule", "show", shown.removeprefix("d = "), "--json").json
    assert again["name"] == found["name"]


def test_a_search_begins_with_the_recipes(metanas: Run, quick: tuple[object, ...], tmp_path: Path) -> None:
    words = ["gradient-methods" if word == "closed-form" else word for word in quick]
    ran = metanas(*words, "--start", "maml,meta-sgd", "--seed", 5)
    assert ran.code == 0, ran.err
    with Store.open(f"sqlite:///{tmp_path}/metanas.db") as memory:
        first, second = memory.records("sinusoid")[:2]
    rules = [record.candidate.part("rule.chain") for record in (first, second)]
    assert rules == [RECIPES[name].choices(CURVES) for name in ("maml", "meta-sgd")]
    assert first.candidate["architecture.mlp.width_1"] == 40
    assert "It is meta-sgd, which --start asked for" in metanas("why", "sinusoid", 1).out


def test_a_search_for_a_formula_begins_with_known_steps(
    metanas: Run, quick: tuple[object, ...], tmp_path: Path
) -> None:
    words = ["symbolic" if word == "closed-form" else word for word in quick]
    ran = metanas(*words, "--start", "adam", "--seed", 5)
    assert ran.code == 0, ran.err
    assert metanas("rule", "show", "adam", "--json").json["formula"][0] in metanas("show", "sinusoid", 0).out


def test_the_same_command_on_the_same_study_begins_with_them_once() -> None:
    space, study = catalogue.space("default", CURVES), optuna.create_study()
    for _ in range(2):
        starting.enqueue(study, "maml, anil", space, CURVES, seed=3)
    assert [trial.user_attrs["recipe"] for trial in study.trials] == ["maml", "anil"]
    assert space.suggest(study.ask())["rule.gradient.scope"] == "all"


def test_one_that_was_interrupted_is_tried_when_the_command_goes_on() -> None:
    space, study = catalogue.space("default", CURVES), optuna.create_study()
    starting.enqueue(study, "maml", space, CURVES, seed=3)
    trial = study.ask()
    first = space.suggest(trial)
    trial.set_user_attr("interrupted", True)
    study.tell(trial, state=TrialState.FAIL)
    starting.enqueue(study, "maml", space, CURVES, seed=3)
    proposals = Proposals(study, space, 0, Aims())
    again, candidate = proposals.next([])
    assert (again.number, candidate) == (1, first)
    assert json.loads(proposals.why(again)) == {"by": "search", "how": "recipe", "of": "maml"}
    starting.enqueue(study, "maml", space, CURVES, seed=3)
    assert len(study.trials) == 2


def test_one_that_another_process_asked_for_too_is_tried_after_an_interruption() -> None:
    space, study = catalogue.space("default", CURVES), optuna.create_study()
    starting.enqueue(study, "maml", space, CURVES, seed=3)
    (waiting,) = study.trials
    study.add_trial(waiting)  # as the other process does at the same moment
    proposals = Proposals(study, space, 0, Aims())
    first, candidate = proposals.next([])
    proposals.next([])  # the other's is refused
    assert "illegal" in study.trials[1].user_attrs
    first.set_user_attr("interrupted", True)
    study.tell(first, state=TrialState.FAIL)
    starting.enqueue(study, "maml", space, CURVES, seed=3)
    again, found = proposals.next([])
    assert again.user_attrs["recipe"] == "maml"
    assert found == candidate


def test_a_trial_that_another_machine_ended_is_not_the_end_of_a_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It held this process for dead, while the controller thought."""
    space, study = catalogue.space("default", CURVES), optuna.create_study()
    proposals, ask, asked = Proposals(study, space, 0, Aims()), study.ask, list[int]()

    def overtaken() -> optuna.Trial:
        trial = ask()
        asked.append(trial.number)
        if len(asked) == 1:
            study.tell(trial.number, state=TrialState.FAIL)
        return trial

    monkeypatch.setattr(study, "ask", overtaken)
    trial, candidate = proposals.next([])
    assert trial.number == 1
    asked.clear()
    assert proposals.again(candidate, 1)[1] == candidate
    assert len(asked) == 2


def test_a_report_tells_a_composed_rule_at_its_settings() -> None:
    settings = {f"rule.chain.{key}": value for key, value in RECIPES["meta-sgd"].choices(CURVES).items()}
    told = _rule(Candidate({"rule": "chain", **settings}))
    assert told["formula"] == formula(RECIPES["meta-sgd"].choices(CURVES))
    assert _rule(Candidate({"rule": "ridge"}))["formula"] == ridge.FORMULA


@pytest.mark.long
def test_a_trial_shows_its_formula_and_what_was_learned(metanas: Run, quick: tuple[object, ...]) -> None:
    words = ["symbolic" if word == "closed-form" else word for word in quick]
    assert metanas(*words, "--seed", 5).code == 0
    found = metanas("show", "sinusoid", 0, "--json").json
    (step,) = [line for line in found["formula"] if line.startswith("d = ")]
    program = Program.of(Candidate(found["candidate"]).part("rule.symbolic"))
    assert canonical.identity(read(step.removeprefix("d = "))) == canonical.identity(program)
    assert step.removeprefix("d = ") in found["rule"]
    assert found["learned"]["rate"] == pytest.approx(found["candidate"]["rule.symbolic.rate"], rel=0.2)
    shown = metanas("show", "sinusoid", 0).out
    assert f"\n  {step}\n" in shown
    assert f"\n  learned: α {found['learned']['rate']:.4g}" in shown


def test_a_formula_is_shown_at_its_shortest_with_its_id(metanas: Run) -> None:
    one, other = (metanas("rule", "show", text, "--json").json for text in ("c1*g + m*c1", "c2*(m + g)"))
    assert one["formula"] == ["d = c1*(g + m)"]
    assert one["name"] == other["name"] != metanas("rule", "show", "c1*g - c1*m", "--json").json["name"]
    ran = metanas("rule", "show", "g + open('x')")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "open('x')" in ran.err


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_search_over_several_families_begins_with_them(tmp_path: Path) -> None:
    """The families' own studies follow that over all of them."""
    both = of_both(tmp_path)
    search, memory, _ = open_joint("both", both, lambda moment: None, lambda note: None)
    with memory:
        assert [trial.user_attrs["recipe"] for trial in search.study.trials] == ["anil"]
        assert search.space.suggest(search.study.ask())["rule.gradient.scope"] == "head"
        assert [len(memory.records(f"both/{name}")) for name in both] == [0, 0]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("many", [False, True], ids=["one family", "several"])
def test_a_start_that_is_over_a_limit_is_said_once(tmp_path: Path, many: bool) -> None:
    """MAML's network has 1,761 parameters; Meta-SGD as many step sizes beside them."""
    told: list[str] = []
    both = of_both(tmp_path, space="gradient-methods", start="maml, meta-sgd,meta-sgd", max_params=2000)
    if many:
        _, memory, _ = open_joint("both", both, lambda moment: None, told.append)
    else:
        _, memory, _ = open_search(both["sinusoid"], lambda moment: None, told.append)
    memory.close()
    assert told == ["--start meta-sgd is left out: 3,522 parameters, over --max-params 2000"]


def of_both(folder: Path, **options: Any) -> dict[str, Request]:
    """Requests for sinusoid and harmonics that begin with ANIL."""
    request = Request(
        family="sinusoid",
        source=Source(),
        study="both",
        store=f"sqlite:///{folder}/store.db",
        seed=0,
        controller="random",
        space="default",
        architecture=(),
        ways=None,
        shots=None,
        queries=None,
        device="cpu",
        execution="vmap",
        precision="auto",
        rung=3,
        start="anil",
    )
    return {name: replace(request, family=name, **options) for name in ("sinusoid", "harmonics")}


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("t-net", "recipe t-net is no point of space default: take --space gradient-methods"),
        ("adam", "recipe adam is no point of space default: take --space symbolic"),
        ("maml,tnet", "no recipe called 'tnet' (known: maml, "),
        ("metaplastic", "hypentropy, metaplasticity)"),
    ],
)
def test_a_start_outside_the_space_makes_no_store(
    metanas: Run, tmp_path: Path, start: str, words: str
) -> None:
    ran = metanas("search", "sinusoid", "--trials", 1, "--start", start)
    assert ran.code == 2
    assert words in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "metanas.db").exists()


def test_a_formula_that_is_printed_is_read_back_and_none_is_refused(metanas: Run) -> None:
    shown = metanas("rule", "show", "metaplasticity", "--json").json
    (line,) = (text for text in shown["formula"] if text.startswith("d = "))
    assert line.startswith("d = -"), "with its minus"
    again = metanas("rule", "show", line.removeprefix("d = "), "--json")
    assert (again.code, again.err) == (0, "")
    for nothing in ("g/0", "0/0", "sqrt(-1)*g", "g*1e400"):
        ran = metanas("rule", "show", nothing)
        assert (ran.code, ran.err.count("\n")) == (2, 1), nothing
