"""Records a table of search results of our own: meta-trains every candidate of a small joint space.

    .venv/bin/python benchmarks/record_table.py --jobs 2                  # needs METANAS_DATA
    .venv/bin/python benchmarks/record_table.py --families sinusoid --limit 12 --rungs 3,9,27 --out few.npz

The space is that of ``grid.py``: 432 candidates, network x rule, conditional. Each is meta-trained on each
family to three rungs by the evaluator of a search, and scored as a search scores it: on the same validation
tasks at every rung, and after the last one on test tasks, which a replayed search never sees. Candidates
that differ in numbers alone are trained together, as in a search.

What is done is appended to a file beside the table (``.jsonl``), a line a family and candidate, as soon as
it is known: the next call goes on from there, also after ``kill -9``, which costs what was being trained, two
to four candidates a process. ``--budget`` ends a call after that time. Candidates come in an order drawn
from the seed, so that the estimate of what is left is fair from the start; ``--limit`` takes the first ones.
With the usual rungs all of it should take about two hours of one core, by what a few candidates took on a
busy machine: of a core, 1 to 2 ms a meta-step and candidate for ridge, 5 for one step of learning, and 12 for
five; a quarter of a second for scoring.

The table has the format of ``recorded.py``, with those families of which all candidates are done, and

    valid    (T, N, R)  minus the logarithm of the mean squared error on validation tasks; higher is better
    test     (T, N)     the same on test tasks, with the weights of the last rung
    cost     (T, N)     seconds of training and scoring, a share where several are trained together
    seeds    (T, N)     of the meta-training of each
    about    JSON: what it was made with, and the settings that all candidates share

The logarithm, since the errors of one family differ a hundredfold: a difference of 0.1 is a tenth of the
error for the good and for the bad, on every family. What diverged is NaN, and is told.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is loaded: the tensors are too small for more

import click
import grid
import numpy as np
from recording import Key, Row, Work, judged, planned, record
from search import RESULTS, machine
from tables import TABLES

from metanas.budget import parse
from search_spaces.errors import MetanasError

FAMILIES = "sinusoid,harmonics,exam,milk"
PUBLISHED = RESULTS / "joint.npz"
RUNGS = "60,180,540"


class Rows:
    """What is done, in a file of JSON lines that is only ever added to.

    Args:
        path: Of the file; made if it is not there. What is behind its last whole line is cut off.
        rungs: In meta-steps.
        seed: Of everything random.

    Raises:
        ClickException: If the file has something else in it.
    """

    def __init__(self, path: Path, rungs: Sequence[int], seed: int) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            file.seek(0)
            whole, end, _ = file.read().rpartition(b"\n")
            file.truncate(len(whole + end))  # a line was being written when it was killed
        try:
            rows = [json.loads(line) for line in whole.splitlines()]
            made = {(tuple(row["rungs"]), row["seed"]) for row in rows}
            self.done: dict[Key, Row] = {(row["family"], row["id"]): row for row in rows}
        except (ValueError, KeyError, TypeError):
            raise click.ClickException(f"{path} is no file of recorded rows: take another --out") from None
        for steps, other in made - {(tuple(rungs), seed)}:
            has = f"--rungs {','.join(map(str, steps))} --seed {other}"
            raise click.ClickException(f"{path} was recorded with {has}: give these, or another --out")

    def left(self, work: Sequence[Work]) -> list[Work]:
        """The work that is not done; what is trained together is done together."""
        return [one for one in work if not self.done.keys() >= set(one.keys)]

    def add(self, rows: Sequence[Row]) -> None:
        """Appends rows in one go."""
        with self.path.open("a") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))
        self.done.update({(row["family"], row["id"]): row for row in rows})


def run(work: Sequence[Work], jobs: int, seconds: float) -> Iterator[list[Row]]:
    """Rows as they come; nothing is begun after so many seconds."""
    end = time.monotonic() + seconds
    if jobs == 1:
        for one in work:
            if time.monotonic() >= end:
                return
            yield record(one)
        return
    waiting, running = iter(work), set[Future[list[Row]]]()
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _end_with_parent) as pool:
        while True:
            while len(running) < jobs and time.monotonic() < end and (one := next(waiting, None)):
                running.add(pool.submit(record, one))
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()


def _end_with_parent() -> None:
    """In a worker: it ends with the process that started it, which kill -9 does not see to."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def table(rows: Mapping[Key, Row], work: Sequence[Work]) -> dict[str, np.ndarray]:
    """The arrays of the table: of the families that are whole, none if none is."""
    missing = {one.family for one in work for key in one.keys if key not in rows}
    families = [family for family in dict.fromkeys(one.family for one in work) if family not in missing]
    drawn = {point for one in work for point in one.points}
    points = [point for point in grid.points() if point in drawn]
    found = [[rows[family, grid.whole(point).id] for point in points] for family in families]
    configs = np.array([grid.config(point) for point in points], dtype=np.int16)
    used = np.flatnonzero((configs >= 0).any(0))  # some of the grid may lack a choice
    return {
        "space": np.array(json.dumps([grid.dimensions()[i] for i in used])),
        "configs": configs[:, used],
        "tasks": np.array(families),
        "valid": _goodness([[row["valid"] for row in line] for line in found]),
        "test": _goodness([[row["test"] for row in line] for line in found]),
        "cost": np.array([[row["cost"] for row in line] for line in found], dtype=np.float32),
        "rungs": np.array(work[0].rungs),
        "seeds": np.array([[row["own_seed"] for row in line] for line in found], dtype=np.int64),
    }


