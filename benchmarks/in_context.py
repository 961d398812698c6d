"""Whether an in-context model predicts results of a search as well as the learned controller's process does.

    cd benchmarks
    ../.venv/bin/python in_context.py --table FILE.npz --table FILE.npz --out in_context

A small transformer is taught with simulated searches (``in_context_teaching.py``), ``--minutes`` of one
thread's processor time; Ctrl-C ends that sooner. ``--save FILE`` keeps it, ``--load FILE`` takes one that was
kept. Then it and the Gaussian process of the controller ``learned``, cold, are told the same results of
recorded tables (``recorded.py``): of each task the first 10, 25 and 50 that a search by regularised evolution
found, which favours neither. Both predict 2,500 others, and so do both together (``in_context_second.py``).
No model was taught with any table: every task is one that was left out.

    best 20      percentile in its table, on the average, of the 20 candidates that are ranked highest
    Spearman     rank correlation of predictions and results
    ms           of processor time a prediction, fitting included

Ratios are above 1 where a model is better than the process, and geometric means over draws, numbers of
results and tasks: how much of the table is better than the best 20; 1 less the correlation. Their 90 %
interval is by bootstrap over draws, those of a task and number of results apart. Both together predict better
if the first is clearly above 1 over all, and on no table clearly below. Whether that shortens searches is
another question: see ``results/second_opinion.md``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# a file beside this one is called as a package of ours is, which has to be found first
sys.path[:] = [*(folder for folder in sys.path if Path(folder or ".").resolve() != HERE), str(HERE)]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is loaded

import click  # noqa: E402
import numpy as np  # noqa: E402
import optuna  # noqa: E402
import torch  # noqa: E402
from in_context_model import InContext, View, load  # noqa: E402
from in_context_second import Second  # noqa: E402
from in_context_teaching import normal, save, train  # noqa: E402
from recorded import Table, read  # noqa: E402
from replay import replay  # noqa: E402
from scipy.stats import spearmanr  # noqa: E402
from search import machine, publish  # noqa: E402

from controllers.evolution import Evolution  # noqa: E402
from controllers.learned.codes import Codes  # noqa: E402
from controllers.learned.features import Features  # noqa: E402
from controllers.learned.kernel import Data  # noqa: E402
from controllers.learned.process import Process  # noqa: E402
from search_spaces.errors import DataError, MetanasError  # noqa: E402

RESULTS_KNOWN = (10, 25, 50)
PROCESS, MODEL, BOTH = "process", "in-context", "both"
MEASURES = ("best 20", "Spearman")
_ASKED, _RANKED, _POPULATION = 2500, 20, 20
_STEPS = 40  # of fitting the process: about what its refits in a search of 50 trials come to
_DRAWS = 2000  # of the bootstrap

Predict = Callable[[Features, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def fitted(features: Features, known: np.ndarray, results: np.ndarray) -> Process:
    """The process of the controller learned, cold, told results."""
    process = Process(features)
    process.fit(Data.whole(known), results, _STEPS)
    return process


def by_process(features: Features, known: np.ndarray, results: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Means ``(M,)`` that the process expects."""
    return fitted(features, known, results).predict(Data.whole(asked))[0]


def by_model(model: InContext) -> Predict:
    """What the model expects."""

    def predict(features: Features, known: np.ndarray, results: np.ndarray, asked: np.ndarray) -> np.ndarray:
        second = Second(features, model)
        second.tell(known, results)
        return second.alone(asked)[0]

    return predict


def by_both(model: InContext) -> Predict:
    """What both expect together."""

    def predict(features: Features, known: np.ndarray, results: np.ndarray, asked: np.ndarray) -> np.ndarray:
        process, second = fitted(features, known, results), Second(features, model)
        second.weigh(process, Data.whole(known), results)
        return second.pooled(asked, *process.predict(Data.whole(asked)))[0]

    return predict


