"""How far earlier studies take the learned controller if it knows all of their results, as they are.

    .venv/bin/python benchmarks/transfer.py --table FILE.npz --seeds 20 --out transfer_FILE

On a recorded table ``learned`` searches each task twice: with records of a search of each other task, as in
``controllers.py --warm-from all``; and ``knowing``, where what each other task says of a candidate is not
what a process makes of its records, but the very result that the table has, on the scale of a standard
normal. All else is the same. No store of these tasks holds more than that, but it is no bound: single
results are noisy, and what a model makes of some of them can be worth more.

Ratios: see ``controllers.py``, which has the same options; to tpe, and to evolution that begins with the best
of the other tasks.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# a file beside this one is called as a package of ours is, which has to be found first
sys.path[:] = [*(folder for folder in sys.path if Path(folder or ".").resolve() != HERE), str(HERE)]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is loaded, here and in other processes

import click  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from kept import Kept  # noqa: E402
from needed import bests, ratio  # noqa: E402
from recorded import Table  # noqa: E402
from replay import Replay, table_at  # noqa: E402
from scipy.special import ndtri  # noqa: E402
from scipy.stats import rankdata  # noqa: E402
from search import machine, publish  # noqa: E402
from searches import Job, run  # noqa: E402

from controllers.learned import controller  # noqa: E402
from controllers.learned.codes import Codes  # noqa: E402
from controllers.learned.earlier import Earlier  # noqa: E402
from controllers.learned.features import Features  # noqa: E402
from search_spaces.errors import MetanasError  # noqa: E402

REFERENCES = ("tpe", "evolution-20-warm")
OURS = ("learned", "knowing")
AT = (10, 20, 50, 100)


@dataclass(frozen=True)
class Results:
    """Those of the other tasks, ``(N, T - 1)`` on the scale of a standard normal, by features."""

    rows: dict[bytes, int]
    normal: np.ndarray
    tasks: tuple[str, ...]

    @classmethod
    def of(cls, table: Table, task: int) -> Results:
        """All that the table has of tasks but that one."""
        codes = Codes(table.space)
        x = Features(codes).of(codes.rows([table.candidate(i) for i in range(len(table.configs))]))
        others = np.delete(table.valid[:, :, -1], task, 0).T
        ranks = rankdata(np.nan_to_num(others, nan=-np.inf), axis=0)
        places, names = {row.tobytes(): i for i, row in enumerate(x)}, np.delete(table.tasks, task)
        return cls(places, ndtri((ranks - 0.5) / len(ranks)), tuple(names.tolist()))


class Knowing(Earlier):
    """Earlier studies of which every result is known. What the table lacks is told by records, as usual."""

    def __init__(self, results: Results, *told: Any) -> None:
        self._results = results
        super().__init__(*told)

    def predictions(self, x: np.ndarray) -> np.ndarray:
        found = super().predictions(x)
        index = np.array([self._results.rows.get(row.tobytes(), -1) for row in x], dtype=int)
        # studies of too few records are not among them
        here = [self._results.tasks.index(name) for name in self.names]
        found[index >= 0] = self._results.normal[index[index >= 0]][:, here]
        return found


def searched(job: Job, kept: Kept) -> Replay:
    """One search; of ``knowing`` nothing is kept."""
    if job.controller != "knowing":
        return run(job, kept)
    results = Results.of(table_at(job.path), job.task)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controller, "Earlier", partial(Knowing, results))
        return run(replace(job, controller="learned"), Kept(None))


def row(table: Table, name: str, best: dict[int, np.ndarray]) -> dict[str, Any]:
    """One line: a controller, of ``(S, E)`` bests by task. Ranks are geometric means over tasks."""

    def rank(task: int, at: int) -> float:
        return float((table.valid[task, :, -1] > np.median(best[task][:, at - 1]) + 1e-7).sum() + 1)

    at = [n for n in AT if n <= best[0].shape[1]]
    return {
        "controller": name,
        "rank": {n: float(np.exp(np.mean([np.log(rank(t, n)) for t in best]))) for n in at},
    }


def text(data: dict[str, Any]) -> str:
    """Markdown."""
    ats = list(data["rows"][0]["rank"])
    head = ["controller", *(f"vs {name} at 100" for name in REFERENCES), *(f"rank at {n}" for n in ats)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for one in data["rows"]:
        found = data["ratios"].get(one["controller"], {})
        cells = [f"{r['point']:.2f} [{r['low']:.2f}, {r['high']:.2f}]" for r in found.values()]
        cells = (cells or [""] * len(REFERENCES)) + [f"{rank:.0f}" for rank in one["rank"].values()]
        lines.append(f"| {one['controller']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def compared(table: Table, curves: dict[str, dict[int, np.ndarray]]) -> dict[str, Any]:
    """Rows and ratios of ``(S, E)`` bests by controller and task."""
    return {
        "rows": [row(table, name, curves[name]) for name in curves],
        "ratios": {ours: {f"vs_{r}": ratio(curves[r], curves[ours]) for r in REFERENCES} for ours in OURS},
    }


@click.command()
@click.option("--table", "path", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--seeds", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@click.option("--first-seed", default=0, show_default=True)
@click.option("--evaluations", type=click.IntRange(1), default=200, show_default=True, help="Of each search.")
@click.option("--jobs", default=1, show_default=True, help="Searches at the same time.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="As of controllers.py.")
@click.option("--out", help="Name under benchmarks/results/.")
@click.option("--json", "as_json", is_flag=True)
def main(
    path: Path,
    seeds: int,
    first_seed: int,
    evaluations: int,
    jobs: int,
    keep: Path | None,
    out: str | None,
    as_json: bool,
) -> None:
    """Replays the searches."""
    try:
        table, names = table_at(str(path.resolve())), (*REFERENCES, *OURS)
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
    except (MetanasError, OSError) as error:
        raise click.ClickException(str(error)) from None
    tasks, numbers = range(len(table.tasks)), range(first_seed, first_seed + seeds)
    if len(tasks) < 3:
        raise click.ClickException(f"{path} has {len(tasks)} tasks: three are needed, two to tell of one")

    def job(name: str, t: int, seed: int) -> Job:
        others = tuple(s for s in tasks if s != t)
        return Job(str(path.resolve()), t, name, seed, evaluations, others, False)

    work = [job(name, t, seed) for name, t, seed in product(names, tasks, numbers)]
    found: dict[tuple[str, int], list[Replay]] = {pair: [] for pair in product(names, tasks)}
    one: Callable[[Job], Replay] = partial(searched, kept=Kept(keep))
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        replays = pool.map(one, work) if jobs > 1 else map(one, work)
        with click.progressbar(zip(work, replays, strict=True), length=len(work), file=sys.stderr) as shown:
            for each, done in shown:
                found[each.controller, each.task].append(done)
    curves = {
        name: {t: bests(table.valid[t, :, -1], found[name, t], evaluations) for t in tasks} for name in names
    }
    command = f"benchmarks/transfer.py {' '.join(sys.argv[1:])}"
    data = {"command": command, "machine": machine(), **compared(table, curves)}
    if out:
        publish(out, data, text(data))
    click.echo(json.dumps(data) if as_json else text(data))


if __name__ == "__main__":
    main()
