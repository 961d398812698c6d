"""``metanas space explain|shrink``: what the trials of studies say of their space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from metanas import lessons
from metanas.cli.files import check_writable
from metanas.cli.options import HELP, json_option, print_json, store_option
from metanas.cli.quiet import quiet_optuna
from metanas.cli.settings import refuse_several
from metanas.lessons import Dominated, Edge, Graded, Interaction
from search_spaces import Categorical, Signature, Space, Value, catalogue, narrowing
from search_spaces.errors import StoreError
from storage import Store

_SHOWN = 10  # choices, and pairs of them, that are printed


@dataclass(frozen=True)
class Lessons:
    """What is told of a space.

    Attributes:
        studies: That were asked.
        space: Of the first of them; of the others counts what it has, too.
        signature: Of its tasks.
        trials: That tell something.
        tested: Values of which they tell whether these are dominated.
    """

    studies: tuple[str, ...]
    space: Space
    signature: Signature
    trials: Sequence[Graded]
    tested: int
    importance: dict[str, float]
    interactions: Sequence[Interaction]
    dominated: Sequence[Dominated]
    edges: Sequence[Edge]


@click.command(context_settings=HELP)
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@store_option
@json_option
def explain(studies: tuple[str, ...], store: str, as_json: bool) -> None:
    """Which choices matter and interact in STUDY..., which values are dominated, which best are at an edge.

    Trials are ranked within their study, by how far they got and what they scored there; several studies are
    taken together. A value is dominated if its trials were worse than their other choices tell (a linear
    model, 5 % over all tests) and none of them was among the best tenth. Controllers look where it is good,
    so trials are no random sample: small shares mean little.
    """
    quiet_optuna()
    told = _learn(studies, store)
    if as_json:
        print_json(_plain(told))
        return
    for line in _lines(told):
        click.echo(line)


@click.command(context_settings=HELP)
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The space file to write, .toml."
)
@store_option
@json_option
def shrink(studies: tuple[str, ...], output: Path, store: str, as_json: bool) -> None:
    """Write the space of STUDY... without its dominated values, for metanas search ... --space FILE.

    A best that is at the edge of a range is named, not acted on: widen the range in the file by hand.
    """
    quiet_optuna()
    if output.suffix != ".toml":
        raise click.UsageError(f"a space file ends in .toml, not {output.name}")
    check_writable(output)
    told = _learn(studies, store)
    cuts: dict[str, list[tuple[Value, ...]]] = {}
    for one in told.dominated:
        cuts.setdefault(one.choice, []).append(one.values)
    smaller = narrowing.without(told.space, cuts)
    output.write_text(_text(told, smaller), encoding="utf-8")
    if as_json:
        print_json({**_plain(told), "file": str(output)})
        return
    for line in [*_dominated(told), *_edges(told)]:
        click.echo(line)
    click.echo(f"{output}: {_size(smaller)} candidates, of {_size(told.space)}")


def _learn(studies: tuple[str, ...], store: str) -> Lessons:
    with Store.open(store, create=False) as memory:
        settings = {study: memory.settings(study) for study in studies}
        for study, known in settings.items():
            refuse_several(study, known, "space explain")
        records = {study: memory.records(study) for study in settings}
    first = settings[studies[0]]
    space = Space.from_json(first["space"])
    trials = [
        trial
        for study, known in settings.items()
        for trial in lessons.graded(
            study, records[study], space, Signature.from_dict(known["signature"]).higher_is_better
        )
    ]
    if len(trials) < lessons.FEWEST:
        raise StoreError(
            f"{len(trials)} trials have ended: {lessons.FEWEST} or more are needed to learn from"
        )
    return Lessons(
        tuple(settings),
        space,
        Signature.from_dict(first["signature"]),
        trials,
        lessons.tested_values(trials, space),
        lessons.importance(trials, space),
        lessons.interactions(trials, space),
        lessons.dominated(trials, space),
        lessons.edges(trials, space),
    )


def _text(told: Lessons, smaller: Space) -> str:
    studies = ", ".join(told.studies)
    head = f"# {told.space.name} as {len(told.trials)} trials of {studies} leave it: metanas space shrink\n"
    return head + narrowing.as_file(smaller, _start(told))


def _start(told: Lessons) -> Space:
    """The named space that a file starts from: that of the studies, or the one that has most of theirs."""
    augmentation = told.space.flat.get("outer.augmentation")
    offered = [str(v) for v in augmentation.values] if isinstance(augmentation, Categorical) else ["none"]
    own, *others = sorted(catalogue.SPACES, key=lambda name: name != told.space.name)
    named = [catalogue.space(n, told.signature, augmentations=offered) for n in (own, *others)]
    return max(named, key=lambda space: len(told.space.flat.keys() & space.flat.keys()))


def _plain(told: Lessons) -> dict[str, Any]:
    return {
        "studies": list(told.studies),
        "space": told.space.name,
        "trials": len(told.trials),
        "trials_needed": lessons.needed(told.space),
        "values_tested": told.tested,
        "importance": told.importance,
        "interactions": [one._asdict() for one in told.interactions],
        "dominated": [one._asdict() for one in told.dominated],
        "edges": [one._asdict() for one in told.edges],
    }


def _lines(told: Lessons) -> list[str]:
    lines = [f"{len(told.trials)} trials of {', '.join(told.studies)}, in space {told.space.name}", ""]
    lines += [
        "What decides whether a trial is among the better ones (PED-ANOVA; relative shares, which",
        "sum to 1 where nothing matters, too):",
    ]
    lines += [f"  {share:6.1%}  {name}" for name, share in list(told.importance.items())[:_SHOWN]]
    lines += ["", "What works together (share of variance that the two explain only jointly):"]
    pairs = [f"  {one.share:6.1%}  {' and '.join(one.choices)}" for one in told.interactions[:_SHOWN]]
    return [*lines, *(pairs or ["  no pair that is clear of chance"]), "", *_dominated(told), *_edges(told)]


def _dominated(told: Lessons) -> list[str]:
    if not told.tested:
        return [
            "Too few trials to call any value dominated: its effect has to be told from those of all other "
            f"choices, which takes up to {lessons.needed(told.space)}"
        ]
    if not told.dominated:
        return ["No value is dominated, as far as these trials tell."]
    lines = ["Dominated: worse than the others, and never among the best tenth:"]
    return lines + [
        f"  {one.choice} = {_words(told.space, one)}: mean rank {one.rank:.2f} of {one.trials} trials, "
        f"the others {one.others:.2f} (1 is best; p = {one.p:.2g})"
        for one in told.dominated
    ]


def _edges(told: Lessons) -> list[str]:
    return [
        f"At an edge: the best of {', '.join(one.studies)} has {one.choice} {_place(told.space, one)}, the "
        f"{'highest' if one.highest else 'lowest'} allowed, as {one.near} of the {one.best} best trials: "
        "what lies beyond may be better"
        for one in told.edges
    ]


def _place(space: Space, one: Edge) -> str:
    """Of a range, its last tenth counts as its edge."""
    return f"{'at' if isinstance(space.flat[one.choice], Categorical) else 'near'} {_value(one.value)}"


def _words(space: Space, one: Dominated) -> str:
    if isinstance(space.flat[one.choice], Categorical):
        return _value(one.values[0])
    return " to ".join(map(_value, one.values))


def _value(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _size(space: Space) -> str:
    return space.describe().partition("\n")[0].split(": ")[1].removesuffix(" candidates")
