"""Runs whole searches as a user would, controller × seed, and tabulates what they came to.

    .venv/bin/python benchmarks/search.py sinusoid --budget 2m --seeds 3 --controllers learned,tpe,random
    .venv/bin/python benchmarks/search.py omniglot --budget 15m --seeds 1        # needs METANAS_DATA

Every search runs in a folder and a store of its own, one after the other. ``--json`` prints one
object; ``--out NAME`` writes NAME.json and NAME.md under benchmarks/results/.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

HERE = Path(__file__).resolve().parent
# controllers.py beside this file is called as a package of ours is, which has to be found first
sys.path[:] = [*(folder for folder in sys.path if Path(folder or ".").resolve() != HERE), str(HERE)]
RESULTS = HERE / "results"
METANAS = Path(sys.executable).with_name("metanas")


def publish(name: str, data: dict[str, Any], text: str) -> None:
    """Writes what a benchmark found, with the command it is told of, under benchmarks/results/."""
    (RESULTS / f"{name}.json").write_text(json.dumps(data) + "\n")
    (RESULTS / f"{name}.md").write_text(f"`{data['command']}`, {data['machine']}\n\n{text}\n")


def family_arguments(name: str) -> list[str]:
    """The words of the command line that name the family."""
    if name != "omniglot":
        return [name]
    folder = Path(os.environ["METANAS_DATA"]).resolve() / "omniglot"
    train, test = folder / "images_background.zip", folder / "images_evaluation.zip"
    return ["images", str(train), "--test-data", str(test), "--ways", "5", "--shots", "1"]


def run(
    family: str, controller: str, seed: int, budget: str, extra: tuple[str, ...], lines: Path | None = None
) -> dict[str, Any]:
    """One search of a family: its result, and how long the whole command took."""
    words = [*family_arguments(family), "--budget", budget, "--seed", str(seed), "--controller", controller]
    return {"controller": controller, "seed": seed, **search([*words, *extra], lines)}


def search(words: list[str], lines: Path | None = None) -> dict[str, Any]:
    """``metanas search`` with these words, in a folder of its own; ``lines`` gets all that it prints."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        done = subprocess.run(
            [METANAS, "search", *words, "--json"],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    if lines is not None:
        with lines.open("a") as kept:
            kept.write(done.stdout)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"wall_seconds": time.monotonic() - start, **result}


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table, one row a search."""
    head = "| controller | seed | test | ± 95 % | tasks | transductive | trials | wall s | winner | verdict |"
    lines = [head, "|" + "---|" * 10]
    for row in rows:
        test, best = row["test"], row["best"]
        trials = sum(row["trials"].values())
        winner = f"{best['architecture']}; {best['rule']}"
        cells = [
            row["controller"],
            row["seed"],
            f"{test['metric']} {test['value']:.5f}",
            f"{test['ci95']:.5f}",
            test["tasks"],
            "yes" if test["transductive"] else "no",
            trials,
            f"{row['wall_seconds']:.0f}",
            winner,
            row["verdict"]["sentence"],
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def machine() -> str:
    """What it ran on, in words."""
    system = f"{platform.system()} {platform.machine()}"
    return f"{os.cpu_count()} CPU cores, {system}, Python {platform.python_version()}"


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("family")
@click.option("--budget", required=True)
@click.option("--seeds", default=3, show_default=True, help="How many.")
@click.option("--first-seed", default=0, show_default=True)
@click.option("--controllers", default="learned", show_default=True, help="Comma-separated.")
@click.option("--out", help="Name under benchmarks/results/.")
@click.option("--lines", type=click.Path(path_type=Path), help="Keeps what searches print.")
@click.option("--json", "as_json", is_flag=True)
@click.argument("extra", nargs=-1)
def main(
    family: str,
    budget: str,
    seeds: int,
    first_seed: int,
    controllers: str,
    out: str | None,
    lines: Path | None,
    as_json: bool,
    extra: tuple[str, ...],
) -> None:
    """Runs whole searches of FAMILY; further words go to metanas search."""
    rows = []
    for controller in controllers.split(","):
        for seed in range(first_seed, first_seed + seeds):
            rows.append(run(family, controller, seed, budget, extra, lines))
            click.echo(table(rows[-1:]).splitlines()[-1], err=True)
    if out:
        command = f"benchmarks/search.py {' '.join(sys.argv[1:])}"
        publish(out, {"command": command, "machine": machine(), "rows": rows}, table(rows))
    click.echo(json.dumps({"machine": machine(), "rows": rows}) if as_json else table(rows))


if __name__ == "__main__":
    main()
