"""``metanas adapt``: a new task from a few examples, with a learner file."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metanas.cli.options import HELP, architecture_option, json_option, print_json
from search_spaces.errors import DataError

if TYPE_CHECKING:
    from metanas.learner.tables import Answers

_SHOWN = 20  # rows of the table that a person sees
_PATH = click.Path(path_type=Path)


@click.command(context_settings=HELP)
@click.argument("file", type=_PATH)
@click.option(
    "--support",
    required=True,
    type=_PATH,
    help="Labelled examples: a CSV file, or a folder of class folders.",
)
@click.option(
    "--query", required=True, type=_PATH, help="What to predict: a CSV file, or an image or a folder of them."
)
@click.option("-o", "--output", type=_PATH, help="CSV file for the predictions. [default: they are printed]")
@click.option("--device", default="cpu", show_default=True, help="auto, cpu, cuda or cuda:n.")
@architecture_option
@json_option
def command(
    file: Path,
    support: Path,
    query: Path,
    output: Path | None,
    device: str,
    architectures: tuple[str, ...],
    as_json: bool,
) -> None:
    """Learn a new task from a few labelled examples, with the learner in FILE, and predict.

    Columns are found by the names that the learner was trained with; failing that, by their order, the
    last column of the support being the target, and what was taken for what is said. If the query has
    the targets too, the predictions are scored.

    \b
      metanas adapt sinusoid.metanas --support s.csv --query q.csv -o predictions.csv
      metanas adapt letters.metanas --support letters/ --query unknown/ --json
    """  # noqa: D301  # \b is the mark for lines that click must not wrap
    _check_output(output, (file, support, query))
    answers = _answers(file, support, query, device, architectures)
    for note in answers.notes:
        click.echo(f"note: {note}", err=True)
    if output is not None:
        _write(output, answers)
        click.echo(f"wrote {output}: {len(answers.rows)} predictions", err=True)
    if as_json:
        print_json(answers.to_dict())
    elif output is None:
        _show(answers)
    if answers.score:
        score = answers.score
        click.echo(f"{score['metric']} {score['value']:.5g} on {score['rows']} rows of the query", err=True)


def _answers(file: Path, support: Path, query: Path, device: str, architectures: tuple[str, ...]) -> Answers:
    from metanas.learner import load
    from metanas.learner.folders import adapt_folders
    from metanas.learner.tables import adapt_csv

    learner = load(file, device, architectures)
    images = learner.manifest.preprocessing["kind"] == "image"
    return (adapt_folders if images else adapt_csv)(learner, support, query)


def _check_output(output: Path | None, inputs: tuple[Path, ...]) -> None:
    """Says before the work what would go wrong after it."""
    if output is None:
        return
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise DataError(f"cannot write {output}: name a file in a folder that is there")
    if any(path.exists() and output.exists() and path.samefile(output) for path in inputs):
        raise DataError(f"{output} is one of the inputs: choose another file for the predictions")


def _write(output: Path, answers: Answers) -> None:
    from metanas.atomic import replacing

    text = io.StringIO()
    answers.write_csv(text)
    try:
        with replacing(output) as handle:
            handle.write(text.getvalue().encode("utf-8", "replace"))
    except OSError as error:
        raise DataError(f"cannot write {output}: {error.strerror}") from None


def _show(answers: Answers) -> None:
    """A short table for a person, the whole of it as CSV for a machine."""
    if not _is_terminal():
        answers.write_csv(sys.stdout)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*answers.columns, pad_edge=False)
    for row in answers.rows[:_SHOWN]:
        table.add_row(*map(str, row))
    Console(markup=False, emoji=False).print(table)
    if len(answers.rows) > _SHOWN:
        click.echo(f"and {len(answers.rows) - _SHOWN} more; -o FILE writes them all", err=True)


def _is_terminal() -> bool:
    return sys.stdout.isatty()
