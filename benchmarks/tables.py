"""Runs a whole search on each of the small tables under METANAS_DATA, and tabulates the verdicts.

    .venv/bin/python benchmarks/tables.py --budget 3m                  # needs METANAS_DATA
    .venv/bin/python benchmarks/tables.py --only milk,exam --jobs 2

``--out NAME`` writes NAME.json and NAME.md under benchmarks/results/; ``--json`` prints one object.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
from search import machine, publish, search

# file → the columns that tell tasks apart and that are predicted; labelled rows a task
TABLES = {
    "exam": ("school", "normexam", 5),
    "cigar": ("state", "sales", 10),
    "sleepstudy": ("Subject", "Reaction", 5),
    "chickweight": ("Chick", "weight", 5),
    "milk": ("Cow", "protein", 10),
    "egsingle": ("schoolid", "math", 10),
}


def words(name: str) -> list[str]:
    """The words of the command line for one table."""
    task, target, shots = TABLES[name]
    path = Path(os.environ["METANAS_DATA"]).resolve() / "tabular" / f"{name}.csv"
    return ["table", str(path), "--task", task, "--target", target, "--shots", str(shots)]


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table, one row a search."""
    head = "| table | shots | tasks tested | searches | ours | best baseline | verdict |"
    lines = [head, "|" + "---|" * 7]
    for row in rows:
        test, verdict = row["test"], row["verdict"]
        best = test["value"] + verdict["difference"]  # of what the verdict is against: over folds, of several
        cells = [row["table"], TABLES[row["table"]][2], test["tasks"], row["folds"], f"{test['value']:.3g}"]
        cells += [f"{best:.3g} ({verdict['against']})", verdict["sentence"]]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


@click.command()
@click.option("--budget", default="3m", show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--only", default=",".join(TABLES), show_default=True, help="Comma-separated.")
@click.option("--jobs", default=1, show_default=True, help="Searches at the same time.")
@click.option("--out", help="Name under benchmarks/results/.")
@click.option("--json", "as_json", is_flag=True)
def main(budget: str, seed: int, only: str, jobs: int, out: str | None, as_json: bool) -> None:
    """Runs the searches."""

    def run(name: str) -> dict[str, Any]:
        found = search([*words(name), "--budget", budget, "--seed", str(seed)])
        click.echo(f"{name}: {found['verdict']['sentence']}", err=True)
        return {"table": name, "seed": seed, **found}

    with ThreadPoolExecutor(jobs) as pool:
        rows = list(pool.map(run, only.split(",")))
    command = f"benchmarks/tables.py --budget {budget} --seed {seed} --jobs {jobs}"
    if out:
        data = {"command": command, "machine": machine(), "rows": rows}
        publish(out, data, table(rows))
    click.echo(json.dumps({"machine": machine(), "rows": rows}) if as_json else table(rows))


if __name__ == "__main__":
    main()
