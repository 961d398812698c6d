"""Times how long metanas takes to answer, and says which heavy modules are loaded for it.

    .venv/bin/python benchmarks/start.py [--json] [--runs 10]

Each figure is the median of fresh processes, run in turn, so that other work on the machine hits all of
them. ``python`` is the bare interpreter, which nobody can be faster than.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

METANAS = Path(sys.executable).with_name("metanas")
COMMANDS = {
    "metanas --help": [str(METANAS), "--help"],
    "import metanas": [sys.executable, "-c", "import metanas"],
    "python": [sys.executable, "-c", "pass"],
}
# the same commands, within a process that then says what it has loaded
CODE = {
    "metanas --help": "import sys; sys.argv[1:] = ['--help']\nfrom metanas.cli import main\nmain()",
    "import metanas": "import metanas",
    "python": "pass",
}
HEAVY = (
    "alembic",
    "matplotlib",
    "nni",
    "numpy",
    "optuna",
    "PIL",
    "rich",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "torch",
)
OURS = ("controllers", "search_spaces", "storage")


def seconds(command: list[str]) -> float:
    """Of one process, start to end."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def loaded(code: str) -> list[str]:
    """Those of HEAVY and OURS that a process has loaded at its end."""
    report = "import sys; print(' '.join({n.partition('.')[0] for n in sys.modules}))"
    program = f"import atexit; atexit.register(lambda: exec({report!r}))\n{code}"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return sorted({*HEAVY, *OURS} & set(done.stdout.splitlines()[-1].split()))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option("--runs", type=click.IntRange(1), default=10, show_default=True, help="Processes of each.")
def main(as_json: bool, runs: int) -> None:
    """Times `metanas --help` and `import metanas`."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs + 1):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    rows: list[dict[str, Any]] = [
        {
            "command": name,
            "ms": 1e3 * statistics.median(taken[1:]),  # the first run reads the files from the disk
            "least_ms": 1e3 * min(taken),
            "first_ms": 1e3 * taken[0],
            "loads": loaded(CODE[name]),
        }
        for name, taken in times.items()
    ]
    if as_json:
        click.echo(json.dumps({"rows": rows, "runs": runs, "python": platform.python_version()}))
        return
    for row in rows:
        heavy = ", ".join(row["loads"]) or "nothing heavy"
        click.echo(f"{row['command']:<16} {row['ms']:6.0f} ms (least {row['least_ms']:.0f})  loads {heavy}")


if __name__ == "__main__":
    main()
