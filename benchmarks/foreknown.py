"""How soon a search is where another one ended, if it knows from the start what that one found.

    .venv/bin/python benchmarks/foreknown.py --seeds 3 --jobs 2 --out foreknown   # needs METANAS_DATA; 15 min

For each seed, each family is searched by ``metanas search`` without a store, as ``cold`` of ``live.py`` is.
Then, with the same seed, and so the same validation tasks, by a search whose first and only trial is the
candidate that the first one ended with: nothing else is tried, all time goes into training it. Its budget is
such that this is over at half the seconds after which the first one had its last validation score.

What a store of other families can tell a search at most is which candidate is best: how often this one is in
time says how often a search could be that had learned that. (A better one than that may be met by chance.)

``at`` of a row are the seconds to that score, as a part of those of the first search; none where it was not
reached in half of them. ``--out NAME`` writes rows under benchmarks/results/ as they come.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np
import optuna
from live import FAMILIES, Search
from live_figures import reached
from search import machine, publish

from metanas.cli.wiring import optuna_study
from metanas.standings import best_of
from search_spaces import Candidate, Signature
from storage import Store

_SHARE = 0.5  # of the first search's seconds
_FINISH, _LOADING = 0.8, 7.0  # the part of a budget when training ends; seconds before a budget begins
_LEAST = 5.0


def winner(search: Search) -> Candidate:
    """What a search ended with."""
    with Store.open(str(search.store), create=False) as store:
        best = best_of(store.records(search.family))
    assert best is not None
    return best.candidate


def prepare(known: Search, first: Search) -> None:
    """A store with the study of the first search, without its trials; its winner is to be tried next."""
    known.home.mkdir(parents=True, exist_ok=True)
    with Store.open(str(first.store), create=False) as old, Store.open(str(known.store)) as new:
        settings = old.settings(first.family)
        new.save_study(known.family, settings)
        signature = Signature.from_dict(settings["signature"])
        rungs = tuple(settings["rungs"])
        study = optuna_study(new, known.family, signature.metric, signature.higher_is_better, rungs)
        study.enqueue_trial(dict(winner(first)))


def pair(first: Search) -> dict[str, Any]:
    """Both searches of a family and a seed: a row."""
    cold = first.run([])
    seconds, error = reached(cold["curves"]["final"], cold["final"]), cold["final"]
    budget = max(_LEAST, (_SHARE * seconds - _LOADING) / _FINISH)
    known = replace(first, method="known", budget=f"{budget:.1f}s", words=(*first.words, "--trials", "1"))
    curve = known.run([], before=lambda: prepare(known, first))["curves"]["final"]
    at = reached(curve, error) / seconds
    return {
        "family": first.family,
        "seed": first.seed,
        "seconds": seconds,
        "error": error,
        "known_error": min((value for when, value in curve if when <= _SHARE * seconds), default=None),
        "at": at if at <= _SHARE else None,
    }


def text(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: by family how many are in time, then all of them."""
    lines = [
        "| family | searches | there in half the seconds | error there / error at the end |",
        "|---|---|---|---|",
    ]
    for name in [*dict.fromkeys(row["family"] for row in rows), "all"]:
        here = [row for row in rows if name in (row["family"], "all")]
        ratios = [row["known_error"] / row["error"] for row in here if row["known_error"]]
        middle = f"{np.median(ratios):.3g}" if ratios else "–"
        lines.append(f"| {name} | {len(here)} | {sum(r['at'] is not None for r in here)} | {middle} |")
    lines += [
        "",
        "| family | seed | seconds | error | error of the one that knows, by half of them | there after |",
    ]
    lines += ["|---|---|---|---|---|---|"]
    for row in rows:
        known = "–" if row["known_error"] is None else f"{row['known_error']:.4g}"
        at = "–" if row["at"] is None else f"{row['at']:.2f} of the seconds"
        cells = [row["family"], str(row["seed"]), f"{row['seconds']:.0f}", f"{row['error']:.4g}", known, at]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def pairs(
    folder: Path, families: Sequence[str], seeds: Sequence[int], budget: str, jobs: int
) -> Iterator[dict[str, Any]]:
    """Rows, as they come."""
    searches = [Search(folder, family, "cold", seed, budget) for seed, family in product(seeds, families)]
    with ThreadPoolExecutor(jobs) as pool:  # each waits for a process
        yield from pool.map(pair, searches)


@click.command()
@click.option("--families", default=FAMILIES, show_default=True, help="With commas between.")
@click.option("--budget", default="90s", show_default=True, help="Of the first search of each pair.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="How many.")
@click.option("--first-seed", default=0, show_default=True)
@click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Searches at the same time."
)
@click.option("--out", help="Name under benchmarks/results/.")
@click.option("--json", "as_json", is_flag=True)
def main(
    families: str, budget: str, seeds: int, first_seed: int, jobs: int, out: str | None, as_json: bool
) -> None:
    """Runs the searches."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    rows: list[dict[str, Any]] = []
    data = {
        "command": f"benchmarks/foreknown.py {' '.join(sys.argv[1:])}",
        "machine": machine(),
        "rows": rows,
    }
    numbers = range(first_seed, first_seed + seeds)
    with tempfile.TemporaryDirectory() as folder:
        for row in pairs(Path(folder).resolve(), families.split(","), numbers, budget, jobs):
            rows.append(row)
            click.echo(text(rows).splitlines()[-1], err=True)
            if out:
                publish(out, data, text(rows))
    click.echo(json.dumps(data) if as_json else text(rows))


if __name__ == "__main__":
    main()
