"""``metanas search``: the main job, from a family of tasks to a learner file."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from metanas.budget import Budget
from metanas.budget import parse as parse_budget
from metanas.cli.asking import Asked, parse, source, study_of
from metanas.cli.files import check_writable, output_path
from metanas.cli.joint import outputs, print_joint, save
from metanas.cli.joint_wiring import open_joint
from metanas.cli.live import View, view_for
from metanas.cli.options import HELP, data_options, print_json, store_option
from metanas.cli.quiet import quiet_optuna
from metanas.cli.result import result_json
from metanas.cli.study_file import read
from metanas.cli.summary import print_summary
from metanas.cli.wiring import FAMILIES, Request, open_search
from metanas.finish import Winner
from metanas.folds import search_and_judge
from metanas.joint import JointSearch
from metanas.judging import Judgement
from metanas.saving import save_front, save_learner, save_picture
from metanas.search import Search, Searching
from metanas.together import search_and_judge_each
from metanas.undisturbed import insist
from search_spaces import plugins
from search_spaces.errors import BudgetError, StoreError
from storage import Store, explaining
from storage.database import masked

_LEAST = 12.0  # seconds that one search with all its baselines takes at least, of a family of few tasks
_DEFAULT_BUDGET = "10m"


@click.command(context_settings=HELP)
@click.argument("families", nargs=-1, required=True, metavar="FAMILY [PATH]…")
@click.option("--study", help="Name of the study; one that is there goes on. [default: the family's name]")
@click.option(
    "--mix", is_flag=True, help="Of several families: one learner for all, each task drawn from one of them."
)
@store_option
@click.option(
    "--budget",
    "budget_text",
    help="Time for everything, final scoring included: 90s, 10m, 2h. [default: 10m]",
)
@click.option("--trials", type=int, help="New trials of this run; repeats exactly, given seed and store.")
@click.option("--seed", type=int, help="Of everything random. [default: the study's, else 0]")
@click.option(
    "--controller",
    default="learned",
    show_default=True,
    help="What proposes; see metanas controller list.",
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
@click.option(
    "--start", help="Recipes or steps to begin with, with commas between; see metanas rule recipes."
)
@click.option(
    "--objective",
    help="What is searched for, with commas between: score, latency (to adapt to a task and answer), "
    "parameters. [default: the study's, else score]",
)
@click.option(
    "--max-params", type=click.IntRange(1), help="Most parameters that a learner may have. [default: any]"
)
@click.option(
    "--max-latency",
    help="Most time that a learner may take to adapt to a task and answer: 5ms, 0.2s. [default: any]",
)
@click.option("--ways", type=int, help="Classes a task (classification). [default: 5]")
@click.option(
    "--shots", type=int, help="Labelled examples, a class or a task. [default: 1 a class, 5 a task]"
)
@click.option(
    "--queries", type=int, help="Scored examples, a class or a task. [default: 15 a class, 50 a task]"
)
@data_options
@click.option(
    "--rung",
    type=click.IntRange(1),
    help="Meta-steps after which trials are first compared; two more rungs follow, 3 and 9 times as far. "
    "[default: 100; for images 60, or 0.75 % of a study's first budget, if in seconds]",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:n.")
@click.option("--execution", default="auto", show_default=True, help="auto, sequential, vmap or replay.")
@click.option(
    "--precision",
    default="auto",
    show_default=True,
    help="Of training: float32, bfloat16, or auto: bfloat16 for images where the CPU is made for it.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a line on stdout; the last is the result."
)
@click.pass_context
def command(
    context: click.Context,
    /,
    families: tuple[str, ...],
    budget_text: str | None,
    trials: int | None,
    mix: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Search for the best learner of a FAMILY of tasks, over architecture and learning rule together.

    FAMILY is one of `metanas family list`, or module:Class, a class of yours; `images` takes a PATH: a
    zip or a folder of class folders; `table` takes a CSV or Parquet file, and the columns that tell tasks
    apart and that are to be predicted. Ends by writing STUDY.metanas (the learner), STUDY.png (what
    happened) and a verdict: whether it beats what you would have done without a search. Ctrl-C keeps
    what is done.

    Of several families, each candidate is trained and scored on each. It ends with the one that is best
    for all by its mean rank (STUDY-FAMILY.metanas), the best for each (STUDY-FAMILY-best.metanas), and
    their verdicts. Options are for all the families that have such; a study file (TOML) gives each its own.

    \b
      metanas search sinusoid --budget 2m
      metanas search table exam.csv --task school --target score --budget 3m
      metanas search images photos.zip --ways 5 --shots 1 --budget 15m
      metanas search my_module:MyFamily --budget 2m
      metanas search sinusoid harmonics table exam.csv --task school --target score
      metanas search study.toml
      metanas search sinusoid --trials 12 --seed 1 --controller random
      metanas search sinusoid --space gradient-methods --start maml,meta-sgd
      metanas search sinusoid --objective score,latency --max-params 5000
    """  # noqa: D301  # \b is the mark for lines that click must not wrap
    given = options | {"budget_text": budget_text, "trials": trials, "mix": mix}
    file = len(families) == 1 and families[0].endswith(".toml")
    asked = _from_file(context, Path(families[0]), given) if file else []
    # now: reading the data is part of it, and so is what was loaded since the command was typed
    begun = context.find_root().obj
    before = 0.0 if begun is None else time.monotonic() - begun
    budget = _budget(given["budget_text"], given["trials"], before)
    asked = asked or parse(families, plugins.names(*FAMILIES))
    quiet_optuna()
    insist()
    _search(asked, given, budget, as_json)


