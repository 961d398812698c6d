"""Whether the verdict can be trusted: tables of which it is known whether anything transfers between tasks.

    .venv/bin/python benchmarks/verdict.py --draws 10 --budget 20s --jobs 2 --out verdict
    .venv/bin/python benchmarks/verdict.py --only sinusoid --draws 1 --budget 10s --json

In two families nothing transfers: each task has its own linear function, or targets that were shuffled.
In two it does: sine waves, and linear functions of features that all tasks share. A draw is a table of 60
training, 15 validation and 25 test tasks, a whole search as a user would run it, and its verdict. Then the
same learner, and the same baseline as it was fitted and set, meet 200 fresh tasks of the same draw, which
nobody has seen. What is counted:

- false better: draws where nothing transfers and the verdict is "better"; at most 1 of 20;
- true better: draws where something does and the verdict is "better"; at least 9 of 10 in each family;
- claims that hold: of the draws whose verdict is "better", those where the claimed gain D ± d and the gain
  F ± f on the fresh tasks agree, |D - F| <= sqrt(d^2 + f^2), both being 95 % intervals of the mean over
  tasks: of honest intervals 95 % do; at least 90 %. D is what was measured once on few tasks, F is as well,
  so F has its interval too; the stricter count, |D - F| <= d, takes F for the truth and is given beside it.

``--cpu-time`` counts budgets in seconds of the one CPU core that a table's search uses, not of the clock on
the wall, for machines that do other things too. ``--out NAME`` writes NAME.json and NAME.md under
benchmarks/results/.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from search import machine, publish
from threadpoolctl import threadpool_limits

from metanas.budget import Budget, parse
from metanas.cli.quiet import quiet_optuna
from metanas.cli.wiring import Request, load_family, open_search
from metanas.finish import Winner, finish
from metanas.judging import Comparison, Judgement, compare, joined
from metanas.scoring import half_width
from metanas.search import Search
from metanas.tasks.family import Family, Source
from metanas.words import in_words

# tasks of each split; the fresh ones are in none of the user's
TASKS = {"train": 60, "valid": 15, "test": 25, "fresh": 200}
ROWS, SHOTS, NOISE = 20, 5, 0.1
FRESH = 2000  # episodes of the fresh tasks

Draw = Callable[[np.random.Generator], Callable[[], tuple[np.ndarray, np.ndarray]]]


def unrelated(rng: np.random.Generator) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Each task its own linear function of four features, of no preferred direction."""

    def task() -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(ROWS, 4))
        return x, x @ rng.normal(size=4) + NOISE * rng.normal(size=ROWS)

    return task


def shuffled(rng: np.random.Generator) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Sine waves of which every task's targets were shuffled."""
    wave = sinusoid(rng)

    def task() -> tuple[np.ndarray, np.ndarray]:
        x, y = wave()
        return x, rng.permutation(y)

    return task


def sinusoid(rng: np.random.Generator) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Finn et al.'s sine waves."""

    def task() -> tuple[np.ndarray, np.ndarray]:
        x = rng.uniform(-5, 5, size=(ROWS, 1))
        return x, rng.uniform(0.1, 5) * np.sin(x[:, 0] - rng.uniform(0, np.pi))

    return task


