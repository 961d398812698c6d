"""``metanas search``: the main job, from a family of tasks to a learner file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

from metanas.budget import Budget, parse
from metanas.cli.live import View, score_json, view_for
from metanas.cli.options import HELP, print_json, store_option
from metanas.cli.summary import print_summary
from metanas.cli.wiring import Request, check_writable, open_search, output_path, quiet_optuna
from metanas.finish import Winner
from metanas.folds import search_and_judge
from metanas.judging import Judgement
from metanas.saving import save_learner, save_picture
from metanas.search import Search
from metanas.tasks.family import Source
from metanas.undisturbed import insist
from metanas.words import in_words
from search_spaces.errors import BudgetError
from storage import Store

_DEFAULT_BUDGET = "10m"


@click.command(context_settings=HELP)
@click.argument("family")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--study", help="Name of the study; one that is there goes on. [default: the family's name]")
@store_option
@click.option(
    "--budget",
    "budget_text",
    help="Time for everything, final scoring included: 90s, 10m, 2h. [default: 10m]",
)
@click.option("--trials", type=int, help="New trials of this run; repeats exactly, given the seed.")
@click.option("--seed", type=int, help="Of everything random. [default: the study's, else 0]")
@click.option(
    "--controller", default="tpe", show_default=True, help="What proposes; see metanas controller list."
)
@click.option(
    "--space",
    default="default",
    show_default=True,
    help="What is proposed from; see metanas space list. Or a .toml file.",
)
@click.option(
    "--architecture",
    multiple=True,
    help="One of metanas architecture list, or nni:module:Class, an NNI model space of yours; several may be "
    "named. [default: all of the space]",
)
@click.option("--ways", type=int, help="Classes a task (classification). [default: 5]")
@click.option(
    "--shots", type=int, help="Labelled examples, a class or a task. [default: 1 a class, 5 a task]"
)
@click.option(
    "--queries", type=int, help="Scored examples, a class or a task. [default: 15 a class, 50 a task]"
)
@click.option("--task", "task_column", help="Column of a table that tells its tasks apart.")
@click.option("--target", help="Column of a table to predict.")
@click.option("--features", help="Columns to learn from, with commas between. [default: all others]")
@click.option("--group", help="Column of what tasks belong to: no group is in two splits.")
@click.option(
    "--kind",
    type=click.Choice(["regression", "classification"]),
    help="Of a table's tasks. [default: by the target's type]",
)
@click.option(
    "--test-data", type=click.Path(path_type=Path), help="Images whose classes are all test classes."
)
@click.option(
    "--splits", type=click.Path(path_type=Path), help="File that says which class or task is in which split."
)
@click.option(
    "--image-size", type=click.IntRange(4, 512), default=28, show_default=True, help="Pixels a side."
)
@click.option(
    "--rung",
    type=click.IntRange(1),
    help="Meta-steps after which trials are first compared; two more rungs follow, 3 and 9 times as far. "
    "[default: 100; for images 60, or 0.7 % of a budget that is in seconds]",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:n.")
@click.option("--execution", default="auto", show_default=True, help="auto, sequential, vmap or replay.")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a line on stdout; the last is the result."
)
def command(
    family: str,
    path: Path | None,
    study: str | None,
    store: str,
    budget_text: str | None,
    trials: int | None,
    as_json: bool,
    task_column: str | None,
    target: str | None,
    features: str | None,
    group: str | None,
    kind: Literal["regression", "classification"] | None,
    test_data: Path | None,
    splits: Path | None,
    image_size: int,
    **options: Any,
) -> None:
    """Search for the best learner of a FAMILY of tasks, over architecture and learning rule together.

    FAMILY is one of `metanas family list`, or module:Class, a class of yours; `images` takes a PATH: a
    zip or a folder of class folders; `table` takes a CSV or Parquet file, and the columns that tell tasks
    apart and that are to be predicted. Ends by writing STUDY.metanas (the learner), STUDY.png (what
    happened) and a verdict: whether it beats what you would have done without a search. Ctrl-C keeps
    what is done.

    \b
      metanas search sinusoid --budget 2m
      metanas search table exam.csv --task school --target score --budget 3m
      metanas search images photos.zip --ways 5 --shots 1 --budget 15m
      metanas search my_module:MyFamily --budget 2m
      metanas search sinusoid --trials 12 --seed 1 --controller random
    """  # noqa: D301  # \b is the mark for lines that click must not wrap
    # clock first: reading the data is part of the budget
    budget = _budget(budget_text, trials)
    name = study or family.rpartition(":")[2] or family
    quiet_optuna()
    for ending in (".metanas", ".png"):
        check_writable(output_path(name, ending))
    insist()
    with view_for(as_json, budget) as view:
        source = Source(
            path,
            test_data,
            splits,
            task=task_column,
            target=target,
            features=_listed(features),
            group=group,
            kind=kind,
            shots=options["shots"],
            image_size=image_size,
            progress=view.progress,
        )
        request = Request(family=family, source=source, study=name, store=store, **options)
        search, memory, others = open_search(request, view.moment, view.note)
        with memory:
            _run(search, memory, others, budget, view, as_json)


def _listed(text: str | None) -> tuple[str, ...]:
    """Names with commas between them."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _budget(text: str | None, trials: int | None) -> Budget:
    if trials is not None and trials < 1:
        raise BudgetError(f"--trials should be at least 1, not {trials}")
    if text is None and trials is None:
        text = _DEFAULT_BUDGET
    return Budget(None if text is None else parse(text), trials)


