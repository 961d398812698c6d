"""``metanas verdict``: whether the search was worth it, as its last run found."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from metanas.cli.joint_tables import print_families
from metanas.cli.options import HELP, going_on, json_option, print_json, store_option
from metanas.cli.result import baseline_name
from metanas.cli.settings import families_of
from metanas.cli.summary import wide_console
from metanas.words import FRESH
from search_spaces.errors import StoreError
from storage import Store

_PARTS = ("test", "baselines", "verdict")


@click.command(context_settings=HELP)
@click.argument("study")
@store_option
@json_option
def command(study: str, store: str, as_json: bool) -> None:
    """Whether what STUDY found beats what you would have done without it, on fresh tasks."""
    with Store.open(store, create=False) as memory:
        results, settings = memory.results(study), memory.settings(study)
    if not results:
        raise StoreError(
            f"study {study!r} has no verdict yet: no run has ended; {going_on(study, memory.shown)}"
        )
    last = results[-1]
    if families_of(settings):
        if as_json:
            print_json({"study": study, "families": last["families"]})
        else:
            print_families(last)
        return
    if as_json:
        print_json({"study": study, **{part: last[part] for part in _PARTS}, "looks": last["looks"]})
        return
    console = wide_console()
    console.print(f"Verdict: {last['verdict']['sentence']}", style="bold", highlight=False)
    console.print(_table(last))
    times = "once" if last["looks"] == 1 else f"{last['looks']} times"
    console.print(f"The test tasks were looked at {times}.", highlight=False)
    if (folds := last.get("folds", 1)) > 1:
        console.print(f"They are few: each was a test one once, in {folds} searches.", highlight=False)


def _table(result: dict[str, Any]) -> Table:
    """Ours and the baselines, in the order in which validation ranks these."""
    test = result["test"]
    table = Table(pad_edge=False)
    for column in ("", f"{test['metric']}, {test['tasks']:,} {test.get('of', FRESH)}"):
        table.add_column(column)
    for name, score in (("ours", test), *((baseline_name(one), one) for one in result["baselines"])):
        table.add_row(name, f"{score['value']:.4g} ± {score['ci95']:.2g}")
    return table
