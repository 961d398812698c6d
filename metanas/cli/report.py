"""``metanas report``: a study as one page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from metanas import __version__
from metanas.atomic import replacing
from metanas.cli.files import check_writable, output_path
from metanas.cli.options import HELP, going_on, json_option, print_json, store_option
from metanas.cli.quiet import quiet_optuna
from metanas.cli.settings import refuse_several
from metanas.dependence import BY_SHOTS, BY_STEPS
from metanas.report.facts import Study, facts
from metanas.report.page import page
from metanas.saving import TASKS
from search_spaces.errors import StoreError
from storage import Event, Store
from storage.studies import RESULT


@click.command(context_settings=HELP)
@click.argument("study")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The page. [default: STUDY.html]")
@store_option
@json_option
def command(study: str, output: Path | None, store: str, as_json: bool) -> None:
    """All about STUDY as one page that needs nothing else: verdict, progress, winner, baselines, origin.

    With --json its figures are printed, and a page is written only where -o says so.
    """
    quiet_optuna()
    path = None if as_json and output is None else output or output_path(study, ".html")
    if path is not None:
        check_writable(path)
    with Store.open(store, create=False) as memory:
        found = _read(memory, study)
    if path is not None:
        with replacing(path) as file:
            file.write(page(found, __version__).encode())
    if as_json:
        print_json(facts(found))
    else:
        click.echo(f"Saved {path}")


def _read(memory: Store, name: str) -> Study:
    settings, results = memory.settings(name), memory.results(name)
    refuse_several(name, settings, "report")
    if not results:
        raise StoreError(
            f"study {name!r} has no verdict yet: no run has ended; {going_on(name, memory.shown)}"
        )
    events = _told_with_result(memory.events(name))
    told = {event.what: event.why for event in events}  # the last of each
    tasks: dict[str, Any] = json.loads(memory.get(told[TASKS])) if TASKS in told else {}
    shots, steps = (json.loads(told.get(what, "[]")) for what in (BY_SHOTS, BY_STEPS))
    left_out = results[-1].get("left_out", [])
    return Study(name, settings, memory.records(name), results, shots, steps, tasks, left_out)


def _told_with_result(events: Sequence[Event]) -> Sequence[Event]:
    """Up to the last result: what a later run said before it was stopped is of another winner."""
    return events[: max((end for end, event in enumerate(events) if event.what == RESULT), default=None)]
