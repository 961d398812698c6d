"""Times a proposal of the learned controller, and says what it takes of memory, on one thread.

    .venv/bin/python benchmarks/proposal.py [--json] [--proposals 30] [--out proposal]

In the default space for tables, where trials are simulated and cost nothing: after 200 results of its own
study, cold; and with 5,000 records of 50 other studies too, which are read before the first proposal. Each
row is a fresh process. Memory is its peak less the peak once torch, Optuna and the space are there.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# this file is called as others are that have to be found first
sys.path[:] = [*(folder for folder in sys.path if Path(folder or ".").resolve() != HERE), str(HERE)]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is loaded

import multiprocessing  # noqa: E402
import resource  # noqa: E402
import time  # noqa: E402

import click  # noqa: E402
import numpy as np  # noqa: E402
import optuna  # noqa: E402
import torch  # noqa: E402
from search import machine, publish  # noqa: E402

from metanas.testing import simulated  # noqa: E402
from search_spaces import Candidate, Record, Signature, Space, catalogue  # noqa: E402

STUDIES, TRIALS, OWN = 50, 100, 200
_WIDE = (0.05, 0.1, 0.2, 0.08, 0.3)  # half intervals of scores, in these


def error(rng: np.random.Generator, space: Space) -> Any:
    """A smooth function of candidates: each value of each choice adds its own part."""
    parts: dict[tuple[str, Any], float] = {}

    def of(candidate: Candidate) -> float:
        total = 0.0
        for name, value in candidate.items():
            key = (name, round(np.log(value), 1) if isinstance(value, float) else value)
            total += parts.setdefault(key, float(rng.normal()))
        return total

    return of


def others(space: Space, studies: int) -> list[Record]:
    """Records of other studies, each with a function of its own."""
    rng = np.random.default_rng(0)
    names = [f"study {number}" for number in range(studies)]
    return [r for n in names for r in simulated.records(n, space, error(rng, space), rng, TRIALS)]


def timed(studies: int, proposals: int) -> dict[str, Any]:
    """One row."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = catalogue.space("default", Signature("regression", (1,), 1, 5))
    records = others(space, studies)
    study_rng = np.random.default_rng(1)
    worth, before = error(study_rng, space), _peak()
    from controllers import learned  # its own imports count

    begun = time.perf_counter()
    study = optuna.create_study(sampler=learned.build(space, 0, records))
    reading = 1e3 * (time.perf_counter() - begun)
    rows = [_proposal(study, space, worth) for _ in range(OWN + proposals)]
    late = rows[OWN:]
    return {
        "results": OWN,
        "records": len(records),
        "studies": studies,
        "ms": float(np.median(late)),
        "slowest_ms": max(late),
        "reading_ms": reading,
        "first_ms": rows[0],
        "mb": _peak() - before,
    }


def _proposal(study: optuna.Study, space: Space, worth: Any) -> float:
    begun = time.perf_counter()
    trial = study.ask()
    candidate = space.suggest(trial)
    taken = 1e3 * (time.perf_counter() - begun)
    value = float(np.exp(worth(candidate)))
    trial.set_user_attr("ci95", _WIDE[trial.number % len(_WIDE)] * value)
    study.tell(trial, value)
    return taken


def _peak() -> float:
    """MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| own results | records of others | ms a proposal, median (slowest) | ms to read the records | MB |"
    ]
    lines += ["|---|---|---|---|---|"]
    for row in rows:
        told = f"{row['records']:,} of {row['studies']}" if row["studies"] else "none"
        times = f"{row['ms']:.1f} ({row['slowest_ms']:.1f}) | {row['reading_ms']:.0f}"
        lines.append(f"| {row['results']} | {told} | {times} | {row['mb']:.0f} |")
    return "\n".join(lines)


@click.command()
@click.option("--proposals", default=30, show_default=True, help="That are timed.")
@click.option("--out", help="Name under benchmarks/results/.")
@click.option("--json", "as_json", is_flag=True)
def main(proposals: int, out: str | None, as_json: bool) -> None:
    """Times proposals."""
    rows = []
    for studies in (0, STUDIES):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(timed, (studies, proposals)))
    data = {"command": "benchmarks/proposal.py", "machine": machine(), "rows": rows}
    if out:
        publish(out, data, table(rows))
    click.echo(json.dumps(data) if as_json else table(rows))


if __name__ == "__main__":
    main()
