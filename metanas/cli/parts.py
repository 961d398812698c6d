"""``metanas family|architecture|rule|controller|space list``: what a search can be made of."""

from __future__ import annotations

import click
from rich.table import Table

from metanas.cli.options import HELP, json_option, print_json
from metanas.cli.summary import wide_console
from metanas.cli.wiring import CONTROLLERS, FAMILIES, quiet_optuna
from search_spaces import catalogue, plugins

_KINDS = {
    "family": FAMILIES,
    "architecture": catalogue.ARCHITECTURES,
    "rule": catalogue.RULES,
    "controller": CONTROLLERS,
}


def _found(kind: str) -> dict[str, str]:
    if kind == "space":
        return {name: plugins.summary(recipe) for name, recipe in catalogue.SPACES.items()}
    return {name: plugins.summary(plugins.load(*_KINDS[kind], name)) for name in plugins.names(*_KINDS[kind])}


def _group(kind: str) -> click.Group:
    plural = "families" if kind == "family" else f"{kind}s"

    @click.group(kind, context_settings=HELP, help=f"{plural.capitalize()} that a search can use.")
    def group() -> None: ...

    @group.command("list", context_settings=HELP, help=f"Names of the {plural}, and what each is.")
    @json_option
    def listing(as_json: bool) -> None:
        quiet_optuna()
        found = _found(kind)
        if as_json:
            print_json([{"name": name, "summary": summary} for name, summary in found.items()])
            return
        table = Table(kind, "what it is", pad_edge=False)
        for name, summary in found.items():
            table.add_row(name, summary)
        wide_console().print(table)

    return group


COMMANDS = {kind: _group(kind) for kind in (*_KINDS, "space")}
