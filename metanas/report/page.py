"""A study as one page that needs nothing else: HTML with everything inside."""

from __future__ import annotations

import base64
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from metanas.goals import in_words as objectives
from metanas.learner.card import inputs_in_words
from metanas.report.charts import line_chart, off_scale, search_charts
from metanas.report.facts import Study, candidate_of, facts
from metanas.report.inputs import Summary
from metanas.report.layers import boxes
from metanas.report.lines import Line
from metanas.words import data_in_words, in_words
from search_spaces import Candidate, Record, Score, catalogue, plugins
from search_spaces.named import consent

_SHOWN = 8  # rows of the leaderboard that are seen at once
_LONG = 120  # characters of a value, beyond which its end is left out


def page(study: Study, version: str) -> str:
    """The page; every figure in it is one of :func:`metanas.report.facts.facts`.

    Args:
        study: What it shows.
        version: Of metanas.
    """
    environment = Environment(
        loader=PackageLoader("metanas.report", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "short": _short, "quote": shlex.quote}
    return environment.get_template("page.html").render(**_data(study), version=version)


def _data(study: Study) -> dict[str, Any]:
    found, signature, candidate = facts(study), study.signature, candidate_of(study)
    winner, settings, summary = study.winner, study.settings, _summary(study)
    return {
        "study": study.name,
        "family": settings["family"]["name"],
        "settings": settings,
        "signature": signature,
        "result": found,
        "words": in_words(candidate),
        "candidate": candidate,
        "consent": consent(candidate),
        "boxes": boxes(candidate, signature),
        "rule": _rule(candidate),
        "scores": _bars([{"name": "ours", **found["test"]}, *found["baselines"]]),
        "limited": len({"over" in row for row in found["baselines"]}) > 1,
        "leaders": [found["leaderboard"][:_SHOWN], found["leaderboard"][_SHOWN:]],
        "search": list(map(_image, search_charts(study.records, summary))),
        "objectives": objectives(study.goals.objectives),
        "off_scale": off_scale(study.records, summary),
        "tasks": {**study.tasks, "charts": list(map(_image, study.tasks.get("charts", ())))},
        "lines": _lines(study, found),
        "data": data_in_words(settings["preprocessing"]),
        "inputs": list(inputs_in_words(settings["preprocessing"], signature.input_shape)),
        "costs": found["costs"],
        "versions": winner.versions if winner else {},
        "seed": winner.seed if winner else None,
    }


def _lines(study: Study, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Charts of the winner's score over examples, steps of adapting and meta-steps, with their figures."""
    signature, winner = study.signature, study.winner
    each = "a class" if signature.kind == "classification" else "a task"
    steps = candidate_of(study).get(f"rule.{candidate_of(study)['rule']}.steps")
    over = {
        "by_shots": ("shots", f"labelled examples {each}", float(study.settings["shots"])),
        "by_steps": ("steps", "steps of adapting to a task", None if steps is None else float(steps)),
        "learning_curve": ("meta_steps", "meta-steps of training", None),
    }
    charts = []
    for key, (name, across, marked) in over.items():
        rows = found[key]
        if len(rows) < 2:
            continue
        line = Line(*_columns(rows, name), marked=marked)
        others = _others(study.records, winner) if key == "learning_curve" else []
        image = _image(line_chart(signature, [*others, line], across))
        charts.append({"key": key, "image": image, "name": name, "across": across, "rows": rows})
    return charts


def _columns(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[float], list[float], list[float]]:
    intervals = [float(row["ci95"]) for row in rows if "ci95" in row]
    return [float(row[name]) for row in rows], [float(row["value"]) for row in rows], intervals


def _others(records: Sequence[Record], winner: Record | None) -> list[Line]:
    """The learning curves of the other trials that began anew."""
    own = winner.number if winner else None
    curves = [r.valid_curve for r in records if r.number != own and r.parent is None and r.valid_curve]
    return [Line([step for step, _ in curve], [value for _, value in curve], pale=True) for curve in curves]


def _summary(study: Study) -> Summary:
    result, winner = study.results[-1], study.winner
    metric, sign = result["test"]["metric"], -1 if study.signature.higher_is_better else 1

    def score(row: Mapping[str, Any]) -> Score:
        value, ci95 = (math.nan if row[key] is None else float(row[key]) for key in ("value", "ci95"))
        return Score(metric, value, ci95, result["test"]["tasks"], "test")

    against = [row for row in result["baselines"] if row["name"] == result["verdict"]["against"]]
    rivals = {row["name"]: score(row) for row in against}
    if result["folds"] > 1 and result["verdict"]["difference"] is not None:  # of several: see held_against
        value = result["test"]["value"] + sign * result["verdict"]["difference"]
        rivals = {name: replace(one, value=value) for name, one in rivals.items()}
    family = study.settings["family"]["name"]
    test, goals = score(result["test"]), study.goals
    return Summary(study.name, family, study.signature, winner, test, rivals, goals=goals)


def _image(svg: str) -> str:
    """An SVG as the source of an image: apart from the page, whatever names are in it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _rule(candidate: Candidate) -> dict[str, Any]:
    module = plugins.load(*catalogue.RULES, str(candidate["rule"]))
    return {"summary": plugins.summary(module), "formula": catalogue.formula(candidate)}


def _bars(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with their bars, and the ends of the intervals, in per cent of the room."""
    known = [[_finite(row["value"]), _finite(row["ci95"])] for row in rows]
    most = max((value + ci95 for value, ci95 in known), default=0.0) or 1.0
    return [
        {
            **row,
            "length": 100 * value / most,
            "low": 100 * max(0.0, value - ci95) / most,
            "high": 100 * (value + ci95) / most,
        }
        for row, (value, ci95) in zip(rows, known, strict=True)
    ]


def _finite(value: float | None) -> float:
    return 0.0 if value is None or not math.isfinite(value) else max(0.0, float(value))


def _number(value: Any, metric: str = "", digits: int = 4) -> str:
    """A figure as a person reads it; a dash where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if metric == "accuracy":
        return f"{100 * value:.2f} %"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


def _short(value: Any) -> str:
    """Whatever a setting is, in one line that is not too long."""
    if isinstance(value, Mapping):
        text = ", ".join(f"{key} {_short(inner)}" for key, inner in value.items())
    elif isinstance(value, (list, tuple)):
        text = ", ".join(map(_short, value))
    else:
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"
