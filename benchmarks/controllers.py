"""Compares controllers on recorded searches: how many evaluations each needs to get how far.

    .venv/bin/python benchmarks/controllers.py --table FILE.npz --controllers learned,tpe,evolution-20
    .venv/bin/python benchmarks/controllers.py --table FILE.npz --warm-from all --controllers learned,tpe-warm

Controllers are those of ``metanas controller list``, and ``evolution-20``, ``evolution-50`` (populations),
``optuna-tpe`` and ``optuna-gp`` (Optuna's TPESampler and GPSampler as they come). With ``--warm-from``, what
can learn from earlier studies gets a recorded search of each of those tasks, ``NAME-cold`` does without, and
``NAME-warm`` (any other) begins with their best candidates. ``tpe`` always runs, cold: the others are
measured by it, and by ``optuna-tpe`` and whatever is called ``-warm`` or ``-cold``, where these run.

The ratio of a controller to another, say tpe: evaluations that tpe needs to reach its own median best at
100, divided by those that the controller needs to get there; medians over seeds, geometric mean over tasks,
above 1 is better than tpe; 90 % interval by bootstrap over seeds, the threshold's too. Repeats and what the
table lacks are free; a threshold that is never reached counts as the budget. Each search has one thread.
With ``--keep FOLDER``, what is done stays when it is interrupted, and tpe need not be replayed in each of
several comparisons: see ``kept.py``. In a table of a few hundred configurations tpe repeats itself ever more,
which is free but takes its time: take ``--evaluations 100`` there. In one that lacks most combinations, as
when it was recorded by random search, what is most like the proposed one comes in its place.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# this file is called as a package of ours is, which has to be found first
sys.path[:] = [*(folder for folder in sys.path if Path(folder or ".").resolve() != HERE), str(HERE)]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is loaded, here and in other processes

import click  # noqa: E402
import numpy as np  # noqa: E402
from kept import Kept  # noqa: E402
from needed import bests, needed, ratio  # noqa: E402
from recorded import Table  # noqa: E402
from replay import Replay, table_at  # noqa: E402
from search import machine, publish  # noqa: E402
from searches import Job, build, is_kept, run  # noqa: E402

from search_spaces.errors import MetanasError  # noqa: E402

REFERENCE = "tpe"
AT = (10, 20, 50, 100, 200)
PERCENTILES = (99.0, 99.9)
DEFAULT = "random,evolution-20,evolution-50,tpe"
_EVERY = 10.0  # seconds, of progress


def row(
    table: Table, task: int, controller: str, replays: Sequence[Replay], evaluations: int
) -> dict[str, Any]:
    """One line of the result: a controller on a task."""
    valid, test = table.valid[task, :, -1], table.test[task]
    best = bests(valid, replays, evaluations)
    at = [n for n in AT if n <= evaluations]
    medians = {n: float(np.median(best[:, n - 1])) for n in at}
    worth = np.nan_to_num(valid, nan=-np.inf)
    same = min(1e-7, 1e-4 * float(np.nanstd(valid)))  # what a median of float32 is off by
    chosen = {n: [one.found[int(worth[one.found[:n]].argmax())] for one in replays] for n in at}
    return {
        "controller": controller,
        "task": table.tasks[task],
        "seeds": len(replays),
        "best": {n: _known(value) for n, value in medians.items()},
        "rank": {n: int((valid > value + same).sum()) + 1 for n, value in medians.items()},
        "test": {n: _known(float(np.median(test[rows]))) for n, rows in chosen.items()},
        "evaluations_to": {
            f"{p:g}": float(np.median(needed(best, float(np.nanpercentile(valid, p))))) for p in PERCENTILES
        },
        "ms": float(np.median([one.milliseconds for one in replays])),
        "slowest_ms": float(np.median([one.slowest for one in replays])),
    }


def _known(value: float) -> float | None:
    """For JSON, which has no infinity: null, where all that was found had failed."""
    return value if math.isfinite(value) else None


def table_text(rows: list[dict[str, Any]], ratios: dict[str, Any]) -> str:
    """Markdown: ratios, then one row a controller and task."""
    references = list(dict.fromkeys(key for found in ratios.values() for key in found))
    lines = ["| controller | " + " | ".join(k.replace("_", " ") for k in references) + " |"]
    lines += ["|" + "---|" * (1 + len(references))]
    for name, found in ratios.items():
        cells = [
            "{point:.2f} [{low:.2f}, {high:.2f}] (who never gets there: {never:.2f})".format(**found[k])
            if k in found
            else ""
            for k in references
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    ats = list(rows[0]["best"])
    head = ["task", "controller", *(f"best at {n} (rank)" for n in ats), "to 99 %", "to 99.9 %", "ms"]
    lines += ["", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in rows:
        cells = [r["task"], r["controller"]]
        cells += ["–" if r["best"][n] is None else f"{r['best'][n]:.4g} ({r['rank'][n]})" for n in ats]
        cells += [f"{n:g}" for n in r["evaluations_to"].values()] + [f"{r['ms']:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def told(work: Sequence[Job], done: Iterable[Replay], fresh: Sequence[bool]) -> Iterator[tuple[Job, Replay]]:
    """Pairs of them; says how many there are yet to come, and how long those take that are not kept."""
    begin = last = time.monotonic()
    for number, pair in enumerate(zip(work, done, strict=True), 1):
        yield pair
        if time.monotonic() - last > _EVERY:
            last = time.monotonic()
            each = (last - begin) / max(1, sum(fresh[:number]))
            minutes = each * sum(fresh[number:]) / 60
            click.echo(f"{number} of {len(work)} searches, about {minutes:.0f} min left", err=True)


def indices(table: Table, names: str) -> list[int]:
    """Of tasks by name, with commas between, each once."""
    if names == "all":
        return list(range(len(table.tasks)))
    wanted = [names] if names in table.tasks else list(dict.fromkeys(names.split(",")))
    if unknown := [name for name in wanted if name not in table.tasks]:
        raise click.ClickException(f"no task {unknown[0]!r} in {table.name}: {', '.join(table.tasks)}, all")
    return [table.tasks.index(name) for name in wanted]


@click.command()
@click.option("--table", "path", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--task", default="all", show_default=True, help="Names with commas between, or all.")
@click.option("--controllers", default=DEFAULT, show_default=True, help="With commas between.")
@click.option("--seeds", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@click.option("--first-seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--evaluations", type=click.IntRange(1), default=200, show_default=True, help="Budget of each search."
)
@click.option(
    "--warm-from",
    help="Tasks that the store knows, with commas between, or all; never the one that is searched.",
)
@click.option(
    "--shuffle-store", is_flag=True, help="Exchange the labels of the store's choices: it misleads."
)
@click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Searches at the same time."
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of what is done: the same command goes on, and others take what they share.",
)
@click.option("--out", help="Name under benchmarks/results/.")
@click.option("--json", "as_json", is_flag=True)
def main(
    path: Path,
    task: str,
    controllers: str,
    seeds: int,
    first_seed: int,
    evaluations: int,
    warm_from: str | None,
    shuffle_store: bool,
    jobs: int,
    keep: Path | None,
    out: str | None,
    as_json: bool,
) -> None:
    """Replays the searches."""
    try:
        table = table_at(str(path.resolve()))
        for name in controllers.split(","):
            build(name.removesuffix("-warm").removesuffix("-cold"))
        if keep:  # before hours of work, not after
            keep.mkdir(parents=True, exist_ok=True)
    except MetanasError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"--keep {keep}: {error.strerror}") from None
    names = list(dict.fromkeys([*controllers.split(","), REFERENCE]))
    tasks, numbers = indices(table, task), range(first_seed, first_seed + seeds)
    sources = [] if not warm_from else indices(table, warm_from)

    def job(name: str, t: int, seed: int) -> Job:
        earlier = tuple(s for s in sources if s != t)
        return Job(str(path.resolve()), t, name, seed, evaluations, earlier, shuffle_store)

    # seeds outermost: a process then knows a seed's store already when the next controller needs it
    work = [job(name, t, seed) for seed, t, name in product(numbers, tasks, names)]
    found: dict[tuple[str, int], list[Replay]] = {(name, t): [] for t, name in product(tasks, names)}
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        one = partial(run, kept=Kept(keep))
        fresh = [not is_kept(each, Kept(keep)) for each in work]
        for each, done in told(work, pool.map(one, work) if jobs > 1 else map(one, work), fresh):
            found[each.controller, each.task].append(done)
    rows = [row(table, t, name, found[name, t], evaluations) for t, name in product(tasks, names)]
    curves = {
        name: {t: bests(table.valid[t, :, -1], found[name, t], evaluations) for t in tasks} for name in names
    }
    references = [n for n in names if n in (REFERENCE, "optuna-tpe") or n.endswith(("-warm", "-cold"))]
    ratios = {
        name: {
            f"vs_{other.replace('-', '_')}_at_100": ratio(curves[other], curves[name])
            for other in references
            if other != name
        }
        for name in names
    }
    command = f"benchmarks/controllers.py {' '.join(sys.argv[1:])}"
    data = {"command": command, "machine": machine(), "rows": rows, "ratios": ratios}
    if out:
        publish(out, data, table_text(rows, ratios))
    click.echo(json.dumps(data) if as_json else table_text(rows, ratios))


if __name__ == "__main__":
    main()
