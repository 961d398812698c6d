"""``metanas report``: a study as one page."""

from __future__ import annotations

import json
from pathlib import Path

import click

from metanas import __version__
from metanas.cli.options import HELP, store_option
from metanas.cli.settings import refuse_several
from metanas.cli.wiring import check_writable, output_path, quiet_optuna
from metanas.judging import BY_SHOTS
from metanas.learner.atomic import replacing
from metanas.report.page import Study, page
from metanas.saving import PICTURE
from search_spaces.errors import StoreError
from storage import Store


@click.command(context_settings=HELP)
@click.argument("study")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The page. [default: STUDY.html]")
@store_option
def command(study: str, output: Path | None, store: str) -> None:
    """All about STUDY as one page that needs nothing else: verdict, progress, winner, baselines, origin."""
    quiet_optuna()
    path = output or output_path(study, ".html")
    check_writable(path)
    with Store.open(store, create=False) as memory:
        found = _read(memory, study)
    with replacing(path) as file:
        file.write(page(found, __version__).encode())
    click.echo(f"Saved {path}")


def _read(memory: Store, name: str) -> Study:
    settings, results = memory.settings(name), memory.results(name)
    refuse_several(name, settings, "report")
    if not results:
        family = settings["family"]["name"]
        raise StoreError(
            f"study {name!r} has no verdict yet: no run has ended; metanas search {family} … --study goes on"
        )
    told = {event.what: event.why for event in memory.events(name)}  # the last of each
    picture = memory.get(told[PICTURE]) if PICTURE in told else None
    shots = json.loads(told.get(BY_SHOTS, "[]"))
    return Study(name, settings, memory.records(name), results, picture, shots)
