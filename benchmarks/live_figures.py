"""What live searches of ``live.py`` come to: medians over seeds, and tables of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from scipy.stats import bootstrap

METHODS = {"tpe": "tpe", "cold": "learned", "warm": "learned"}  # the controller of each
KINDS = ("final", "proposed")
_AS_GOOD = 1 + 1e-9  # times an error
_MOMENTS = {"12_s": 12.0, "30_s": 30.0, "end": math.inf}  # seconds, at which warm and cold are compared

Row = dict[str, Any]  # a search
Curve = list[tuple[float, float]]  # seconds, and the best error from then on


def reached(curve: Curve, error: float) -> float:
    """Seconds to when that error was reached; infinite if it never was."""
    return next((seconds for seconds, value in curve if value <= error * _AS_GOOD), math.inf)


def error_at(curve: Curve, seconds: float) -> float:
    """The best error by then; NaN if there was none."""
    return next((value for when, value in reversed(curve) if when <= seconds), math.nan)


def summary(rows: Sequence[Row]) -> list[Row]:
    """One line a family and kind, over the seeds that have all methods; then one of all families."""
    searched: dict[tuple[str, int], dict[str, Row]] = {}
    for row in rows:
        searched.setdefault((row["family"], row["seed"]), {})[row["method"]] = row
    found: list[Row] = []
    for family, kind in product([*dict.fromkeys(family for family, _ in searched), "all"], KINDS):
        here = [runs for (name, _), runs in searched.items() if family in (name, "all")]
        whole = [runs for runs in here if all(runs.get(method, {}).get(kind) for method in METHODS)]
        if whole:
            own = {} if family == "all" else {"seeds": len(whole), **_scores(kind, whole)}
            found.append({"family": family, "kind": kind, **own, **_ratios(kind, whole)})
    return found


def plain(line: Row) -> Row:
    """For JSON, which has no infinity: null."""
    return {name: None if value == math.inf else value for name, value in line.items()}


def _scores(kind: str, runs: Sequence[Mapping[str, Row]]) -> Row:
    return {
        **{method: float(np.median([run[method][kind] for run in runs])) for method in METHODS},
        **{f"seconds_{method}": float(np.median(_times(method, kind, runs))) for method in ("cold", "warm")},
    }


def _ratios(kind: str, runs: Sequence[Mapping[str, Row]]) -> Row:
    cold, warm = (_times(method, kind, runs) for method in ("cold", "warm"))
    return {
        "cold_to_tpe": float(np.median([run["cold"][kind] / run["tpe"][kind] for run in runs])),
        "seconds_ratio": float(np.median([w / c for w, c in zip(warm, cold, strict=True)])),
        **{f"warm_to_cold_{name}": _mean(_warm_to_cold(kind, runs, at)) for name, at in _MOMENTS.items()},
        "without_one": _mean(_but_one(_warm_to_cold(kind, runs, math.inf))),
        **{f"interval_{name}": _interval(_warm_to_cold(kind, runs, at)) for name, at in _MOMENTS.items()},
    }


def _mean(logs: np.ndarray) -> float | None:
    return float(np.exp(logs.mean())) if len(logs) else None


def _but_one(logs: np.ndarray) -> np.ndarray:
    """All but the search that is furthest from the others."""
    return np.delete(logs, np.abs(logs - np.median(logs)).argmax()) if len(logs) > 1 else logs


def _interval(logs: np.ndarray) -> list[float] | None:
    """Of the geometric mean, 90 %, by bootstrap over searches; None of fewer than two."""
    if len(logs) < 2:
        return None
    found = bootstrap((logs,), np.mean, confidence_level=0.9, method="percentile", rng=0)
    return np.exp(found.confidence_interval).tolist()


def _warm_to_cold(kind: str, runs: Sequence[Mapping[str, Row]], seconds: float) -> np.ndarray:
    """Logarithms of ratios of errors, of the seeds where both had one by then."""
    curves = [[run[method]["curves"][kind] for method in ("warm", "cold")] for run in runs]
    errors = np.array([[error_at(curve, seconds) for curve in pair] for pair in curves])
    logs = np.log(errors[:, 0] / errors[:, 1])
    return np.asarray(logs[np.isfinite(logs)])


def _times(method: str, kind: str, runs: Sequence[Mapping[str, Row]]) -> list[float]:
    """Seconds to the last score of the cold search."""
    return [reached(run[method]["curves"][kind], run["cold"][kind]) for run in runs]


def text(rows: Sequence[Row]) -> str:
    """Markdown: the medians, then one row a search."""
    shown = {**dict.fromkeys(METHODS, ".4g"), "cold_to_tpe": ".2f", "seconds_cold": ".0f"}
    shown |= {"seconds_warm": ".0f", "seconds_ratio": ".2f"}
    shown |= {f"warm_to_cold_{name}": ".2f" for name in _MOMENTS}
    head = ["family", "score", "seeds", *METHODS, "cold / tpe", "cold, s", "warm to cold's, s", "ratio"]
    head += ["warm / cold at 12 s", "at 30 s", "at the end"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in summary(rows):
        cells = [r["family"], r["kind"], str(r.get("seeds", ""))]
        cells += ["" if r.get(name) is None else format(r[name], form) for name, form in shown.items()]
        between = [r.get(f"interval_{name}") for name in _MOMENTS]
        cells[-len(between) :] = [
            f"{cell} [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else cell
            for cell, ends in zip(cells[-len(between) :], between, strict=True)
        ]
        lines.append("| " + " | ".join(cells) + " |")
    head = ["family", "seed", "method", "trials", "proposed", "final", "test", "wall s"]
    lines += ["", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in rows:
        cells = [r["family"], r["seed"], r["method"], r["trials"]]
        cells += ["" if r[name] is None else f"{r[name]:.4g}" for name in ("proposed", "final", "test")]
        lines.append("| " + " | ".join(map(str, [*cells, f"{r['wall_seconds']:.0f}"])) + " |")
    return "\n".join(lines)
