"""Holds the learned controller against Optuna's TPE in whole searches, and lets it learn from other families.

    .venv/bin/python benchmarks/live.py --seeds 3 --out live              # needs METANAS_DATA; 54 minutes
    .venv/bin/python benchmarks/live.py --families sinusoid,exam --seeds 1 --budget 20s

For each seed, each family is searched three times by ``metanas search``, one search after the other:

    tpe   Optuna's TPE
    cold  the learned controller with an empty store
    warm  the learned controller with a store that holds the cold searches, of the same seed, of the others

Validation scores are mean squared errors. While a search runs, its best validation score so far is read from
its store once a second, of all trials (``final``) and of those that were proposed, without those that go on
from others (``proposed``): after two fifths of its budget a search proposes no more, and trains the best to
the end of its time, so that final scores come late whatever the controller does.

Told, medians over seeds: the scores; seconds from the start of the command to when cold first had its own
last score, and to when warm first had that score (never: infinite); their ratio; the ratio of the errors of
cold and tpe, below 1 where cold is better; and the geometric means of those of warm and cold at some moments.

``--out NAME`` puts the rows into NAME.json and NAME.md under benchmarks/results/ as they come, and the same
command, with more seeds if need be, does what is missing. With ``--folder`` stores are kept, too: without it
a seed that was not finished does its cold searches again, since the warm ones need their stores.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from live_figures import KINDS, METHODS, Curve, Row, plain, summary, text
from search import METANAS, RESULTS, machine
from tables import TABLES, words

from storage import Store

FAMILIES = "sinusoid,harmonics,exam,milk"
_EVERY = 1.0  # seconds between two looks at a store
# of a study, the least error that was reported so far, by whether the trial was proposed
_LEAST = """
SELECT ours.parent IS NULL, MIN(reported.intermediate_value)
FROM trial_intermediate_values AS reported
JOIN trials ON trials.trial_id = reported.trial_id
JOIN studies ON studies.study_id = trials.study_id
JOIN metanas_study AS study ON study.name = studies.study_name
JOIN metanas_trial AS ours ON ours.study_id = study.id AND ours.number = trials.number
WHERE study.name = ? GROUP BY 1
"""


@dataclass(frozen=True)
class Search:
    """One search, in a folder of its own, and the store in that."""

    folder: Path
    family: str
    method: str
    seed: int
    budget: str
    words: tuple[str, ...] = ()  # more of the command line

    @property
    def home(self) -> Path:
        return self.folder / f"{self.seed}-{self.family}-{self.method}"

    @property
    def store(self) -> Path:
        return self.home / "metanas.db"

    def run(self, others: Sequence[Search], before: Callable[[], None] = lambda: None) -> Row:
        """Searches, with what the others have found in its store; ``before`` that is called."""
        shutil.rmtree(self.home, ignore_errors=True)  # of a search that was stopped
        self.home.mkdir(parents=True)
        for other in others:
            copy(other.store, self.store, other.family)
        before()
        command = [str(METANAS), "search", *family_words(self.family), "--study", self.family]
        command += ["--store", f"sqlite:///{self.store}", "--budget", self.budget, "--seed", str(self.seed)]
        command += ["--controller", METHODS.get(self.method, "learned"), "--json"]
        command += self.words
        curves, out, seconds = watched(command, self.home, lambda: least(self.store, self.family))
        result = json.loads(out.splitlines()[-1])
        return {
            "family": self.family,
            "method": self.method,
            "seed": self.seed,
            "budget": self.budget,
            "final": result["best"]["valid"]["value"],
            "proposed": curves["proposed"][-1][1] if curves["proposed"] else None,
            "test": result["test"]["value"],
            "trials": sum(result["trials"].values()),
            "wall_seconds": seconds,
            "curves": curves,
        }


def family_words(name: str) -> list[str]:
    """The words of the command line that name a family."""
    return words(name) if name in TABLES else [name]


def copy(source: Path, target: Path, study: str) -> None:
    """Writes what a store knows of a study into another one, but for weights and training curves."""
    with Store.open(str(source), create=False) as old, Store.open(str(target)) as new:
        new.save_study(study, old.settings(study))
        new.save_fingerprint(study, f"copy of {study}", old.fingerprints()[study])
        for record in old.records(study):
            if record.state != "running":
                kept = replace(record, weights=None, curve=())
                new.start(replace(kept, state="running", score=None))
                new.finish(kept)


def least(store: Path, study: str) -> dict[str, float]:
    """The least errors so far, of ``KINDS``; none before there are any."""
    if not store.exists():
        return {}
    try:
        with closing(sqlite3.connect(f"{store.as_uri()}?mode=rw", uri=True, timeout=1.0)) as database:
            found = {bool(proposed): value for proposed, value in database.execute(_LEAST, (study,))}
    except sqlite3.OperationalError:  # its tables are not there yet
        return {}
    known = {True: found.get(True), False: min((v for v in found.values() if v is not None), default=None)}
    both = zip(KINDS, (known[False], known[True]), strict=True)
    return {kind: value for kind, value in both if value is not None}


def watched(
    command: Sequence[str], folder: Path, look: Callable[[], Mapping[str, float]]
) -> tuple[dict[str, Curve], str, float]:
    """Runs a command; what it printed, its seconds, and when what is looked at became better."""
    curves: dict[str, Curve] = {kind: [] for kind in KINDS}
    start = time.monotonic()
    with (folder / "out").open("w+") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out)
        try:
            ended = False
            while not ended:  # once more when it has ended
                ended = _ends(process)
                note(curves, time.monotonic() - start, look())
        finally:
            process.kill()
        if process.returncode:
            raise click.ClickException(f"{' '.join(command)} failed with {process.returncode}")
        out.seek(0)
        return curves, out.read(), time.monotonic() - start


def _ends(process: subprocess.Popen[bytes]) -> bool:
    """Whether it ended in the time between two looks."""
    try:
        process.wait(_EVERY)
    except subprocess.TimeoutExpired:
        return False
    return True


def note(curves: Mapping[str, Curve], seconds: float, seen: Mapping[str, float]) -> None:
    """Adds to each curve what is better than all before."""
    for kind, value in seen.items():
        if not curves[kind] or value < curves[kind][-1][1]:
            curves[kind].append((round(seconds, 2), value))


def wanted(
    folder: Path, families: Sequence[str], seeds: Sequence[int], budget: str, words: tuple[str, ...]
) -> list[list[Search]]:
    """By seed, all searches; the cold ones first, which the warm ones need."""
    methods = sorted(METHODS, key=lambda method: method != "cold")
    return [
        [Search(folder, family, method, seed, budget, words) for method in methods for family in families]
        for seed in seeds
    ]


def search_all(
    searches: Sequence[Search], rows: dict[tuple[str, int, str], Row], keep: Callable[[], None]
) -> None:
    """Does what is missing of one seed."""
    if all(key(search) in rows for search in searches):
        return
    cold = [search for search in searches if search.method == "cold"]
    for search in searches:
        if key(search) in rows and (search.method != "cold" or search.store.exists()):
            continue
        others = [one for one in cold if one.family != search.family] if search.method == "warm" else []
        rows[key(search)] = search.run(others)
        click.echo(text([rows[key(search)]]).splitlines()[-1], err=True)
        keep()


def key(search: Search) -> tuple[str, int, str]:
    """Of its row."""
    return search.family, search.seed, search.method


class Kept:
    """Rows under benchmarks/results/, if they have a name there.

    Raises:
        ClickException: If those that are there are of other searches.
    """

    def __init__(
        self, name: str | None, budget: str, families: Sequence[str], words: tuple[str, ...] = ()
    ) -> None:
        self._paths = [] if name is None else [RESULTS / f"{name}.json", RESULTS / f"{name}.md"]
        self._made = {"budget": budget, "families": list(families), "words": list(words)}
        data = json.loads(self._paths[0].read_text()) if name and self._paths[0].exists() else {}
        if data and any(data[what] != value for what, value in self._made.items()):
            has = shlex.join(
                ["--budget", data["budget"], "--families", ",".join(data["families"]), *data["words"]]
            )
            raise click.ClickException(f"{self._paths[0]} has rows of {has}: give these, or another --out")
        self.rows = {(r["family"], r["seed"], r["method"]): r for r in data.get("rows", [])}

    def data(self) -> dict[str, Any]:
        """All that is known."""
        command = f"benchmarks/live.py {' '.join(sys.argv[1:])}"
        rows = [self.rows[which] for which in sorted(self.rows, key=self._place)]
        medians = [plain(line) for line in summary(rows)]
        return {"command": command, "machine": machine(), **self._made, "rows": rows, "summary": medians}

    def write(self) -> None:
        """Saves it."""
        if self._paths:
            data = self.data()
            self._paths[0].write_text(json.dumps(data) + "\n")
            self._paths[1].write_text(f"`{data['command']}`, {machine()}\n\n{text(data['rows'])}\n")

    def _place(self, which: tuple[str, int, str]) -> tuple[int, int, int]:
        family, seed, method = which
        return self._made["families"].index(family), seed, list(METHODS).index(method)


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--families", default=FAMILIES, show_default=True, help="With commas between, two at least.")
@click.option("--budget", default="90s", show_default=True, help="Of each search.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="How many.")
@click.option("--first-seed", default=0, show_default=True)
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Keeps the stores. [default: a temporary one]"
)
@click.option("--out", help="Name under benchmarks/results/.")
@click.option("--json", "as_json", is_flag=True)
@click.argument("extra", nargs=-1)
def main(
    families: str,
    budget: str,
    seeds: int,
    first_seed: int,
    folder: Path | None,
    out: str | None,
    as_json: bool,
    extra: tuple[str, ...],
) -> None:
    """Runs the searches; further words go to metanas search."""
    names = families.split(",")
    if len(names) < 2:
        raise click.ClickException("--families should be two at least: warm searches learn from the others")
    kept = Kept(out, budget, names, extra)
    with tempfile.TemporaryDirectory() as temporary:
        home = (folder or Path(temporary)).resolve()
        for searches in wanted(home, names, range(first_seed, first_seed + seeds), budget, extra):
            search_all(searches, kept.rows, kept.write)
    data = kept.data()
    click.echo(json.dumps(data) if as_json else text(data["rows"]))


if __name__ == "__main__":
    main()
