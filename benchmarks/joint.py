"""Whether searching network and rule together finds what is better than searching one of them does.

    .venv/bin/python benchmarks/joint.py --table benchmarks/results/joint.npz --seeds 20 --out joint_search

On a table of ``record_table.py`` the same controller searches three spaces with as many evaluations each:
everything; networks alone, the rule being MAML with the settings that baselines of a search have; rules
alone, on MAML's network. Of each search it is the test score of the candidate with the best validation score
that counts: minus the logarithm of the mean squared error. A space with fewer candidates than there are
evaluations is searched whole.

Gain: test score of everything less that of the other, over the same seeds, the mean over families; its 90 %
interval is by bootstrap over seeds, a seed's families together. It does not hold the luck of the table,
in which every candidate was trained once. A gain of 0.1 is a tenth of the error. What has no test score,
having diverged on a test task, counts as the worst of the family.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is loaded, here and in other processes

import click
import numpy as np
import optuna
from grid import MAML, NETWORK
from recorded import Table
from replay import replay, table_at
from search import machine, publish

from search_spaces import Value, plugins
from search_spaces.errors import DataError, MetanasError

CONTROLLERS = ("controllers", "metanas.controllers")
EVERYTHING = "network and rule"
SPACES: dict[str, dict[str, Value]] = {
    EVERYTHING: {},
    "network only, with MAML": MAML,
    "rule only, on MAML's network": NETWORK,
}
_DRAWS = 2000  # of the bootstrap


@dataclass(frozen=True)
class Job:
    """One search to replay."""

    path: str
    space: str
    task: int
    seed: int
    controller: str
    evaluations: int


def narrowed(table: Table, fixed: Mapping[str, Value]) -> Table:
    """The candidates that have these values, without them.

    Raises:
        DataError: If there are none.
    """
    names = [dimension["name"] for dimension in table.dimensions]
    kept = np.ones(len(table.configs), dtype=bool)
    for name, value in fixed.items():
        known = table.indices.get(name, {})
        kept &= value in known and table.configs[:, names.index(name)] == known[value]
    if not kept.any():
        raise DataError(f"{table.name} has no candidate with {dict(fixed)}")
    used = [i for i, n in enumerate(names) if n not in fixed and (table.configs[kept, i] >= 0).any()]
    return replace(
        table,
        dimensions=[table.dimensions[i] for i in used],
        configs=table.configs[kept][:, used],
        valid=table.valid[:, kept],
        test=table.test[:, kept],
    )


def chosen(job: Job) -> float:
    """The test score of what a search chooses."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    whole = table_at(job.path)
    table = narrowed(whole, SPACES[job.space])
    sampler = plugins.load(*CONTROLLERS, job.controller).build(table.space, job.seed)
    found = replay(table, job.task, sampler, job.evaluations, job.seed).found
    best = found[int(np.nanargmax(table.valid[job.task, found, -1]))]
    score = table.test[job.task, best]
    return float(score if np.isfinite(score) else np.nanmin(whole.test[job.task]))


def row(table: Table, task: int, name: str, scores: np.ndarray) -> dict[str, Any]:
    """One line of the result: a space on a family, ``(S,)`` test scores."""
    ours = narrowed(table, SPACES[name])
    return {
        "space": name,
        "family": table.tasks[task],
        "candidates": len(ours.configs),
        "test": float(scores.mean()),
        "error": float(np.exp(-scores.mean())),
        "best": float(np.nanmax(ours.test[task])),
        "scores": [float(f"{score:.6g}") for score in scores],
    }


def gain(everything: np.ndarray, other: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Of test scores ``(F, S)``: the mean over families and seeds with its interval."""
    by_seed = (everything - other).mean(0)
    drawn = np.random.default_rng(seed).choice(by_seed, (_DRAWS, len(by_seed))).mean(1)
    low, high = (float(q) for q in np.quantile(drawn, [0.05, 0.95]))
    return {
        "point": float(by_seed.mean()),
        "low": low,
        "high": high,
        "seeds_better": int((by_seed > 0).sum()),
    }


def gains(tasks: list[str], scores: Mapping[tuple[str, int], np.ndarray]) -> dict[str, Any]:
    """Of everything over each other space: on all families and on each."""

    def of(name: str, places: list[int]) -> dict[str, float]:
        return gain(*(np.stack([scores[space, t] for t in places]) for space in (EVERYTHING, name)))

    every = sorted({task for _, task in scores})
    return {
        name: {"all": of(name, every), **{tasks[t]: of(name, [t]) for t in every}}
        for name in SPACES
        if name != EVERYTHING
    }


def text(rows: list[dict[str, Any]], found: Mapping[str, Any]) -> str:
    """Markdown: the gains, then one row a space and family."""
    names = list(next(iter(found.values())))
    lines = ["| gain of network and rule over | " + " | ".join(names) + " |", "|" + "---|" * (1 + len(names))]
    for name, by_family in found.items():
        cells = [f"{g['point']:+.3f} [{g['low']:+.3f}, {g['high']:+.3f}]" for g in by_family.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    head = ["family", "space", "candidates", "test score", "error", "best test score of the space"]
    lines += ["", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in rows:
        cells = [r["family"], r["space"], str(r["candidates"])]
        cells += [f"{r['test']:.3f}", f"{r['error']:.4g}", f"{r['best']:.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


@click.command()
@click.option("--table", "path", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--controller", default="learned", show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@click.option("--first-seed", default=0, show_default=True)
@click.option("--evaluations", type=click.IntRange(1), default=50, show_default=True, help="Of each search.")
@click.option("--jobs", default=1, show_default=True, help="Searches at the same time.")
@click.option("--out", help="Name under benchmarks/results/.")
@click.option("--json", "as_json", is_flag=True)
def main(
    path: Path,
    controller: str,
    seeds: int,
    first_seed: int,
    evaluations: int,
    jobs: int,
    out: str | None,
    as_json: bool,
) -> None:
    """Replays the searches."""
    where = str(path.resolve())
    try:
        table = table_at(where)
        for fixed in SPACES.values():
            narrowed(table, fixed)
        plugins.load(*CONTROLLERS, controller)
    except MetanasError as error:
        raise click.ClickException(str(error)) from None
    places, numbers = range(len(table.tasks)), range(first_seed, first_seed + seeds)
    pairs = list(product(SPACES, places))
    work = [Job(where, name, t, seed, controller, evaluations) for name, t in pairs for seed in numbers]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        done = np.array(list(pool.map(chosen, work) if jobs > 1 else map(chosen, work)))
    scores = dict(zip(pairs, done.reshape(len(pairs), seeds), strict=True))
    rows = [row(table, t, name, scores[name, t]) for t, name in product(places, SPACES)]
    found = gains(table.tasks, scores)
    command = f"benchmarks/joint.py {' '.join(sys.argv[1:])}"
    data = {"command": command, "machine": machine(), "rows": rows, "gains": found}
    if out:
        publish(out, data, text(rows, found))
    click.echo(json.dumps(data) if as_json else text(rows, found))


if __name__ == "__main__":
    main()
