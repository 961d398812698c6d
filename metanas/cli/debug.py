"""``metanas debug``: what is the matter with the meta-gradient of a trial, or of a learner file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from metanas.atomic import replacing
from metanas.cli.files import check_writable, output_path
from metanas.cli.options import HELP, architecture_option, json_option, print_json, store_option
from metanas.cli.quiet import quiet_optuna
from metanas.cli.settings import refuse_several
from metanas.cli.wiring import load_family
from metanas.debugging import diagnose, tasks_of_next_step, until_broken
from metanas.engine import Engine, Program
from metanas.learner import load
from metanas.learner.weights import unpack
from metanas.report.gradients import png
from metanas.seeds import derive
from metanas.standings import best_of
from metanas.tasks.family import Family, Source
from metanas.training import Checkpoint
from metanas.words import in_words
from search_spaces import Candidate, Signature, catalogue
from search_spaces.errors import DataError, StoreError
from storage import Store

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class _Looked:
    """What is looked at: at its weights, or, where it has none, before its first meta-step."""

    name: str
    candidate: Candidate
    signature: Signature
    family: Mapping[str, Any]
    seed: int
    step: int
    weights: tuple[Tensor, Tensor] | None
    horizon: int | None = None  # meta-steps to the last rung of its search
    parent: int | None = None  # the trial whose weights it went on from


@click.command(context_settings=HELP)
@click.argument("target", metavar="STUDY|FILE")
@click.argument("trial", required=False, type=int)
@click.option(
    "--data", type=click.Path(path_type=Path), help="The table or the images that it was trained on."
)
@click.option(
    "--family",
    "own",
    metavar="MODULE:CLASS",
    help="The family of your own that it was trained on: its code runs only if you name it.",
)
@click.option("--task", "task_column", help="Column of a table that tells its tasks apart.")
@click.option("--group", help="Column of what the tasks of a table belong to, if it was searched with one.")
@click.option("--splits", type=click.Path(path_type=Path), help="The list of splits, if there was one.")
@click.option("--test-data", type=click.Path(path_type=Path), help="The test images, if they were apart.")
@click.option(
    "--meta-steps",
    type=click.IntRange(0),
    help="Meta-train a trial anew for so many, and stop where a number is no longer finite. "
    "[default: look at its weights, or where it has none before the first]",
)
@click.option(
    "--tasks", type=click.IntRange(1), default=8, show_default=True, help="Of a meta-step, to look at."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The picture. [default: NAME-debug.png]"
)
@architecture_option
@store_option
@json_option
def command(
    target: str,
    trial: int | None,
    data: Path | None,
    own: str | None,
    task_column: str | None,
    group: str | None,
    splits: Path | None,
    test_data: Path | None,
    meta_steps: int | None,
    tasks: int,
    output: Path | None,
    architectures: tuple[str, ...],
    store: str,
    as_json: bool,
) -> None:
    """The meta-gradient of a TRIAL of a study, by default its best, or of a learner file.

    Draws, and with --json prints, by inner step and layer, the norms of gradient and meta-gradient, first
    against second order; says where a number was not finite first, how far the exact outer gradient is from
    finite differences, and whether queries meet in the statistics of a norm.

    \b
      metanas debug sinusoid 7
      metanas debug sinusoid 12 --meta-steps 300     a trial that diverged: since when, and where
      metanas debug letters.metanas --data photos.zip
    """  # noqa: D301  # \b is the mark for lines that click must not wrap
    quiet_optuna()
    file = target.endswith(".metanas") or Path(target).is_file()
    if file and trial is not None:
        raise DataError(
            f"{target} is a learner file, which has no trial {trial}: leave it out, or name a study"
        )
    looked = _file(Path(target), architectures) if file else _trial(target, trial, store, architectures)
    if meta_steps is not None and looked.parent is not None:
        raise DataError(
            f"{looked.name} went on from the weights of trial {looked.parent}, which were not its start: "
            f"metanas debug {target} {looked.parent} --meta-steps {meta_steps} trains that one anew"
        )
    path = output or output_path(f"{looked.name}-debug", ".png")
    check_writable(path)
    given = Source(data, test_data, splits, task=task_column, group=group)
    family = _family(looked.family, looked.signature, given, own)
    program = Program.of(catalogue.build(looked.candidate, looked.signature, architectures))
    engine = Engine(program, _CPU)
    outer = catalogue.settings(looked.candidate, looked.signature)
    now, broken = _start(looked, meta_steps, program), False
    if meta_steps is not None:
        now, broken = until_broken(engine, family, outer, now, meta_steps, looked.horizon)
    episodes, keys = tasks_of_next_step(engine, family, outer, now, tasks)
    found = diagnose(program, now.meta, now.buffers, episodes, keys, _progress(looked, meta_steps, now.step))
    where = _where(looked, meta_steps, now.step, broken)
    words = f"{where}. {', learning by '.join(in_words(looked.candidate).values())}"
    with replacing(path) as picture:
        picture.write(png(f"Meta-gradient of {looked.name}", words, found))
    if as_json:
        step = now.step if meta_steps is not None or looked.weights is None else looked.step or None
        print_json({"looked_at": where, "meta_step": step, "picture": str(path)} | found.to_dict())
        return
    click.echo(f"{looked.name}: {words}\n")
    for fine, what in found.findings():
        click.echo(f"{'ok' if fine else 'NO':3} {what}")
    click.echo(f"\nSaved {path}")


def _file(path: Path, architectures: tuple[str, ...]) -> _Looked:
    learner = load(path, architectures=architectures)
    facts, seed = (learner.manifest.provenance.get(key) for key in ("family", "seed"))
    seed = seed if type(seed) is int else 0
    if not isinstance(facts, dict) or not _is_told(facts):
        raise DataError(f"{path} does not say what it was trained on, which debug has to draw tasks of")
    return _Looked(path.stem, learner.candidate, learner.signature, facts, seed, 0, learner.weights)


def _is_told(facts: Mapping[str, Any]) -> bool:
    """Whether a file, which may be anyone's, says in the usual form what it was trained on."""
    features = facts.get("features")
    of_table = isinstance(features, list) and all(isinstance(name, str) for name in features)
    needed = {
        "images": type(facts.get("size")) is int,
        "table": of_table and isinstance(facts.get("target"), str),
    }
    name = facts.get("own", facts.get("name"))
    return isinstance(name, str) and needed.get(name, True)