def _goodness(errors: Any) -> np.ndarray:
    """Minus the logarithm of mean squared errors; NaN where there is none."""
    values = np.array(errors, dtype=float)
    return (-np.log(np.maximum(values, np.finfo(float).tiny))).astype(np.float32)


def about(work: Sequence[Work]) -> dict[str, Any]:
    """What the table was made with."""
    return {
        "command": " ".join(["benchmarks/record_table.py", *sys.argv[1:]]),
        "machine": machine(),
        "seed": work[0].seed,
        "score": "-log(mean squared error)",
        "fixed": grid.FIXED,
        "tables": {name: TABLES[name] for name in {one.family for one in work} if name in TABLES},
    }


def told(rows: Sequence[Row]) -> str:
    """What became of the candidates, in words."""
    ends = Counter(row["ended"] for row in rows if failed(row))
    lost = ", ".join(f"{count} {ended}" for ended, count in ends.items()) or "none"
    hours = sum(row["cost"] for row in rows) / 3600
    return f"{len(rows):,} rows, {hours:.2f} hours of training and scoring; without a score: {lost}"


def failed(row: Row) -> bool:
    """Whether a candidate has no score at the end, on validation or on test tasks."""
    return row["valid"][-1] is None or row["test"] is None


@click.command()
@click.option("--families", default=FAMILIES, show_default=True, help="With commas between.")
@click.option("--rungs", default=RUNGS, show_default=True, help="Meta-steps, rising, with commas between.")
@click.option("--seed", default=0, show_default=True, help="Of tasks, of training, and of the order of work.")
@click.option("--limit", type=click.IntRange(1), help="About so many candidates. [default: all]")
@click.option("--budget", help="Time after which nothing new is begun: 30m, 2h. [default: none]")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--out", type=click.Path(path_type=Path), default=PUBLISHED, show_default=True)
def main(
    families: str, rungs: str, seed: int, limit: int | None, budget: str | None, jobs: int, out: Path
) -> None:
    """Records the table, or goes on with it."""
    steps, names = _rising(rungs), families.split(",")
    try:
        seconds = parse(budget) if budget else math.inf
        for name in names:  # what is wrong is said before anything is done
            judged(name, seed)
    except MetanasError as error:
        raise click.ClickException(str(error)) from None
    if out == PUBLISHED and (limit or {*names} < {*FAMILIES.split(",")}):
        raise click.ClickException(f"{out} is the whole table: give --out for a part of one")
    rows, work = Rows(out.with_suffix(".jsonl"), steps, seed), planned(names, steps, seed, limit)
    left = rows.left(work)
    _keep(rows, run(left, jobs, seconds), sum(len(one.points) for one in left))
    arrays = table(rows.done, work)
    click.echo(told([rows.done[key] for one in work for key in one.keys if key in rows.done]))
    if not len(arrays["tasks"]):
        click.echo("no family is whole yet: the same command goes on")
        return
    with out.open("wb") as file:
        np.savez_compressed(file, about=json.dumps(about(work)), **arrays)
    click.echo(f"{out}: {', '.join(arrays['tasks'])}")


def _keep(rows: Rows, found: Iterator[list[Row]], left: int) -> None:
    """Keeps rows as they come, and tells how long the others will take."""
    begin, new = time.monotonic(), 0
    for batch in found:
        rows.add(batch)
        new += len(batch)
        ahead = (time.monotonic() - begin) / new * (left - new) / 60
        click.echo(f"{new} of {left} rows, about {ahead:.0f} min left", err=True)
        for row in filter(failed, batch):
            click.echo(f"  {row['family']} {row['candidate']}: {row['ended']}, {row['reason']}", err=True)


def _rising(text: str) -> tuple[int, ...]:
    steps = tuple(int(word) if word.isdigit() else 0 for word in text.split(","))
    if list(steps) != sorted(set(steps)) or steps[0] < 1:
        raise click.ClickException(f"--rungs should be rising meta-steps such as {RUNGS}, not {text}")
    return steps


if __name__ == "__main__":
    main()
