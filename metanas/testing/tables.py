"""Tables for tests: lines of drawn slope, one a machine, with columns of every kind."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = ["row", "site", "machine", "load", "mode", "day", "wear"]
MODES = ("eco", "normal", "boost")


def rows(machines: int = 24, each: int = 12, seed: int = 0, sites: int = 6) -> list[list[Any]]:
    """``wear`` = slope of the machine · load + a mode's own; machines lie in sites."""
    rng = np.random.default_rng(seed)
    found: list[list[Any]] = []
    for machine in range(machines):
        slope = rng.uniform(-2, 2)
        for _ in range(each):
            load, mode = float(rng.uniform(-3, 3)), int(rng.integers(3))
            wear = 10 + slope * load + mode
            day = f"2024-0{1 + int(rng.integers(9))}-1{int(rng.integers(10))}"
            row = [
                len(found) + 1,
                f"site {machine % sites}",
                f"m{machine:02}",
                f"{load:.3f}",
                MODES[mode],
                day,
            ]
            found.append([*row, f"{wear:.3f}"])
    return found


def write(path: Path, lines: Sequence[Sequence[Any]], columns: Sequence[str] = COLUMNS) -> Path:
    """A CSV file."""
    with open(path, "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        writer.writerows(lines)
    return path


def labelled(path: Path, machines: int = 24, each: int = 24, seed: int = 0) -> Path:
    """``state`` is worn or fine, by a threshold of the machine's own on two readings."""
    rng = np.random.default_rng(seed)
    lines = []
    for machine in range(machines):
        direction = rng.normal(size=2)
        for _ in range(each):
            x = rng.normal(size=2)
            lines.append([f"m{machine:02}", *x.round(4), "worn" if x @ direction > 0 else "fine"])
    return write(path, lines, ["machine", "a", "b", "state"])