def _trial(study: str, number: int | None, url: str, architectures: tuple[str, ...]) -> _Looked:
    with Store.open(url, create=False) as memory:
        settings = memory.settings(study)
        refuse_several(study, settings, "debug")
        record = best_of(memory.records(study)) if number is None else memory.record(study, number)
        if record is None:
            raise StoreError(f"study {study} has no scored trial yet: name one, metanas debug {study} TRIAL")
        signature = Signature.from_dict(settings["signature"])
        program = Program.of(catalogue.build(record.candidate, signature, architectures))
        weights = unpack(program, memory.get(record.weights)) if record.weights else None
    name, facts, horizon = f"{study} {record.number}", settings["family"], settings["rungs"][-1]
    known = (name, record.candidate, signature, facts, record.seed, record.rung, weights)
    return _Looked(*known, horizon, record.parent)


def _family(facts: Mapping[str, Any], signature: Signature, given: Source, own: str | None = None) -> Family:
    """The family that was trained on, by what is known of it and what the user names of its data.

    Raises:
        DataError: If its data or its code has to be named, or is other data, or divided in another way.
    """
    if "mixed" in facts:
        raise DataError("this was trained on a mix of families, whose tasks debug cannot draw")
    name = str(facts.get("own") or facts.get("name") or "")
    if ":" in name and own is None:  # a file or a store of others may name any code
        raise DataError(
            f"this was trained on a family of someone's own, whose code runs only if you name it: "
            f"--family {name[:80]}, if that is yours"
        )
    if own is not None and own != name:
        raise DataError(f"this was trained on {name[:80]!r}, not on {own}: name that, or leave --family out")
    if name == "images":
        if given.path is None:
            raise DataError("this was trained on images: name them with --data PATH")
        given = replace(given, image_size=int(facts["size"]))
    if name == "table":
        if given.path is None or given.task is None:
            raise DataError("this was trained on a table: name it with --data FILE --task COLUMN")
        features = tuple(facts["features"])
        known = {"kind": signature.kind, "shots": signature.shots}
        given = replace(given, target=facts["target"], features=features, **known)  # type: ignore[arg-type]
    family = load_family(name, given)
    folds: list[Family] = [family, *getattr(family, "folds", ())]
    for fold in folds:
        now = fold.facts()
        if all(now.get(key) == facts[key] for key in ("content", "division") if key in facts):
            return fold
    raise DataError(
        "this was trained on other data, or on it divided in another way: name data, --group, --splits and "
        "--test-data as for the search"
    )


def _start(looked: _Looked, meta_steps: int | None, program: Program) -> Checkpoint:
    if looked.weights is None or meta_steps is not None:
        return Checkpoint.start(program, derive(looked.seed, "init"), _CPU)
    return Checkpoint.resume(*looked.weights, looked.seed, _CPU)


def _progress(looked: _Looked, meta_steps: int | None, step: int) -> float:
    """Of meta-training, as the rule is told it."""
    if meta_steps is not None:
        return min(1.0, step / max(1, looked.horizon or meta_steps))
    if looked.weights is not None and looked.parent is None and looked.step and looked.horizon:
        return min(1.0, looked.step / looked.horizon)
    return 0.0 if looked.weights is None else 1.0


def _where(looked: _Looked, meta_steps: int | None, step: int, broken: bool) -> str:
    if broken:
        return f"Meta-trained anew: meta-step {step + 1} is the first with a number that is not finite"
    if meta_steps is not None:
        return f"Meta-trained anew for {step} meta-steps, all of them finite"
    if looked.weights is None:
        return "Before the first meta-step, since it has no weights: --meta-steps N trains it anew"
    return "At its weights" + (f" of meta-step {looked.step:,}" if looked.step else "")