def _run(
    search: Search,
    store: Store,
    others: list[Callable[[], Search]],
    budget: Budget,
    view: View,
    as_json: bool,
) -> None:
    try:
        winner, judgement = search_and_judge(search, others, budget)
        for why in judgement.left_out:
            view.note(why)
        result = _save(search, store, winner, judgement, budget)
    except KeyboardInterrupt:
        view.__exit__(None, None, None)
        scored = sum(record.score is not None for record in search.records)
        again = shlex.join(["metanas", *sys.argv[1:]])
        click.echo(
            f"stopped; {scored} scored trials of study {search.name} are kept. To go on: {again}", err=True
        )
        sys.exit(130)  # as shells have it; click would add an empty line
    view.__exit__(None, None, None)
    if as_json:
        print_json(result)
    else:
        print_summary(search, winner, judgement, result)


def _save(
    search: Search, store: Store, winner: Winner, judgement: Judgement, budget: Budget
) -> dict[str, Any]:
    """Writes learner, picture and result; the result."""
    search.tell("writing the learner and the picture")
    learner, picture = output_path(search.name, ".metanas"), output_path(search.name, ".png")
    saved = {"learner": str(learner), "picture": str(picture), "store": store.shown}
    result = result_json(search, winner, judgement, saved)
    save_learner(learner, search, winner, result)
    try:
        save_picture(picture, search, winner, judgement)
    finally:  # the verdict is known, whatever becomes of the picture
        result["seconds"] = budget.spent
        store.save_result(search.name, result)
    return result


def result_json(
    search: Search, winner: Winner, judgement: Judgement, saved: dict[str, str]
) -> dict[str, Any]:
    """The result of a search as plain data: the last line of ``--json``, and what the store keeps."""
    record, verdict, test = winner.record, judgement.verdict, judgement.test
    states = ("complete", "pruned", "failed")
    best = {"trial": record.number, "candidate": dict(record.candidate), **in_words(record.candidate)}
    return {
        "study": search.name,
        "trials": {state: sum(r.state == state for r in search.records) for state in states},
        "seconds": 0.0,  # set when everything is written
        "best": best | {"valid": score_json(record.score)},
        "test": {**(score_json(test) or {}), "tasks": test.tasks, "transductive": test.transductive},
        "baselines": [{"name": n, "value": s.value, "ci95": s.ci95} for n, s in judgement.baselines.items()],
        "verdict": {
            "outcome": verdict.outcome,
            "against": verdict.against,
            "difference": verdict.difference,
            "ci95": verdict.ci95,
            "sentence": verdict.sentence,
        },
        "looks": judgement.looks,
        "folds": judgement.folds,
        "saved": saved,
    }
