"""A study as one page that needs nothing else: HTML with everything inside."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from metanas.report.inputs import Summary
from metanas.report.layers import boxes
from metanas.report.matters import importance
from metanas.report.picture import png
from metanas.words import in_words
from search_spaces import Candidate, Record, Signature, Space, catalogue, plugins

_ROWS = 20  # of the leaderboard
_CHOICES = 12  # of those that mattered


@dataclass(frozen=True)
class Study:
    """What a page is made of: what a store remembers of a study.

    Attributes:
        name: Of the study.
        settings: That every run of it shares.
        records: Of its trials.
        results: Of its runs that have ended, oldest first; at least one.
        picture: PNG that the last run drew; None: drawn anew, without tasks.
        shots: Of the winner on test tasks: labelled examples, score, half of its 95 % interval.
    """

    name: str
    settings: Mapping[str, Any]
    records: Sequence[Record]
    results: Sequence[Mapping[str, Any]]
    picture: bytes | None = None
    shots: Sequence[Sequence[float]] = ()


def page(study: Study, version: str) -> str:
    """The page; every figure in it is one of ``--json``.

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
    environment.filters["number"] = _number
    return environment.get_template("page.html").render(**_data(study), version=version)


def _data(study: Study) -> dict[str, Any]:
    result, settings = study.results[-1], study.settings
    signature = Signature.from_dict(settings["signature"])
    candidate = Candidate(result["best"]["candidate"])
    winner = next((r for r in study.records if r.number == result["best"]["trial"]), None)
    picture = study.picture or png(
        study.records, Summary(study.name, settings["family"]["name"], signature, winner)
    )
    rows = [{"name": "ours", **result["test"]}, *result["baselines"]]
    return {
        "study": study.name,
        "family": settings["family"]["name"],
        "settings": settings,
        "signature": signature,
        "result": result,
        "words": in_words(candidate),
        "candidate": candidate,
        "boxes": boxes(candidate, signature),
        "rule": _rule(str(candidate["rule"])),
        "scores": _bars(rows),
        "leaders": _leaders(study.records, signature),
        "matters": list(
            importance(study.records, Space.from_json(settings["space"]), signature.higher_is_better).items()
        )[:_CHOICES],
        "shots": _bars([{"name": f"{int(n)}", "value": v, "ci95": ci} for n, v, ci in study.shots]),
        "costs": vars(winner.costs) if winner else {},
        "versions": winner.versions if winner else {},
        "seed": winner.seed if winner else None,
        "picture": base64.b64encode(picture).decode(),
    }


def _rule(name: str) -> dict[str, Any]:
    module = plugins.load(*catalogue.RULES, name)
    return {"summary": plugins.summary(module), "formula": getattr(module, "FORMULA", ())}


def _bars(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the lengths of their bars, in per cent of the longest."""
    finite = [float(row["value"]) for row in rows if row["value"] is not None and math.isfinite(row["value"])]
    longest = max(map(abs, finite), default=1.0) or 1.0
    return [
        {**row, "length": 0.0 if row["value"] is None else 100 * min(1.0, abs(float(row["value"])) / longest)}
        for row in rows
    ]


def _leaders(records: Sequence[Record], signature: Signature) -> list[dict[str, Any]]:
    sign = -1 if signature.higher_is_better else 1
    scored = [record for record in records if record.score is not None]
    scored.sort(key=lambda record: sign * record.score.value)  # type: ignore[union-attr]
    return [
        {
            "trial": r.number,
            "value": r.score.value if r.score else None,
            "ci95": r.score.ci95 if r.score else None,
            "steps": r.rung,
            "parameters": r.costs.parameters,
            "parent": r.parent,
            **in_words(r.candidate),
        }
        for r in scored[:_ROWS]
    ]


def _number(value: Any, digits: int = 4) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"
