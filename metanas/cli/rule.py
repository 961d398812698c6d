"""``metanas rule show|recipes``: a learning rule, or a published one as a point of a space."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

import click
from rich.table import Table

from metanas.cli.options import HELP, json_option, print_json
from metanas.cli.parts import COMMANDS
from metanas.cli.space import TASKS, tasks_of
from metanas.cli.summary import wide_console
from search_spaces import Signature, Space, catalogue, plugins
from search_spaces.errors import RuleError, UnknownNameError
from search_spaces.rules import canonical, points
from search_spaces.rules.expressions import read
from search_spaces.rules.formulas import formula
from search_spaces.rules.recipes import RECIPES, Recipe
from search_spaces.rules.steps import STEPS, Step

_NOWHERE = re.compile(r"\b(?:zoo|oo|nan|I)\b")  # sympy's words for what has no value
_NAME = re.compile(r"[\w.:-]*")


@COMMANDS["rule"].command("recipes", context_settings=HELP)
@json_option
def listing(as_json: bool) -> None:
    """Published methods that a search can begin with: metanas search … --start NAME."""
    if as_json:
        every: dict[str, Recipe | Step] = {**RECIPES, **STEPS}
        print_json([{"name": name, "title": r.title, "summary": r.words} for name, r in every.items()])
        return
    table = Table("recipe", "what is particular to it", pad_edge=False)
    for name, found in RECIPES.items():
        table.add_row(name, found.words)
    steps = Table(f"step, of --space {points.WRITTEN}", "what it is", pad_edge=False)
    for name, step in STEPS.items():
        steps.add_row(name, f"{step.formula}: {step.words}")
    wide_console().print(table, "", steps)


class _Formulas(click.Command):
    """Takes what begins with a minus for a formula, unless it is an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        minus = (i for i, word in enumerate(args) if word[:1] == "-" and word[:2] != "--" and word != "-h")
        if "--" not in args and (at := next(minus, None)) is not None:
            args = [*args[:at], *args[at + 1 :], "--", args[at]]
        return super().parse_args(ctx, args)


@COMMANDS["rule"].command("show", context_settings=HELP, cls=_Formulas)
@click.argument("name")
@tasks_of("regression; classification, for what suits no regression")
@json_option
def show(name: str, tasks: str | None, as_json: bool) -> None:
    """Words, formula, choices and citation of NAME: a rule, or one of `metanas rule recipes`.

    NAME may also be a formula, such as "m/sqrt(v + ε**2)": its shortest form, and its id.
    """
    told = _recipe(name, tasks) if name in RECIPES else _step(name) if name in STEPS else _of(name, tasks)
    if as_json:
        print_json(told)
        return
    click.echo(f"{told['title']}: {told['words']}")
    for title in ("formula", "choices", "citation", "differs"):
        _section(title, told[title])


def _recipe(name: str, tasks: str | None) -> dict[str, Any]:
    recipe: Recipe = RECIPES[name]
    signature = TASKS[tasks or recipe.kinds[0]]
    choices = recipe.choices(signature)
    where = ["default", points.WIDE] if _is_narrow(name, signature) else [points.WIDE]
    return {
        "name": name,
        "kind": "recipe",
        "title": recipe.title,
        "words": recipe.words,
        "formula": list(formula(choices)),
        "choices": choices,
        "citation": [recipe.citation],
        "differs": [recipe.differs] if recipe.differs else [],
        "spaces": where,
    }


def _step(name: str) -> dict[str, Any]:
    step = STEPS[name]
    told = {"name": name, "title": step.title, "words": step.words, "citation": [step.citation]}
    told["differs"] = [step.differs] if step.differs else []
    return {**_written(step.formula), **told, "choices": step.choices}


def _of(name: str, tasks: str | None) -> dict[str, Any]:
    if name in plugins.names(*catalogue.RULES):
        return _rule(name, tasks)
    try:
        return _written(name)
    except RuleError:
        if _NAME.fullmatch(name):  # no formula's word: what is like it is said
            return _rule(name, tasks)
        raise


def _written(text: str) -> dict[str, Any]:
    """A step of the rule ``symbolic``."""
    formula = read(text)
    if nothing := _NOWHERE.search(canonical.text(formula)):
        raise RuleError(f"{text} is {nothing[0]} wherever it is computed, which is no step")
    return {
        "name": canonical.identity(formula),
        "kind": "formula",
        "title": f"rule {canonical.identity(formula)}",
        "words": "a step in the words of the rule symbolic",
        "formula": [f"d = {canonical.text(formula)}"],
        "choices": [],
        "citation": [],
        "differs": [],
        "spaces": ["symbolic"],
    }


def _rule(name: str, tasks: str | None) -> dict[str, Any]:
    try:
        module = plugins.load(*catalogue.RULES, name)
    except UnknownNameError as error:
        raise UnknownNameError(f"{error}; methods and steps: metanas rule recipes") from None
    suits = getattr(module, "suits", lambda signature: True)
    signature = TASKS[tasks] if tasks else next((s for s in TASKS.values() if suits(s)), TASKS["regression"])
    doc = inspect.getdoc(module.build) or ""
    tree = Space(name, module.choices(signature)).describe().splitlines()[1:]
    return {
        "name": name,
        "kind": "rule",
        "title": name,
        "words": plugins.summary(module),
        "formula": list(getattr(module, "FORMULA", ())),
        "choices": [line.removeprefix("  ") for line in tree],
        "citation": _references(doc),
        "differs": [],
        "spaces": [space for space in catalogue.SPACES if name in catalogue.SPACES[space](signature)[1]],
    }


def _is_narrow(name: str, signature: Signature) -> bool:
    return points.narrowed(RECIPES[name].choices(signature)) is not None


def _references(doc: str) -> list[str]:
    """The lines of a docstring's last section, if that is one of references."""
    _, _, found = doc.partition("References:\n")
    return [re.sub(r"[*`]", "", line.strip()) for line in found.splitlines() if line.strip()]


def _section(title: str, lines: list[str] | Mapping[str, Any]) -> None:
    if not lines:
        return
    click.echo(f"\n{title.capitalize()}")
    for line in lines if isinstance(lines, list) else [f"{key}: {value}" for key, value in lines.items()]:
        click.echo(f"  {line}")
