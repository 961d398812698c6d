"""``metanas export``: a trial as a learner file."""

from __future__ import annotations

from pathlib import Path

import click

from metanas.cli.files import check_writable, output_path
from metanas.cli.options import HELP, architecture_option, json_option, print_json, store_option
from metanas.cli.settings import refuse_several
from metanas.saving import export_trial
from storage import Store


@click.command(context_settings=HELP)
@click.argument("study")
@click.option("--trial", type=int, help="Number of the trial. [default: the best by validation]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write. [default: STUDY.metanas, with --trial STUDY_N.metanas]",
)
@architecture_option
@store_option
@json_option
def command(
    study: str,
    trial: int | None,
    output: Path | None,
    architectures: tuple[str, ...],
    store: str,
    as_json: bool,
) -> None:
    """Write a trial of STUDY as a learner file."""
    # the search's own file has the winner's test score and its verdict
    path = output or output_path(study if trial is None else f"{study}_{trial}", ".metanas")
    check_writable(path)
    with Store.open(store, create=False) as memory:
        refuse_several(study, memory.settings(study), "export")
        record = export_trial(memory, study, trial, path, architectures)
    if as_json:
        print_json({"study": study, "trial": record.number, "saved": str(path)})
    else:
        click.echo(f"wrote {path}: trial {record.number} of study {study}")
