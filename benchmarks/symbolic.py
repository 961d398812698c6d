"""Searches for the formula of a learning step, and holds the best against gradient steps, as many of them.

    .venv/bin/python benchmarks/symbolic.py --budget 20m --seeds 3 --out symbolic
    .venv/bin/python benchmarks/symbolic.py --family harmonics --seeds 1 --first-seed 2 --out symbolic
    .venv/bin/python benchmarks/symbolic.py --family sinusoid --seeds 1 --trials 6 --rung 20

Network 1-40-40-1, five examples, all parameters adapted in as many steps, second order, meta-trained alike:
only the step is searched, with its size and constants, from the steps of known optimizers on. Its rivals are
the same search, of the same budget, controller and rungs, over gradient steps: over their size (``sgd``), and
with a learned size for each layer (``layers``). A rival is searched once, with the first seed, and meets the
formulas of all seeds. All meet the same fresh test tasks, which chose nothing, paired task by task; over
seeds, a task's errors are averaged first.

Then the printed formula, read back, with its learned constants and step size, all of them frozen, is dropped
on the other family, where only its start is learned; so are the gradient steps with their sizes.

``--out NAME`` puts the rows into NAME.json and NAME.md under benchmarks/results/, in the place of those of
the same family and seed: it can be run in parts.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import PIPE, run
from typing import Any

import click
import numpy as np
import torch
from search import METANAS, RESULTS, machine
from torch import Tensor

import metanas
from metanas.engine import Engine, Program
from metanas.learner.learner import Learner
from metanas.scoring import half_width, task_scores
from metanas.seeds import derive, generator
from metanas.tasks.families import harmonics, sinusoid
from metanas.tasks.family import Source
from metanas.training import Checkpoint, scheduled, train
from search_spaces import Candidate, Signature, catalogue
from search_spaces.rules import canonical, symbolic
from search_spaces.rules.descent import Descent
from search_spaces.rules.expressions import CONSTANTS, read
from search_spaces.rules.expressions import Program as Instructions
from search_spaces.rules.interface import Rule
from search_spaces.rules.steps import STEPS
from search_spaces.rules.transforms import chain
from search_spaces.task import Episodes

LEARNED = {"sgd": "", "layers": " at first, then learned, one a layer"}
CPU = torch.device("cpu")
FAMILIES = {"sinusoid": sinusoid, "harmonics": harmonics}
SIGNATURE = Signature("regression", (1,), 1, 5)
QUERIES = 100
RUNG = 300  # meta-steps to the first rung: before, the longest steps look best, whatever their direction
NETWORK = """
[architecture.mlp]
depth = 2
width_1 = 40
width_2 = 40
activation = "relu"
norm = "none"
[outer]
learning_rate = 0.003
schedule = "cosine"
weight_decay = 1e-6
shots = "same"
tasks = 16
queries = 10
"""
GRADIENT = """from = "gradient"
[rule.gradient]
steps = {{steps}}
order = 2
step_size = "{size}"
scope = "all"
"""
SPACES = {
    "symbolic": """from = "symbolic"
[rule.symbolic]
steps = {steps}
loss = "last"
order = "second"
scope = "all"
""",
    "sgd": GRADIENT.format(size="fixed"),
    "layers": GRADIENT.format(size="layer"),
}


def searched(kind: str, family: str, steps: int, words: tuple[str, ...]) -> tuple[Learner, dict[str, Any]]:
    """``metanas search`` of one of the spaces: its learner, and what it printed last."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "space.toml").write_text(SPACES[kind].format(steps=steps) + NETWORK)
        start = ("--start", ",".join(STEPS)) if kind == "symbolic" else ()
        rung = () if "--rung" in words else ("--rung", str(RUNG))
        command = [str(METANAS), "search", family, "--space", "space.toml", "--json", *start, *rung, *words]
        done = run(command, cwd=folder, stdout=PIPE, text=True, check=True)
        learner = metanas.load(str(folder / f"{family}.metanas"))
    return learner, json.loads(done.stdout.splitlines()[-1])