def _from_file(context: click.Context, path: Path, given: dict[str, Any]) -> list[Asked]:
    """The families of a study file; what it says of options goes where the command line says nothing."""
    file = read(path, context.command.params)
    said = {p.name for p in context.command.params if _said(context, str(p.name))}
    given.update({name: value for name, value in file.options.items() if name not in said})
    return [replace(one, own={n: v for n, v in one.own.items() if n not in said}) for one in file.families]


def _said(context: click.Context, name: str) -> bool:
    # METANAS_STORE is what holds where nothing else is said: a file that names its store means it
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _search(asked: list[Asked], given: dict[str, Any], budget: Budget, as_json: bool) -> None:
    """Searches one family, or several as one, or several beside each other."""
    if given["mix"] and len(asked) < 2:
        raise BudgetError("--mix takes several families, which it makes one of: name them, or leave it out")
    study, alone = given["study"] or study_of(asked), len(asked) == 1 or given["mix"]
    paths = [output_path(study, ending) for ending in (".metanas", ".png")]
    if not alone:
        paths = [path for one in asked for path in outputs(study, one.name).values()]
    for path in paths:
        check_writable(path)
    with view_for(as_json, budget) as view:
        requests = {one.name: _request(one, asked, study, given, view) for one in asked}
        if alone:
            mixed = _alike(requests) if len(asked) > 1 else None
            search, memory, others = open_search(requests[asked[0].name], view.moment, view.note, mixed)
            for note in too_short(budget, len(others)):
                view.note(note)
            with memory, explaining(memory.shown):
                _run(search, view, lambda: _one(search, memory, others, budget, view, as_json))
        else:
            joint, memory, folds = open_joint(study, requests, view.moment, view.note)
            for note in too_short(budget, len(folds), len(asked)):
                view.note(note)
            with memory, explaining(memory.shown):
                _run(joint, view, lambda: _several(joint, memory, folds, budget, view, as_json))


def too_short(budget: Budget, others: int, families: int = 1) -> Iterator[str]:
    """What is to be said where tasks are few, and the searches of all folds have too little time; or nothing.

    Args:
        budget: Of all.
        others: Folds beside the first; 0: the tasks have one split.
        families: That are searched beside each other, each with baselines of its own.
    """
    least = (others + 1) * families * _LEAST
    if others and budget.seconds is not None and budget.seconds < least:
        yield (
            f"the tasks are few and are searched {others + 1} times, whose baselines alone take about "
            f"{least:.0f} s: the budget will not be kept"
        )


def _alike(requests: Mapping[str, Request]) -> Mapping[str, Request]:
    """Requests for families that are mixed.

    Raises:
        BudgetError: If their tasks should be of different sizes.
    """
    for size in ("ways", "shots", "queries"):
        if len({getattr(request, size) for request in requests.values()}) > 1:
            raise BudgetError(f"--mix needs one number of {size} for all families: leave it out of their own")
    return requests


