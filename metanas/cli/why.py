"""``metanas why``: why a controller proposed a trial."""

from __future__ import annotations

import json
import shlex
from typing import Any

import click
import optuna

from metanas.cli.options import HELP, json_option, print_json, store_option, store_words
from metanas.cli.settings import families_of, study_name
from metanas.origins import ENQUEUED, FOLLOWS, NEIGHBOUR, PROPOSED, RECIPE
from metanas.words import in_words
from search_spaces import Record
from storage import Store

_STARTS = {
    "spread": "it begins the search: its parts and values were those tried least until then",
    "parts": "it begins the search: the best parts until then, with the other settings tried least",
    "settings": "it begins the search: the best settings until then, with other choices of its parts",
    "earlier": "it begins the search: earlier studies rank it high, and it is unlike those before it",
    "uniform": "it begins the search: drawn uniformly, to learn where earlier studies may be wrong",
    "all tried": "drawn uniformly: all candidates near by had been tried",
}


@click.command(context_settings=HELP)
@click.argument("study")
@click.argument("trial", type=int)
@store_option
@json_option
def command(study: str, trial: int, store: str, as_json: bool) -> None:
    """Why TRIAL of STUDY was proposed: what was expected of it, and on whose word."""
    with Store.open(store, create=False) as memory:
        record = memory.record(study, trial)
        told = [e.why for e in memory.events(study) if e.what == PROPOSED and e.trial == trial]
        reason = json.loads(told[-1]) if told else _followed(memory, record)
        there = store_words(memory.shown)
    if as_json:
        print_json({"study": study, "trial": trial, "candidate": dict(record.candidate), "reason": reason})
        return
    click.echo(f"Trial {trial} of {study}: {'; '.join(in_words(record.candidate).values())}")
    for line in _lines(record, reason, there):
        click.echo(line)


def _followed(memory: Store, record: Record) -> dict[str, Any] | None:
    """Where the trial is one family's of a search over several: the trial there, which has a reason."""
    seed = _attributes(memory, record).get(FOLLOWS)
    for summary in memory.studies():
        whole = summary.name
        if record.study not in {study_name(whole, family) for family in families_of(summary.settings)}:
            continue
        for one in memory.records(whole):
            if seed is not None and (one.seed, one.parent) == (seed, None):
                return {"by": "search", "how": FOLLOWS, "study": whole, "of": one.number}
    return None


def _attributes(memory: Store, record: Record) -> dict[str, Any]:
    """What Optuna has of the trial; nothing, if it was deleted there."""
    try:
        study = optuna.load_study(study_name=record.study, storage=memory.optuna)
        return dict(study.get_trials(deepcopy=False)[record.number].user_attrs)
    except (KeyError, IndexError):
        return {}


def _lines(record: Record, reason: dict[str, Any] | None, there: str) -> list[str]:
    if record.parent is not None:
        return [f"It goes on from trial {record.parent}; no controller chose it."]
    if reason is None:
        return ["The controller that proposed it gives no reasons; learned, the usual one, does."]
    if reason["how"] == RECIPE:
        return [f"It is {reason['of']}, which --start asked for; no controller chose it."]
    if reason["how"] == FOLLOWS:
        told = shlex.join(["metanas", "why", reason["study"], str(reason["of"])]) + there
        return [f"It was proposed for all families of a search, not for this one alone: {told}"]
    if reason["how"] == ENQUEUED:
        return [f"It was put into Optuna's queue, with values for {', '.join(reason['given'])}."]
    if reason["how"] == NEIGHBOUR:
        return [_near(reason["of"])]
    if reason["how"] in _STARTS:
        return [f"Proposed by the controller {_by(reason)}: {_STARTS[reason['how']]}."]
    return _expected(reason) + _sources(reason)


def _near(of: int | None) -> str:
    what = "the smallest candidate that was found" if of is None else f"trial {of}"
    return f"It is a neighbour of {what}; the search chose it, for its objectives or limits, no controller."


def _expected(reason: dict[str, Any]) -> list[str]:
    mean, low, high, best = (100 * reason["better_than"][key] for key in ("mean", "low", "high", "best"))
    lines = [
        f"Proposed by the controller {_by(reason)}: {_place(reason)} of {reason['compared']} candidates by "
        f"expected improvement{' a second' if reason['cost'] else ''}, from {reason['results']} results of "
        "its study.",
        f"Expected: better than {mean:.0f} % of those results (95 % interval: {low:.0f} to {high:.0f} %); "
        f"the best until then: {best:.0f} %.",
        f"Exploration: {100 * reason['exploration']:.0f} % of that improvement is owed to what is uncertain.",
    ]
    if reason.get("aside"):
        lines.append("They all had its parts: some trials have those of the second and third best.")
    if reason.get("policy"):
        lines.append("The snapshot's policy proposed it, or one that it was reached from by small changes.")
    if reason["cost"]:
        lines.append(f"Cost: expected at {reason['cost']:.2g} times that of the median trial.")
    near = reason["nearest"]
    lines.append(f"Nearest trial: {near['trial']}, from which it differs in {', '.join(near['differs'])}.")
    return lines


def _place(reason: dict[str, Any]) -> str:
    if not (passed := reason.get("passed", 0)):
        return "the best"
    return f"number {passed + 1} (those before it were refused, or too much like what was running)"


def _sources(reason: dict[str, Any]) -> list[str]:
    if not reason["earlier"]:
        return ["No earlier study had a say: the store knew none that fits, or it was not asked."]
    lines = [
        "Earlier studies, and by how much each changed what was expected (standard deviations of results):"
    ]
    lines += [f"  {study['study']}: {study['part']:+.2f}" for study in reason["earlier"]]
    if (slope := reason.get("agreement")) is not None:
        true = 100 * min(max(slope, 0), 1)
        told = f"{true:.0f} % of what they expected of one another's results came true"
        lines.append(f"Held against each other before the search: {told}.")
    return lines


def _by(reason: dict[str, Any]) -> str:
    snapshot = reason.get("snapshot")
    return f"{reason['by']} with snapshot {snapshot[:12]}" if snapshot else str(reason["by"])
