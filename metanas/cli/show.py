"""``metanas show``: a study's verdict, or one trial, in words."""

from __future__ import annotations

from typing import Any

import click

from metanas.cli.joint_tables import print_families, stored_standings
from metanas.cli.live import places_json, record_words, score_words, trial_json
from metanas.cli.options import HELP, going_on, json_option, print_json, store_option
from metanas.cli.result import baseline_name
from metanas.cli.settings import families_of
from metanas.cli.summary import print_front, wide_console
from metanas.goals import Goals
from metanas.standings import Standing
from metanas.tally import added, front_rows
from metanas.words import FRESH
from search_spaces import Record, catalogue
from search_spaces.errors import MetanasError
from storage import Store

_COSTS = {
    "seconds": "seconds of training and scoring",
    "peak_memory": "peak memory, bytes",
    "parameters": "numbers set by meta-training",
    "multiply_adds": "multiply-adds to adapt and predict one task",
    "adapt_ms": "milliseconds to adapt to one task",
}
_FIGURES = {"rate": "α", "m": "memory of m", "v": "memory of v"}


@click.command(context_settings=HELP)
@click.argument("study")
@click.argument("trial", required=False, type=int)
@store_option
@json_option
def command(study: str, trial: int | None, store: str, as_json: bool) -> None:
    """What STUDY came to, the front where it has several objectives; or all known of one TRIAL of it."""
    with Store.open(store, create=False) as memory:
        settings = memory.settings(study)
        families = families_of(settings)
        if trial is not None:
            record = memory.record(study, trial)
            standing = _standing(memory, study, settings, trial) if families else None
            places = places_json(standing) if standing else {}
            rule, curves = _rule(memory, record), {"curve": record.curve, "valid_curve": record.valid_curve}
            told = trial_json(record) | curves | rule | places
            print_json(told) if as_json else _trial(record, standing, rule)
            return
        results, records = memory.results(study), memory.records(study)
    goals = Goals.of(settings)
    front = front_rows(records, goals)
    if as_json:
        told = {"study": study, "settings": settings, "results": results, "trials": len(records)}
        print_json(told | {"objectives": goals.objectives, "front": front})
    elif families and results:
        click.echo(
            f"Study {study}: families {', '.join(families)}, seed {settings['seed']}, {len(records)} trials"
        )
        print_families(results[-1])
    else:
        _study(study, settings, results, records, going_on(study, memory.shown))
    if not as_json and goals.limited:
        click.echo(f"Limits: {goals.in_words}")
    if not as_json and front:
        print_front(wide_console(), front, goals.objectives)


def _standing(memory: Store, study: str, settings: dict[str, Any], trial: int) -> Standing | None:
    found = stored_standings(memory, study, settings)
    return next((standing for standing in found if standing.trial.number == trial), None)


def _rule(memory: Store, record: Record) -> dict[str, Any]:
    """Its formula, a line each, and what was learned of its figures; nothing of a part that is not here."""
    try:
        learned = {}
        if record.weights:
            from metanas.learner.weights import tensors  # torch is loaded here
            from search_spaces.rules.interface import sub

            learned = catalogue.learned(record.candidate, sub(tensors(memory.get(record.weights)), "meta"))
        return {"formula": list(catalogue.formula(record.candidate)), "learned": learned}
    except (KeyError, MetanasError):
        return {"formula": [], "learned": {}}


def _trial(record: Record, standing: Standing | None, rule: dict[str, Any]) -> None:
    click.echo(record_words(record, standing))
    for place in standing.places if standing else ():
        click.echo(f"  on {place.family}: trial {place.record.number} of study {place.record.study}")
    click.echo("\nCandidate")
    for name, value in record.candidate.items():
        click.echo(f"  {name}: {value}")
    if rule["formula"]:
        click.echo("\n".join(["\nRule", *(f"  {line}" for line in rule["formula"])]))
    if rule["learned"]:
        click.echo(
            "  learned: " + ", ".join(f"{_FIGURES.get(n, n)} {v:.4g}" for n, v in rule["learned"].items())
        )
    click.echo("\nCosts")
    for name, cost in vars(record.costs).items():
        shown = "not measured" if cost is None else f"{cost:,}" if isinstance(cost, int) else f"{cost:,.3f}"
        click.echo(f"  {_COSTS[name]}: {shown}")
    click.echo(
        f"\nSeed {record.seed}"
        + (f", went on from trial {record.parent}" if record.parent is not None else "")
    )
    of = "mean position, 0 is best, at " if standing else ""
    for step, value in record.valid_curve:
        click.echo(f"  {of}meta-step {step:,}: {value:.5g}")


def _study(
    name: str, settings: dict[str, Any], results: list[dict[str, Any]], records: list[Record], again: str
) -> None:
    family = settings["family"]["name"]
    shots = f"{settings['shots']} shots, " if "shots" in settings else ""  # each family has its own
    setting = f"family {family}, {shots}seed {settings['seed']}"
    click.echo(f"Study {name}: {setting}, {len(records)} trials")
    if not results:
        click.echo(f"No run has ended with a verdict yet. To go on, {again}")
        return
    last = results[-1]
    best = next((r for r in records if r.number == last["best"]["trial"]), None)
    click.echo(
        f"Winner: trial {last['best']['trial']}, {last['best']['architecture']} with {last['best']['rule']}"
    )
    if best and best.score:
        click.echo(f"Validation: {score_words(best.score)}")
    test = last["test"]
    of = f"{test['tasks']:,} {test.get('of', FRESH)}"
    click.echo(f"Test: {test['metric']} {test['value']:.4g} ± {test['ci95']:.2g} on {of}")
    for baseline in last["baselines"]:
        click.echo(f"  {baseline_name(baseline)}: {baseline['value']:.4g} ± {baseline['ci95']:.2g}")
    click.echo(f"Verdict: {last['verdict']['sentence']}")
    if more := added(records, last):
        told = "1 trial has" if more == 1 else f"{more} trials have"
        click.echo(f"{told} been added since this verdict, by what has none yet.")
    click.echo(f"Saved: {', '.join(last['saved'].values())}")
