"""``metanas study``: the studies of a store."""

from __future__ import annotations

import click
from rich.table import Table

from metanas.cli.options import HELP, json_option, print_json, store_option
from metanas.cli.quiet import quiet_optuna
from metanas.cli.summary import wide_console
from storage import Store, StudySummary


@click.group(context_settings=HELP)
def command() -> None:
    """Studies of a store."""


@command.command("list", context_settings=HELP)
@store_option
@json_option
def list_command(store: str, as_json: bool) -> None:
    """Every study of the store, with its trials by state."""
    with Store.open(store, create=False) as memory:
        studies = memory.studies()
    if as_json:
        print_json([_plain(study) for study in studies])
        return
    table = Table(pad_edge=False)
    for column in ("study", "family", "complete", "pruned", "failed", "running", "made"):
        table.add_column(column)
    for study in studies:
        plain = _plain(study)
        table.add_row(
            *(str(plain[key]) for key in ("study", "family", "complete", "pruned", "failed", "running")),
            f"{study.created.astimezone():%Y-%m-%d %H:%M}",
        )
    wide_console().print(table)


def _plain(study: StudySummary) -> dict[str, object]:
    counts = {state: getattr(study, state) for state in ("complete", "pruned", "failed", "running")}
    family = study.settings.get("family", {}).get("name", "")
    return {"study": study.name, "family": family, **counts, "created": study.created.isoformat()}


@command.command("import", context_settings=HELP)
@click.argument("study")
@click.argument("source")
@click.option("--name", help="Of the study in SOURCE. [default: the only one there]")
@store_option
def import_command(study: str, source: str, name: str | None, store: str) -> None:
    """Have STUDY learn from the trials of another Optuna study, at the database SOURCE.

    Taken are its complete trials that are points of STUDY's space, under the same names of parameters:
    controllers propose from them too. They have no weights of ours, so none of them can win.
    """
    from metanas.cli.importing import import_trials  # loads torch and more, for this alone

    quiet_optuna()
    with Store.open(store, create=False) as memory:
        taken, left = import_trials(memory, study, source, name)
    plural = "s" if taken != 1 else ""
    click.echo(f"{taken} trial{plural} taken into study {study}, {left} left out: no points of its space")