def tasks(family: str, count: int) -> Episodes:
    """Test tasks that no search has seen: their seed is none of a study's."""
    random = generator(CPU, 0, "symbolic", family, "test")
    return FAMILIES[family].build(Source()).sample(count, "test", random, shots=5, ways=1, queries=QUERIES)


def errors(rule: Rule, meta: Tensor, buffers: Tensor, episodes: Episodes) -> np.ndarray:
    """Mean squared error of each task."""
    prediction = Engine(Program.of(rule), CPU).predictions(meta, buffers, episodes)
    return task_scores(SIGNATURE, prediction, episodes).double().numpy()


def frozen(learner: Learner) -> Rule:
    """The learner's rule with all of its step's figures fixed; of a formula, as it is printed."""
    candidate, rule = learner.candidate, catalogue.build(learner.candidate, SIGNATURE)
    assert isinstance(rule, Descent)
    named = Program.of(rule).meta.unflatten(learner.weights[0])
    if candidate["rule"] == "symbolic":
        formula, found = printed(candidate), symbolic.learned(named)
        if formula.names.isdisjoint("gm"):  # they cancel: a step that learns nothing, which no formula may be
            formula = Instructions.of(candidate.part("rule.symbolic"))
        constants = {name: value for name, value in found.items() if name in CONSTANTS}
        memories = {name: value for name, value in found.items() if name in ("m", "v")}
        step = symbolic.step(formula, found["rate"], constants, memories, frozen=True)
        return replace(rule, transform=chain(symbolic=step))
    sizes = {name: value for name, value in named.items() if name.startswith("rate.")}  # that were learned
    return replace(rule, transform=_fixed(rule, sizes))