def _request(one: Asked, asked: list[Asked], study: str, given: dict[str, Any], view: View) -> Request:
    own = one.options(given, [other for other in asked if other is not one])
    searching = {field.name: given[field.name] for field in fields(Request) if field.name in given}
    mine = {name: own[name] for name in ("ways", "shots", "queries")}
    found = source(one, own, view.progress)
    return Request(**searching | mine | {"family": one.family, "source": found, "study": study})


def _budget(text: str | None, trials: int | None, before: float) -> Budget:
    if trials is not None and trials < 1:
        raise BudgetError(f"--trials should be at least 1, not {trials}")
    if text is None and trials is None:
        text = _DEFAULT_BUDGET
    return Budget(None if text is None else parse_budget(text), trials, before=before)


def _run(search: Searching[Any], view: View, run: Callable[[], Callable[[], None]]) -> None:
    """Runs, and shows what came of it; Ctrl-C keeps what is done."""
    try:
        show = run()
    except KeyboardInterrupt:
        scored = sum(record.score is not None for record in search.records)
        again = shlex.join(["metanas", *map(masked, sys.argv[1:])])
        said = f"stopped; {scored} scored trials of study {search.name} are kept. To go on: {again}"
        try:
            view.__exit__(None, None, None)
            click.echo(said, err=True)
        except OSError:  # Ctrl-C has ended what this is piped to, too
            _silence()
        sys.exit(130)  # as shells have it; click would add an empty line
    view.__exit__(None, None, None)
    show()


def _silence() -> None:
    """Nobody reads what this process writes: what is written yet must not fail as it ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nothing, stream.fileno())


def _one(
    search: Search,
    store: Store,
    others: list[Callable[[], Search]],
    budget: Budget,
    view: View,
    as_json: bool,
) -> Callable[[], None]:
    winner, judgement = search_and_judge(search, others, budget)
    for why in judgement.left_out:
        view.note(why)
    result = _save(search, store, winner, judgement, budget)
    if as_json:
        return lambda: print_json(result)
    return lambda: print_summary(search, winner, judgement, result)


def _several(
    search: JointSearch,
    store: Store,
    others: list[Callable[[], JointSearch]],
    budget: Budget,
    view: View,
    as_json: bool,
) -> Callable[[], None]:
    best, found = search_and_judge_each(search, others, budget)
    for one in found:
        for why in one.own.judgement.left_out:
            view.note(f"{one.name}: {why}")
    with _told_anyway([f"{one.name}: {one.own.judgement.verdict.sentence}" for one in found]):
        result = save(search, store, best, found, budget)
    if as_json:
        return lambda: print_json(result)
    return lambda: print_joint(search, result)


@contextmanager
def _told_anyway(verdicts: Sequence[str]) -> Iterator[None]:
    """Tells verdicts where they cannot be written: they took the whole search, and the disk may be full."""
    try:
        yield
    except StoreError:
        for sentence in verdicts:
            _tell(f"a verdict that cannot be kept: {sentence}")
        raise


def _tell(text: str) -> None:
    with suppress(OSError):  # Ctrl-C ends what this is piped to, too
        click.echo(text, err=True)


def _save(
    search: Search, store: Store, winner: Winner, judgement: Judgement, budget: Budget
) -> dict[str, Any]:
    """Writes learner, pictures and result; the result."""
    search.tell("writing the learner and the picture")
    learner, picture = output_path(search.name, ".metanas"), output_path(search.name, ".png")
    saved = {"learner": str(learner), "picture": str(picture), "store": store.shown}
    if several := search.aims.goals.several:
        saved["front"] = str(output_path(f"{search.name}-front", ".png"))
    result = result_json(search, winner, judgement, saved)
    kept = False
    try:
        try:
            save_learner(learner, search, winner, result)
            save_picture(picture, search, winner, judgement)
            if several:
                save_front(Path(saved["front"]), search, winner, judgement)
        finally:  # the verdict is known, whatever becomes of the files
            result["seconds"] = budget.spent
            with _told_anyway([judgement.verdict.sentence]):
                store.save_result(search.name, result)
            kept = True
    except KeyboardInterrupt:
        if kept:
            _tell(f"a verdict that is kept: {judgement.verdict.sentence}")
        raise
    return result
