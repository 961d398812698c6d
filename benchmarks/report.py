"""The page of a study: its size, how long it takes to open, and whether its figures are those of ``--json``.

    .venv/bin/python benchmarks/report.py --budget 2m                    # a search, and its page
    .venv/bin/python benchmarks/report.py --trials 3 --family harmonics  # a quick one
    .venv/bin/python benchmarks/report.py --store sqlite:///metanas.db --study sinusoid   # one that is there

Opening is a headless Chromium from its start to a picture of the page, the best of three, less what it takes
for an empty page: what the page itself costs; both are given. Without a Chromium it is left out. ``--json``
prints one object.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from search import METANAS, machine

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MOST_BYTES, MOST_SECONDS = 6_000_000, 2.0
_TIMES = 3
# of the facts: scores, intervals, shares and costs, all of which the page shows
SHOWN = ("test", "baselines", "by_shots", "by_steps", "learning_curve", "importance", "leaderboard", "costs")
_NAMES = {"trial", "parent", "tasks"}  # numbers that are shown as names, in words


def metanas(folder: Path, *words: str) -> str:
    """What a command prints, in that folder."""
    done = subprocess.run([METANAS, *words], cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def figures(value: Any, name: str = "") -> Iterator[float]:
    """Every number of the facts, less those that are names."""
    inside = (
        value.items()
        if isinstance(value, dict)
        else [(name, v) for v in value]
        if isinstance(value, list)
        else ()
    )
    for key, inner in inside:
        yield from figures(inner, key)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and name not in _NAMES:
        yield float(value)


def compared(page: str, facts: dict[str, Any]) -> dict[str, int]:
    """How many figures there are, and what is in one place alone."""
    told = set(figures({key: facts[key] for key in SHOWN}))
    shown = {float(text) for text in re.findall(r'<data value="([^"]+)"', page)}
    alone = {"on the page alone": shown - set(figures(facts)), "in --json alone": told - shown}
    return {"on the page": len(shown), **{where: len(those) for where, those in alone.items()}}


def seconds(page: Path) -> float:
    """From Chromium's start to a picture of the page, the best of three."""
    assert CHROMIUM is not None
    words = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,2600"]
    taken = []
    for _ in range(_TIMES):
        start = time.monotonic()
        picture = f"--screenshot={page.with_suffix('.png')}"
        subprocess.run([*words, picture, page.as_uri()], stderr=subprocess.DEVNULL, check=True, timeout=300)
        taken.append(time.monotonic() - start)
    return min(taken)


def opened(page: Path) -> dict[str, float]:
    """Seconds to open the page, and an empty one."""
    if CHROMIUM is None:
        return {}
    empty = page.with_name("empty.html")
    empty.write_text("<!doctype html><title>empty</title>")
    return {"page": seconds(page), "empty page": seconds(empty)}


def measured(folder: Path, study: str, store: str) -> dict[str, Any]:
    """The page of a study, and all that is asked of it."""
    page = folder / "report.html"
    facts = json.loads(metanas(folder, "report", study, "--store", store, "--json", "-o", str(page)))
    alike, taken = compared(page.read_text(encoding="utf-8"), facts), opened(page)
    return {
        "bytes": page.stat().st_size,
        "small": page.stat().st_size < MOST_BYTES,
        "seconds": taken,
        "quick": taken["page"] - taken["empty page"] < MOST_SECONDS if taken else None,
        "figures": alike,
        "same": not alike["on the page alone"] and not alike["in --json alone"],
        "machine": machine(),
    }


def lines(found: dict[str, Any]) -> str:
    """The same for a person."""
    taken = found["seconds"]
    opening = (
        f"{taken['page']:.2f} s, of which an empty page takes {taken['empty page']:.2f} s"
        if taken
        else "not measured: no Chromium here"
    )
    alike = ", ".join(f"{count} {where}" for where, count in found["figures"].items())
    said = "the same" if found["same"] else "NOT the same"
    return f"size: {found['bytes']:,} bytes\nopened in: {opening}\nfigures: {alike}: {said}"


@click.command()
@click.option("--family", default="sinusoid", show_default=True, help="That is searched.")
@click.option("--budget", help="Of the search. [default: 1m, unless --trials are given]")
@click.option("--trials", type=int)
@click.option("--store", help="URL of a store that has --study: nothing is searched.")
@click.option("--study", default="study", show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(
    family: str, budget: str | None, trials: int | None, store: str | None, study: str, as_json: bool
) -> None:
    """Measures the page of a study."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text).resolve()
        if store is None:
            store = f"sqlite:///{folder}/metanas.db"
            limit = ["--trials", str(trials)] if trials and not budget else ["--budget", budget or "1m"]
            metanas(folder, "search", family, *limit, "--study", study, "--store", store)
        elif store.startswith("sqlite:///"):
            store = f"sqlite:///{Path(store.removeprefix('sqlite:///')).resolve()}"
        found = measured(folder, study, store)
    click.echo(json.dumps(found) if as_json else lines(found))
    sys.exit(0 if found["small"] and found["same"] and found["quick"] is not False else 1)


if __name__ == "__main__":
    main()
