"""Options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

STORE = "sqlite:///metanas.db"

store_option: Callable[..., Any] = click.option(
    "--store",
    default=STORE,
    show_default=True,
    envvar="METANAS_STORE",
    help="Database URL, or an SQLite file.",
)
json_option: Callable[..., Any] = click.option(
    "--json", "as_json", is_flag=True, help="Plain data on stdout, for machines."
)
HELP = {"help_option_names": ["-h", "--help"]}


def print_json(data: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(data))
