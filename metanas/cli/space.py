"""``metanas space describe|check|explain|shrink``: what a space holds, and whether a file of yours is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from metanas.cli.explain import explain, shrink
from metanas.cli.options import HELP, json_option, print_json
from metanas.cli.parts import COMMANDS
from search_spaces import Signature, Space, catalogue, named

TASKS = {
    "regression": Signature("regression", (1,), 1, 5),
    "classification": Signature("classification", (8,), 5, 1),
    "images": Signature("classification", (1, 28, 28), 5, 1),
}

COMMANDS["space"].add_command(explain)
COMMANDS["space"].add_command(shrink)


def tasks_of(usual: str, default: str | None = None) -> Callable[..., Any]:
    """The option ``--tasks``; ``usual`` says what is taken without it."""
    return click.option(
        "--tasks",
        type=click.Choice(list(TASKS)),
        default=default,
        help=f"What it is for: there is only what suits the tasks. [default: {usual}]",
    )


tasks_option = tasks_of("regression", "regression")

own_option = click.option(
    "--architecture",
    "architectures",
    multiple=True,
    help="As of metanas search: these alone, model spaces too (nni:module:Class).",
)


@COMMANDS["space"].command("describe", context_settings=HELP)
@click.argument("name")
@tasks_option
@own_option
@json_option
def describe(name: str, tasks: str, as_json: bool, architectures: tuple[str, ...]) -> None:
    """Every choice of space NAME, or of a .toml file, as a tree."""
    space = _space(name, tasks, architectures)
    if as_json:
        print_json(json.loads(space.to_json()))
    else:
        click.echo(space.describe())


@COMMANDS["space"].command("check", context_settings=HELP)
@click.argument("name")
@tasks_option
@own_option
@json_option
def check(name: str, tasks: str, architectures: tuple[str, ...], as_json: bool) -> None:
    """Whether space NAME, or a .toml file, can be searched: draws candidates and builds them.

    \b
      from = "default"
      rules = ["prototype", "ridge"]
      [architecture.mlp]
      depth = [1, 2]
      [outer]
      learning_rate = { low = 1e-4, high = 1e-2 }
    """  # noqa: D301  # \b is the mark for lines that click must not wrap
    space = _space(name, tasks, architectures)
    named.check(space, TASKS[tasks], architectures)
    built = catalogue.check(space, TASKS[tasks], architectures)
    if as_json:
        print_json({"space": name, "choices": len(space.flat), "built": built})
        return
    click.echo(f"{name} is fine: {space.describe().partition(chr(10))[0]}, of which {built} were built")


def _space(name: str, tasks: str, architectures: tuple[str, ...]) -> Space:
    augmentations = ("none", "rotations", "rotations+shifts") if tasks == "images" else ("none",)
    return catalogue.space(name, TASKS[tasks], architectures=architectures, augmentations=augmentations)
