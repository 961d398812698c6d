"""Options that several commands share."""

from __future__ import annotations

import json
import math
import os
import shlex
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import click

from search_spaces.errors import StoreError

STORE = "sqlite:///metanas.db"

store_option: Callable[..., Any] = click.option(
    "--store",
    default=STORE,
    show_default=True,
    envvar="METANAS_STORE",
    show_envvar=True,
    help="Database URL, or an SQLite file.",
)
json_option: Callable[..., Any] = click.option(
    "--json", "as_json", is_flag=True, help="Plain data on stdout, for machines."
)
architecture_option: Callable[..., Any] = click.option(
    "--architecture",
    "architectures",
    multiple=True,
    help="nni:module:Class, the model space of a learner; only what is named here is imported.",
)
_DATA: tuple[Callable[..., Any], ...] = (
    click.option("--task", "task_column", help="Column of a table that tells its tasks apart."),
    click.option("--target", help="Column of a table to predict."),
    click.option(
        "--features",
        help="Columns to learn from, with commas between, in quotes those that have one. "
        "[default: all others]",
    ),
    click.option("--group", help="Column of what tasks belong to: no group is in two splits."),
    click.option(
        "--kind",
        type=click.Choice(["regression", "classification"]),
        help="Of a table's tasks. [default: by the target's type]",
    ),
    click.option(
        "--test-data", type=click.Path(path_type=Path), help="Images whose classes are all test classes."
    ),
    click.option(
        "--splits",
        type=click.Path(path_type=Path),
        help="File that says which class or task is in which split.",
    ),
    click.option(
        "--image-size", type=click.IntRange(4, 512), default=28, show_default=True, help="Pixels a side."
    ),
)


def data_options(command: Any) -> Any:
    """Options that say what is in a family's data, and how it is divided."""
    return reduce(lambda wrapped, option: option(wrapped), reversed(_DATA), command)


HELP = {"help_option_names": ["-h", "--help"]}


def store_words(shown: str) -> str:
    """The option of a command that is to find a store, as messages name it; nothing for the usual one."""
    return "" if shown == _usual() else f" --store {shlex.quote(shown)}"


def going_on(study: str, shown: str) -> str:
    """How a search that was stopped is gone on with; what it was of, its user knows, and no store does."""
    return f"give its command again, metanas search … --study {shlex.quote(study)}{store_words(shown)}"


def _usual() -> str | None:
    """The store that is meant where none is named, as messages name it; None: there is no such store."""
    from storage import database  # loads SQLAlchemy

    try:
        return database.shown(database.parse(os.environ.get("METANAS_STORE") or STORE))
    except StoreError:
        return None


def print_json(data: Any) -> None:
    """One JSON document on stdout, in one line; numbers that JSON does not have are null."""
    click.echo(json.dumps(_finite(data), allow_nan=False))


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, (list, tuple)) else data