def features(rng: np.random.Generator) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Each task its own linear function of three features that all tasks share and nobody sees."""
    weights, shifts = 1.5 * rng.normal(size=(4, 3)), rng.normal(size=3)

    def task() -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(ROWS, 4))
        return x, np.tanh(x @ weights + shifts) @ rng.normal(size=3) + NOISE * rng.normal(size=ROWS)

    return task


# family → how it is drawn, and whether anything transfers
FAMILIES: dict[str, tuple[Draw, bool]] = {
    "unrelated": (unrelated, False),
    "shuffled": (shuffled, False),
    "sinusoid": (sinusoid, True),
    "features": (features, True),
}


def write(folder: Path, name: str, seed: int) -> None:
    """One draw: ``table.csv``, and the lists of the user's splits and of the fresh ones."""
    task = FAMILIES[name][0](np.random.default_rng(seed))
    names = [f"{split}{i}" for split, count in TASKS.items() for i in range(count)]
    with (folder / "table.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        for i, one in enumerate(names):
            x, y = task()
            if i == 0:
                rows.writerow(["task", *(f"x{j}" for j in range(x.shape[1])), "y"])
            rows.writerows([one, *values, target] for values, target in zip(x, y, strict=True))
    for split_file, test in (("user.json", "test"), ("fresh.json", "fresh")):
        lists = {
            word: [n for n in names if n.rstrip("0123456789") == split]
            for word, split in (("train", "train"), ("valid", "valid"), ("test", test))
        }
        (folder / split_file).write_text(json.dumps(lists))


def family(folder: Path, splits: str) -> Family:
    """The draw as the user has it, or with the fresh tasks in the place of the test ones."""
    source = Source(folder / "table.csv", splits=folder / splits, task="task", target="y", shots=SHOTS)
    return load_family("table", source)


def one(arguments: tuple[str, int, str, bool]) -> dict[str, Any]:
    """A search, its verdict, and what became of the claim on fresh tasks."""
    name, seed, budget_text, cpu_time = arguments
    quiet_optuna()
    torch.set_num_threads(1)
    if cpu_time:  # everybody looks at the clock through these
        time.monotonic = time.perf_counter = time.process_time
    with threadpool_limits(1), tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        write(folder, name, seed)
        source = Source(
            folder / "table.csv", splits=folder / "user.json", task="task", target="y", shots=SHOTS
        )
        request = Request(
            family="table",
            source=source,
            study="s",
            store=f"sqlite:///{folder}/store.db",
            seed=seed,
            controller="tpe",
            space="default",
            architecture=(),
            ways=None,
            shots=SHOTS,
            queries=None,
            device="cpu",
            execution="auto",
            rung=None,
            precision="auto",
        )
        search, store, _ = open_search(request, lambda moment: None, lambda note: None)
        with store:
            budget = Budget(parse(budget_text), clock=time.monotonic)
            search.run(budget)
            winner = finish(search, budget)
            comparison = compare(search, winner, budget)
            judged = joined(search.evaluator.signature, [comparison])
            fresh = on_fresh(search, winner, comparison, judged, family(folder, "fresh.json"))
    verdict = judged.verdict
    return {
        "family": name,
        "seed": seed,
        "transfers": FAMILIES[name][1],
        "outcome": verdict.outcome,
        "against": verdict.against,
        "difference": verdict.difference,
        "ci95": verdict.ci95,
        "fresh": float(fresh.mean()),
        "fresh_ci95": half_width(fresh),
        "coverage": coverage(fresh, judged.test.tasks),
        "ours": judged.test.value,
        "baselines": {name: score.value for name, score in judged.baselines.items()},
        "tasks": judged.test.tasks,
        "trials": len(search.records),
        "winner": in_words(winner.record.candidate),
        "left_out": judged.left_out,
        "seconds": budget.spent,
    }


def on_fresh(
    search: Search, winner: Winner, comparison: Comparison, judged: Judgement, fresh: Family
) -> np.ndarray:
    """Gain over the baseline that the verdict is against, on each of the fresh tasks ``(200,)``."""
    setting = search.evaluator.setting
    episodes = fresh.sample(
        FRESH,
        "test",
        torch.Generator().manual_seed(0),
        shots=setting.shots,
        ways=setting.ways,
        queries=setting.queries,
    )
    ours = search.evaluator.task_scores(winner.record.candidate, winner.checkpoint, episodes)
    rival = next(rival for rival in comparison.rivals if rival.name == judged.verdict.against)
    assert rival.on is not None
    return np.asarray(rival.on(episodes) - ours)


def coverage(gains: np.ndarray, tasks: int, draws: int = 1000) -> float:
    """Of how many samples of so many of these tasks the interval holds the mean of all."""
    samples = np.random.default_rng(0).choice(gains, (draws, tasks))
    inside = [abs(sample.mean() - gains.mean()) <= half_width(sample) for sample in samples]
    return float(np.mean(inside))


def summary(rows: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """What the measures ask for: how many, of how many."""
    better = [r for r in rows if r["outcome"] == "better"]
    apart = [abs(r["difference"] - r["fresh"]) for r in better]
    agree = [gap <= np.hypot(r["ci95"], r["fresh_ci95"]) for gap, r in zip(apart, better, strict=True)]
    found = {}
    for name, (_, transfers) in FAMILIES.items():
        here = [r["outcome"] == "better" for r in rows if r["family"] == name]
        found[f"{'true' if transfers else 'false'} better, {name}"] = (sum(here), len(here))
    nothing = [r["outcome"] == "better" for r in rows if not r["transfers"]]
    return {
        **found,
        "false better in all": (sum(nothing), len(nothing)),
        "claims that hold on fresh tasks": (int(sum(agree)), len(agree)),
        "claims whose interval holds the mean of the fresh tasks": (
            sum(gap <= r["ci95"] for gap, r in zip(apart, better, strict=True)),
            len(better),
        ),
        "claims with a gain on fresh tasks": (sum(r["fresh"] > 0 for r in better), len(better)),
        "intervals of 25 of the fresh tasks that hold the mean of all, in 1,000": (
            round(1000 * float(np.mean([r["coverage"] for r in rows]))),
            1000,
        ),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: the measures, then one row a draw."""
    lines = [f"- {what}: {count} of {of}" for what, (count, of) in summary(rows).items()]
    head = "| family | seed | verdict | against | claimed gain ± 95 % | on 200 fresh tasks |"
    lines += ["", head, "|" + "---|" * 6]
    for r in rows:
        claim, fresh = (
            f"{r[a]:.3g} ± {r[b]:.2g}" for a, b in (("difference", "ci95"), ("fresh", "fresh_ci95"))
        )
        cells = [r["family"], r["seed"], r["outcome"], r["against"], claim, fresh]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


@click.command()
@click.option("--draws", default=10, show_default=True, help="Of each family.")
@click.option("--budget", default="30s", show_default=True, help="Of each search.")
@click.option("--only", default=",".join(FAMILIES), show_default=True, help="Comma-separated.")
@click.option("--first-seed", default=0, show_default=True)
@click.option("--cpu-time", is_flag=True, help="Budgets in seconds of a CPU core.")
@click.option("--jobs", default=1, show_default=True, help="Searches at the same time.")
@click.option("--out", help="Name under benchmarks/results/.")
@click.option("--json", "as_json", is_flag=True)
def main(
    draws: int,
    budget: str,
    only: str,
    first_seed: int,
    cpu_time: bool,
    jobs: int,
    out: str | None,
    as_json: bool,
) -> None:
    """Runs the searches."""
    seeds = range(first_seed, first_seed + draws)
    work = [(name, seed, budget, cpu_time) for name, seed in product(only.split(","), seeds)]
    rows = []
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        for row in pool.map(one, work):
            rows.append(row)
            click.echo(table([row]).splitlines()[-1], err=True)
    command = f"benchmarks/verdict.py {' '.join(sys.argv[1:])}"
    if out:
        data = {"command": command, "machine": machine(), "summary": summary(rows), "rows": rows}
        publish(out, data, table(rows))
    click.echo(
        json.dumps({"machine": machine(), "summary": summary(rows), "rows": rows}) if as_json else table(rows)
    )


if __name__ == "__main__":
    main()