def searched(table: Table, task: int, seed: int) -> np.ndarray:
    """Rows that a search of a task found, in their order."""
    most = min(max(RESULTS_KNOWN), len(table.configs) // 2)
    return np.array(replay(table, task, Evolution(table.space, seed, _POPULATION), most, seed).found)


def measured(valid: np.ndarray, asked: np.ndarray, mean: np.ndarray) -> list[float]:
    """:data:`MEASURES` of means ``(M,)``; in place of the first, the part that is better."""
    chosen = valid[asked[np.argsort(-mean, kind="stable")[:_RANKED]]]
    better = float(np.mean([((valid > value).sum() + 1) / len(valid) for value in chosen]))
    correlation = float(np.nan_to_num(spearmanr(mean, valid[asked]).statistic))
    return [better, min(correlation, 0.999)]  # 1 would be without a ratio


def gain(process: np.ndarray, model: np.ndarray) -> np.ndarray:
    """``(..., 2)`` logarithms of ratios, of measures of the same draws."""
    first, second = (np.stack([np.log(m[..., 0]), np.log1p(-m[..., 1])], -1) for m in (process, model))
    return np.asarray(first - second)


def ratio(logs: np.ndarray) -> dict[str, float]:
    """Geometric mean of ratios, of logarithms ``(C, D)`` by cell and draw, and its interval."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(logs.shape[1], size=(_DRAWS, *logs.shape))
    means = np.take_along_axis(logs[None], drawn, 2).mean((1, 2))
    low, high = (float(q) for q in np.exp(np.quantile(means, [0.05, 0.95])))
    return {"point": float(np.exp(logs.mean())), "low": low, "high": high}


def compared(
    table: Table, predictors: dict[str, Predict], seeds: range, rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """A row a task, number of results and predictor, in this order; of each the measures ``(D, 2)``."""
    codes = Codes(table.space)
    features = Features(codes)
    x = features.of(codes.rows([table.candidate(i) for i in range(len(table.configs))]))
    paths = {task: [searched(table, task, seed) for seed in seeds] for task in range(len(table.tasks))}
    for task, count in product(paths, RESULTS_KNOWN):
        values = table.valid[task, :, -1]
        if 2 * count > len(values):
            continue
        valid = np.nan_to_num(values, nan=np.nanmin(values))
        found: dict[str, list[list[float]]] = {by: [] for by in predictors}
        taken: dict[str, list[float]] = {by: [] for by in predictors}
        for path in paths[task]:
            known = path[:count]
            asked = rng.permutation(np.setdiff1d(np.arange(len(valid)), known))[:_ASKED]
            for by, predict in predictors.items():
                begin = time.process_time()
                told = predict(features, x[known], normal(valid[known]), x[asked])
                taken[by].append(1000 * (time.process_time() - begin))
                found[by].append(measured(valid, asked, told))
        for by in predictors:
            told_of = {"table": table.name, "task": table.tasks[task], "results": count, "by": by}
            yield {**told_of, "ms": float(np.median(taken[by])), "measures": np.array(found[by])}


def ratios(rows: list[dict[str, Any]], by: str) -> dict[str, Any]:
    """Of a predictor to the process, by what they are of (all, a table, a number of results) and measure."""
    pairs = zip(*([row for row in rows if row["by"] == who] for who in (PROCESS, by)), strict=True)
    groups: dict[str, list[np.ndarray]] = {"all": []}
    for one, other in pairs:
        for group in ("all", one["table"], f"{one['results']} results"):
            groups.setdefault(group, []).append(gain(one["measures"], other["measures"]))
    return {
        group: {name: ratio(np.array(cells)[..., m]) for m, name in enumerate(MEASURES)}
        for group, cells in groups.items()
    }


def verdict(found: dict[str, Any], tables: list[str], minutes: float) -> str:
    """In words."""
    best = {name: found[name]["best 20"] for name in ("all", *tables)}
    worse = [name for name in tables if best[name]["high"] < 1]
    helps = "predicts" if best["all"]["low"] > 1 and not worse else "does not predict"
    where = f"; it is worse on {', '.join(worse)}" if worse else ""
    ratio = "{point:.2f} [{low:.2f}, {high:.2f}]".format(**best["all"])
    return (
        f"With an in-context model taught for {minutes:.1f} min of processor time the process {helps} "
        f"clearly better: above its best 20 is {ratio} times as much of a table as above that of both "
        f"together{where}."
    )


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in plain values: means over draws."""
    return [
        {
            **{key: row[key] for key in ("table", "task", "results", "by", "ms")},
            "best 20": 100 * (1 - float(row["measures"][:, 0].mean())),
            "Spearman": float(row["measures"][:, 1].mean()),
        }
        for row in rows
    ]


def text(data: dict[str, Any]) -> str:
    """Markdown: the verdict, ratios, then one row a task, number of results and predictor."""
    taught = data["taught"]
    lines = [data["verdict"], ""]
    lines += [
        f"Taught for {taught['minutes']:.2f} min with {taught['searches']:.0f} simulated searches, "
        f"{taught['steps']:.0f} steps, loss at the end {taught['loss']:.3f}; "
        f"{data['parameters']:,} parameters.",
        "",
    ]
    lines += [
        "| ratio to the process | of | " + " | ".join(MEASURES) + " |",
        "|" + "---|" * (2 + len(MEASURES)),
    ]
    for by, groups in data["ratios"].items():
        for group, found in groups.items():
            cells = [f"{r['point']:.2f} [{r['low']:.2f}, {r['high']:.2f}]" for r in found.values()]
            lines.append(f"| {by} | {group} | " + " | ".join(cells) + " |")
    head = ["table", "task", "results", "by", *MEASURES, "ms"]
    lines += ["", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in data["rows"]:
        cells = [r["table"], r["task"], str(r["results"]), r["by"], f"{r['best 20']:.2f}"]
        cells += [f"{r['Spearman']:.3f}", f"{r['ms']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


@click.command()
@click.option("--table", "paths", required=True, multiple=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    default=55.0,
    show_default=True,
    help="Of processor time.",
)
@click.option("--draws", type=click.IntRange(1), default=8, show_default=True, help="Searches, a task.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--save", "kept", type=click.Path(path_type=Path, dir_okay=False), help="The model, safetensors."
)
@click.option("--load", "taken", type=click.Path(path_type=Path, exists=True), help="One that was saved.")
@click.option("--out", help="Name under benchmarks/results/.")
@click.option("--json", "as_json", is_flag=True)
def main(
    paths: tuple[Path, ...],
    minutes: float,
    draws: int,
    seed: int,
    kept: Path | None,
    taken: Path | None,
    out: str | None,
    as_json: bool,
) -> None:
    """Teaches a model, and holds it against the process."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        tables = [read(path) for path in paths]
        for table in tables:
            View(Features(Codes(table.space)), np.random.default_rng(0))
            if len(table.configs) < 2 * RESULTS_KNOWN[0]:
                raise DataError(f"{table.name} has {len(table.configs)} configurations: 20 are needed")
        model, taught = load(taken) if taken else (None, {})
    except MetanasError as error:
        raise click.ClickException(str(error)) from None
    if model is None:
        torch.manual_seed(seed)
        model = InContext()
        taught = train(model, minutes, seed, lambda line: click.echo(line, err=True))
    if kept:
        save(model, taught, kept)

    predictors: dict[str, Predict] = {PROCESS: by_process, MODEL: by_model(model), BOTH: by_both(model)}
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for table in tables:
        cells = (
            len(predictors)
            * len(table.tasks)
            * sum(2 * count <= len(table.configs) for count in RESULTS_KNOWN)
        )
        every = compared(table, predictors, range(seed, seed + draws), rng)
        with click.progressbar(every, cells, table.name, file=sys.stderr, update_min_steps=2) as shown:
            rows += shown
    found = {by: ratios(rows, by) for by in (MODEL, BOTH)}
    names = list(dict.fromkeys(row["table"] for row in rows))
    command = f"benchmarks/in_context.py {' '.join(sys.argv[1:])}"
    data = {
        "command": command,
        "machine": machine(),
        "verdict": verdict(found[BOTH], names, taught["minutes"]),
        "taught": taught,
        "parameters": sum(p.numel() for p in model.parameters()),
        "ratios": found,
        "rows": plain(rows),
    }
    if out:
        publish(out, data, text(data))
    click.echo(json.dumps(data) if as_json else text(data))


if __name__ == "__main__":
    main()
