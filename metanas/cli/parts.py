"""``metanas family|architecture|rule|controller|space list``: what a search can be made of.

``metanas family check``: whether a family of the user's own can be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from metanas.cli.asking import Asked, source
from metanas.cli.memory import CONTROLLERS
from metanas.cli.options import HELP, data_options, json_option, print_json
from metanas.cli.quiet import quiet_optuna
from metanas.cli.summary import wide_console
from metanas.cli.wiring import FAMILIES, load_family
from metanas.tasks.family import Family, silent
from metanas.testing.families import FAMILY_CHECKS, Check
from search_spaces import catalogue, plugins
from search_spaces.errors import DataError, MetanasError

_KINDS = {
    "family": FAMILIES,
    "architecture": catalogue.ARCHITECTURES,
    "rule": catalogue.RULES,
    "controller": CONTROLLERS,
}


def _found(kind: str) -> dict[str, str]:
    if kind == "space":
        return {name: plugins.summary(recipe) for name, recipe in catalogue.SPACES.items()}
    return {name: _summary(kind, name) for name in plugins.names(*_KINDS[kind])}


def _summary(kind: str, name: str) -> str:
    try:
        return plugins.summary(plugins.load(*_KINDS[kind], name))
    except MetanasError as error:  # the others can be used
        return str(error)


def _group(kind: str) -> click.Group:
    plural = "families" if kind == "family" else f"{kind}s"

    @click.group(kind, context_settings=HELP, help=f"{plural.capitalize()} that a search can use.")
    def group() -> None: ...

    @group.command("list", context_settings=HELP, help=f"Names of the {plural}, and what each is.")
    @json_option
    def listing(as_json: bool) -> None:
        print_parts(kind, as_json)

    return group


def print_parts(kind: str, as_json: bool) -> None:
    """Prints what there is of a kind of part."""
    quiet_optuna()
    found = _found(kind)
    if as_json:
        print_json([{"name": name, "summary": summary} for name, summary in found.items()])
        return
    table = Table(kind, "what it is", pad_edge=False)
    for name, summary in found.items():
        table.add_row(name, summary)
    wide_console().print(table)


COMMANDS = {kind: _group(kind) for kind in (*_KINDS, "space")}


@COMMANDS["family"].command("check", context_settings=HELP)
@click.argument("name")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@data_options
@json_option
def check(name: str, path: Path | None, as_json: bool, **options: Any) -> None:
    """Whether family NAME, as module:Class one of your own, keeps to what a search relies on."""
    family = load_family(name, source(Asked(name, name, path), {"shots": None} | options, silent))
    found = []
    for each in FAMILY_CHECKS:
        why = _objection(each, family)
        found.append({"check": plugins.summary(each), "ok": why is None, "why": why})
        if not as_json:
            click.echo(f"{'ok' if why is None else 'NO':3} {plugins.summary(each)}")
        if why is not None and not as_json:
            click.echo(f"    {why}")
    if as_json:
        print_json(found)
    if failed := sum(not one["ok"] for one in found):
        raise DataError(f"{name} fails {failed} of {len(FAMILY_CHECKS)} checks")


def _objection(check: Check, family: Family) -> str | None:
    try:
        check(family)
    except AssertionError as error:
        return str(error).partition("\n")[0] or "the check failed"
    except MetanasError as error:
        return str(error)
    except Exception as error:  # what their code raises is theirs to mend, and the other checks run, too
        return f"{type(error).__name__}: {error}".partition("\n")[0]
    return None