def _fixed(rule: Descent, sizes: Mapping[str, Tensor]) -> Any:
    """The transform with what it learned as tensors that stay."""

    def init(
        params: Mapping[str, Tensor], random: torch.Generator
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return {}, rule.transform.init(params, random)[1] | dict(sizes)

    return replace(rule.transform, init=init)


def printed(candidate: Candidate) -> Any:
    """The formula that people see, read back."""
    return read(canonical.text(Instructions.of(candidate.part("rule.symbolic"))))


def misprint(learner: Learner, ours: np.ndarray, episodes: Episodes) -> float:
    """The largest relative difference that printing and reading makes to a task's error."""
    rule = frozen(learner)
    whole = Program.of(catalogue.build(learner.candidate, SIGNATURE)).meta.unflatten(learner.weights[0])
    program = Program.of(rule)
    meta = program.meta.flatten({name: whole[name] for name in program.meta.names})
    found = errors(rule, meta, program.init(0)[1], episodes)
    return float((np.abs(found - ours) / np.abs(ours)).max())


def dropped(learner: Learner, family: str, steps: int, seed: int, episodes: Episodes) -> np.ndarray:
    """Errors on another family where only the start was learned, in so many meta-steps."""
    rule, outer = frozen(learner), catalogue.settings(learner.candidate, SIGNATURE)
    program = Program.of(rule)
    begin = [Checkpoint.start(program, derive(seed, "dropped"), CPU)]
    there = FAMILIES[family].build(Source())
    done = train(
        Engine(program, CPU), there, [replace(outer, schedule="cosine")], begin, steps, scheduled(steps)
    )
    return errors(rule, done.checkpoints[0].average, done.checkpoints[0].buffers, episodes)


@dataclass(frozen=True)
class Found:
    """What a search found, on fresh tasks.

    Attributes:
        learner: Of the search.
        trials: By state.
        here: Errors ``(T,)`` on tasks of the family that it searched.
        away: Those on the other family, where only the start was learned.
    """

    learner: Learner
    trials: Mapping[str, int]
    here: np.ndarray
    away: np.ndarray


@dataclass(frozen=True)
class Setting:
    """What all searches of a family have in common; see the options."""

    family: str
    budget: str
    words: tuple[str, ...]
    steps: int
    count: int
    transfer: int

    @property
    def other(self) -> str:
        """The family that rules are dropped on."""
        (name,) = FAMILIES.keys() - {self.family}
        return name

    @property
    def limit(self) -> tuple[str, ...]:
        """The words that end a search."""
        return () if "--trials" in self.words else ("--budget", self.budget)

    def found(self, kind: str, seed: int) -> Found:
        """Searches one of the spaces, and scores what comes of it."""
        words = (*self.words, *self.limit, "--seed", str(seed))
        learner, result = searched(kind, self.family, self.steps, words)
        here, there = tasks(self.family, self.count), tasks(self.other, self.count)
        own = errors(catalogue.build(learner.candidate, SIGNATURE), *learner.weights, here)
        away = dropped(learner, self.other, self.transfer, seed, there)
        return Found(learner, result["trials"], own, away)


def summary(ours: np.ndarray, rivals: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Errors ``(T,)`` of ours and of each rival, and our gain, with half a 95 % interval."""
    told: dict[str, Any] = {"value": float(ours.mean()), "ci95": half_width(ours), "rivals": {}}
    for name, theirs in rivals.items():
        told["rivals"][name] = {
            "value": float(theirs.mean()),
            "ci95": half_width(theirs),
            "gain": float((theirs - ours).mean()),
            "gain_ci95": half_width(theirs - ours),
        }
    return told


def row_of(setting: Setting, seed: int, rivals: Mapping[str, Found]) -> dict[str, Any]:
    """The search of a seed beside the rivals, on the same fresh tasks here and on the other family."""
    ours = setting.found("symbolic", seed)
    candidate, episodes = ours.learner.candidate, tasks(setting.family, setting.count)
    whole = Program.of(catalogue.build(candidate, SIGNATURE)).meta.unflatten(ours.learner.weights[0])
    here = summary(ours.here, {name: rival.here for name, rival in rivals.items()})
    away = summary(ours.away, {name: rival.away for name, rival in rivals.items()})
    return {
        "family": setting.family,
        "seed": seed,
        "budget": " ".join(setting.limit[1:] or setting.words),
        "words": setting.words,
        "steps": setting.steps,
        "formula": printed(candidate).text,
        "id": canonical.identity(Instructions.of(candidate.part("rule.symbolic"))),
        "learned": symbolic.learned(whole),
        "trials": sum(ours.trials.values()),
        "tasks": setting.count,
        "misprint": misprint(ours.learner, ours.here, episodes),
        **here,
        "settings": {name: rival.learner.candidate.part("rule.gradient") for name, rival in rivals.items()},
        "rival_trials": {name: sum(rival.trials.values()) for name, rival in rivals.items()},
        "transfer": {"family": setting.other, "meta_steps": setting.transfer, **away},
        "errors": {"ours": _short(ours.here)} | {name: _short(rival.here) for name, rival in rivals.items()},
    }


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def together(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """All seeds of a family: a task's errors are averaged over them."""
    means = {name: np.mean([row["errors"][name] for row in rows], axis=0) for name in rows[0]["errors"]}
    return summary(means.pop("ours"), means)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, a table a family, its formulas below it."""
    return "\n\n".join(
        "\n".join(_lines(family, [r for r in rows if r["family"] == family]))
        for family in dict.fromkeys(row["family"] for row in rows)
    )


def _lines(family: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    first = rows[0]
    names = list(first["rivals"])
    columns = ["seed", "budget", "trials", "formula", *(f"{name}, gain on it" for name in names)]
    columns += ["dropped on the other family", *(f"{name} there, gain on it" for name in names)]
    yield f"## {family}: mean squared error on {first['tasks']:,} fresh tasks, 95 % interval over tasks"
    yield ""
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        cells = [row["seed"], row["budget"], row["trials"], *_cells(row), *_cells(row["transfer"])]
        yield "| " + " | ".join(map(str, cells)) + " |"
    alike = [
        row
        for row in rows
        if row["tasks"] == first["tasks"] and row["errors"].keys() == first["errors"].keys()
    ]
    yield "| " + " | ".join(["all", "", "", *_cells(together(alike)), *[""] * (1 + len(names))]) + " |"
    yield ""
    for row in rows:
        named = {"α" if name == "rate" else name: value for name, value in row["learned"].items()}
        figures = ", ".join(f"{name} = {value:.4g}" for name, value in named.items())
        yield f"- seed {row['seed']}, {row['steps']} steps, rule {row['id']}:"
        yield f"  `θ ← θ − α*({row['formula']})`, {figures}; printed and read back its errors differ by"
        yield f"  {row['misprint']:.1g} at most, relatively"
    for name in names:
        trials, rate = first["rival_trials"][name], first["settings"][name]["rate"]
        yield f"- {name}: {trials} trials, seed {first['seed']}; size {rate:.3g}{LEARNED[name]}"
    yield "- m and v: the means of g and of g² so far, their figures the parts that stay; ε = 0.001"


def _cells(row: Mapping[str, Any]) -> list[str]:
    found = [f"{row['value']:.4g} ± {row['ci95']:.2g}"]
    for rival in row["rivals"].values():
        found.append(
            f"{rival['value']:.4g} ± {rival['ci95']:.2g}: {rival['gain']:+.3g} ± {rival['gain_ci95']:.2g}"
        )
    return found


def save(name: str, new: list[dict[str, Any]]) -> None:
    """Puts rows in the place of those of the same family and seed."""
    path = RESULTS / f"{name}.json"
    old = json.loads(path.read_text())["rows"] if path.exists() else []
    command = f"benchmarks/symbolic.py {' '.join(sys.argv[1:])}"
    new = [{**row, "command": command, "machine": machine()} for row in new]
    kept = {(row["family"] != "sinusoid", row["seed"]): row for row in (*old, *new)}
    rows = [kept[key] for key in sorted(kept)]
    path.write_text(json.dumps({"command": command, "machine": machine(), "rows": rows}) + "\n")
    (RESULTS / f"{name}.md").write_text(f"`benchmarks/symbolic.py`, {machine()}\n\n{table(rows)}\n")


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--family", "families", multiple=True, type=click.Choice(list(FAMILIES)), help="[default: all]")
@click.option("--budget", default="20m", show_default=True, help="Of each search.")
@click.option("--rivals", default="sgd", show_default=True, help="sgd, layers, or both with a comma between.")
@click.option("--seeds", default=3, show_default=True, help="How many.")
@click.option("--first-seed", default=0, show_default=True)
@click.option("--controller", default="evolution", show_default=True)
@click.option("--steps", default=5, show_default=True, help="Of learning a task.")
@click.option("--tasks", "count", default=2000, show_default=True, help="Test tasks.")
@click.option("--transfer-steps", default=5000, show_default=True, help="Meta-steps on the other family.")
@click.option("--out", help="Name under benchmarks/results/.")
@click.option("--json", "as_json", is_flag=True)
@click.argument("extra", nargs=-1)
def main(
    families: tuple[str, ...],
    budget: str,
    rivals: str,
    seeds: int,
    first_seed: int,
    controller: str,
    steps: int,
    count: int,
    transfer_steps: int,
    out: str | None,
    as_json: bool,
    extra: tuple[str, ...],
) -> None:
    """Searches for the formula of a learning step; further words go to metanas search."""
    torch.set_num_threads(1)  # the tensors are too small for two threads to share
    rows: list[dict[str, Any]] = []
    words = ("--controller", controller, *extra)
    for family in families or FAMILIES:
        setting = Setting(family, budget, words, steps, count, transfer_steps)
        against = {name: setting.found(name, first_seed) for name in rivals.split(",")}
        for seed in range(first_seed, first_seed + seeds):
            rows.append(row_of(setting, seed, against))
            click.echo(table(rows[-1:]), err=True)
            if out:
                save(out, rows[-1:])
    click.echo(json.dumps({"machine": machine(), "rows": rows}) if as_json else table(rows))


if __name__ == "__main__":
    main()
