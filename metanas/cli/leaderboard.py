"""``metanas leaderboard``: the best trials of a study."""

from __future__ import annotations

import click

from metanas.cli.joint_tables import joint_leaderboard, stored_standings
from metanas.cli.live import places_json, trial_json
from metanas.cli.options import HELP, json_option, print_json, store_option
from metanas.cli.settings import families_of
from metanas.cli.summary import leaderboard, wide_console
from metanas.goals import ranked
from storage import Store


@click.command(context_settings=HELP)
@click.argument("study")
@store_option
@click.option("--rows", type=click.IntRange(1), default=20, show_default=True, help="How many trials.")
@json_option
def command(study: str, store: str, rows: int, as_json: bool) -> None:
    """The best trials of STUDY by their validation score; where it is of several families, by mean rank."""
    with Store.open(store, create=False) as memory:
        settings = memory.settings(study)  # an unknown study is an error, not an empty table
        records = memory.records(study)
        standings = stored_standings(memory, study, settings) if families_of(settings) else None
    if standings is not None and as_json:
        print_json([trial_json(one.trial) | places_json(one) for one in standings[:rows]])
    elif standings is not None:
        wide_console().print(joint_leaderboard(standings, rows))
    elif as_json:
        print_json([trial_json(record) for record in ranked(records)[:rows]])
    else:
        wide_console().print(leaderboard(records, rows))
