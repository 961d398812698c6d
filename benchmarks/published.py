"""Trains recipes as their papers did and holds the figures against theirs.

    .venv/bin/python benchmarks/published.py --rule maml,t-net --family sinusoid --rates 0.01,0.04,0.1
    .venv/bin/python benchmarks/published.py --rule lstm --family quadratic --seeds 2 --out published
    .venv/bin/python benchmarks/published.py --rule maml --family omniglot --budget 30m  # needs METANAS_DATA

Sinusoid: network 1-40-40-1, K = 10, 25 tasks a meta-batch, Adam 1e-3, 70,000 meta-steps, then the 5-shot
error on fresh tasks after 1, 5, 10 and, beyond what it was trained for, 20 steps. Seeds and step sizes of
a rule train as one batch. LSTMs are held against gradient steps of tuned size, as many of them, from three
starts. ``--out NAME`` puts the rows into NAME.json and NAME.md under benchmarks/results/, in the place of
those of the same rule, family and step size.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import click
import numpy as np
import torch
from papers import LEARNED_OPTIMIZERS, PUBLISHED, PUBLISHED_IMAGES, SPLIT, Case, case
from search import RESULTS, machine
from torch import Tensor

from metanas.budget import parse
from metanas.engine import Engine, Program, keep_freed_memory, trains_in_half
from metanas.engine.program import at
from metanas.scoring import half_width, is_transductive, task_scores
from metanas.seeds import derive, generator
from metanas.training import Checkpoint, Trained, scheduled, train
from search_spaces import catalogue, plugins
from search_spaces.rules import chain
from search_spaces.rules.descent import Descent
from search_spaces.rules.interface import Rule
from search_spaces.rules.recipes import RECIPES
from search_spaces.task import Episodes

CPU = torch.device("cpu")
NAMES = {"mse": "mean squared error", "accuracy": "accuracy in %"}
RUNAWAY = 1e3  # a mean error above this says that some task diverged, and not by how much
LEGS, CURVE_TASKS = 12, 200  # points of a learning curve, and the test tasks that it is of
# step sizes that are tried: of a start that is there, and of starts that are learned for each of them
GRID = (0.003, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.12, 0.15, 0.17, 0.2, 0.25, 0.3, 0.5)
LEARNED = {"quadratic": (0.05, 0.1, 0.15, 0.2), "sinusoid": (0.01, 0.03, 0.1), "harmonics": (0.01, 0.03, 0.1)}
# many: where steps are nearly too long, one task in a thousand decides the mean
VALID_TASKS = {"quadratic": 20_000, "sinusoid": 3000, "harmonics": 3000}


def build(name: str, here: Case, **changes: Any) -> Rule:
    """The rule of a recipe, or ``prototype``, on the network of a case."""
    if name not in RECIPES:
        return plugins.load(*catalogue.RULES, name).build(
            {"distance": "euclid"}, here.network, here.signature
        )
    choices = RECIPES[name].choices(here.signature) | {k: v for k, v in changes.items() if v is not None}
    return chain.build(choices, here.network, here.signature)


def tasks(here: Case, count: int, split: str, seed: int = 0) -> Episodes:
    random = generator(CPU, seed, "published", split)
    return here.family.sample(
        count, split, random, shots=here.shots, ways=here.signature.outputs, queries=here.queries
    )


def errors(here: Case, rule: Rule, meta: Tensor, buffers: Tensor, episodes: Episodes) -> np.ndarray:
    """The metric of each task."""
    prediction = Engine(Program.of(rule), CPU).predictions(meta, buffers, episodes)
    return task_scores(here.signature, prediction, episodes).double().numpy()


def of_steps(rule: Rule, steps: int) -> Rule:
    """The same learner, with more or fewer steps than it was trained with."""
    return replace(rule, steps=steps) if isinstance(rule, Descent) else rule


def trained(
    here: Case, rules: Sequence[Rule], seeds: Sequence[int], iterations: int, seconds: float, test: Episodes
) -> tuple[list[Checkpoint], list[dict[str, Any]]]:
    """All rules, of one shape, as one batch; and the first one's score along the way."""
    half = trains_in_half("auto", CPU, here.signature.input_shape)  # as a search trains, where it can
    engine = Engine(Program.of(rules[0], half), CPU)
    now = [
        Checkpoint.start(Program.of(rule), derive(seed, "published"), CPU)
        for rule, seed in zip(rules, seeds, strict=True)
    ]
    few, curve, start = at(test, slice(0, CURVE_TASKS)), [], time.monotonic()
    for leg in range(1, LEGS + 1):
        left = seconds - (time.monotonic() - start)
        done: Trained = train(
            engine,
            here.family,
            [here.outer] * len(rules),
            now,
            max(now[0].step, iterations * leg // LEGS),
            scheduled(iterations),
            left / (LEGS + 1 - leg),
            patient=True,
        )
        now = done.checkpoints
        score = errors(here, rules[0], now[0].average, now[0].buffers, few)
        curve.append({"step": now[0].step, "seconds": time.monotonic() - start, "score": score.mean()})
        click.echo(f"  meta-step {now[0].step:,}: {score.mean():.4f} ({done.ms:.1f} ms each)", err=True)
    return now, curve


def rows_of(
    name: str,
    family: str,
    seeds: int,
    rates: Sequence[float | None],
    iterations: int | None,
    seconds: float,
    count: int,
) -> Iterator[dict[str, Any]]:
    """Trains a rule, with each step size and seed, and scores it."""
    here = case(family, name)
    iterations, begin = iterations or here.iterations, time.monotonic()
    own = RECIPES[name].choices(here.signature).get("rate") if name in RECIPES else None
    rates = rates or [own]
    pairs = [(rate, seed) for rate in rates for seed in range(seeds)]
    rules = [build(name, here, rate=rate) for rate, _ in pairs]
    test = tasks(here, count, "test")
    done, curve = trained(here, rules, [seed for _, seed in pairs], iterations, seconds, test)
    for rate in rates:
        mine = [i for i, pair in enumerate(pairs) if pair[0] == rate]
        found: dict[int, np.ndarray] = {
            steps: np.stack(
                [
                    errors(here, of_steps(rules[i], steps), done[i].average, done[i].buffers, test)
                    for i in mine
                ]
            )
            for steps in here.steps
        }
        first = done[mine[0]]
        peeks = is_transductive(Engine(Program.of(rules[mine[0]]), CPU), first.average, first.buffers, test)
        yield {
            "rule": name,
            "family": family,
            "rate": rate,
            "trained_steps": getattr(rules[0], "steps", None),
            "seeds": seeds,
            "iterations": first.step,
            "seconds": round(time.monotonic() - begin),
            "metric": here.signature.metric,
            "split": "test",
            "tasks": count,
            "transductive": peeks,
            "scores": {str(steps): _summary(values) for steps, values in found.items()},
            "curve": curve if mine[0] == 0 else [],
            "rivals": rivals(
                here, family, rules[mine[0]], [done[i] for i in mine], found, test, iterations, seconds
            )
            if name in LEARNED_OPTIMIZERS
            else {},
        }


def rivals(
    here: Case,
    family: str,
    rule: Rule,
    done: Sequence[Checkpoint],
    ours: dict[int, np.ndarray],
    test: Episodes,
    iterations: int,
    seconds: float,
) -> dict[str, Any]:
    """As many gradient steps, their size tuned on validation tasks for each number of them.

    They begin where the learned optimizer begins, at random, or at a start learned for as many
    steps as it was trained with, of that size (MAML).
    """
    valid, program, sizes = tasks(here, VALID_TASKS[family], "valid"), Program.of(rule), LEARNED[family]
    plain = {rate: build("maml", here, rate=rate, steps=rule.steps) for rate in {*GRID, *sizes}}
    some = Program.of(plain[GRID[0]])
    own = [some.meta.flatten(program.meta.unflatten(c.average)) for c in done]
    random = [some.init(derive(seed, "random"))[0] for seed in range(len(done))]
    click.echo("  rivals: gradient steps from a start learned for them", err=True)
    rules = [plain[rate] for rate in sizes]
    learned, _ = trained(here, rules, [0] * len(sizes), iterations, seconds, test)
    starts = {
        "its own start": dict.fromkeys(GRID, own),
        "a random start": dict.fromkeys(GRID, random),
        "a start learned for them": {r: [c.average] for r, c in zip(sizes, learned, strict=True)},
    }
    return {
        name: {str(k): _tuned(here, plain, metas, k, ours[k], valid, test) for k in here.steps}
        for name, metas in starts.items()
    }


def _tuned(
    here: Case,
    plain: dict[float, Rule],
    starts: dict[float, list[Tensor]],
    steps: int,
    ours: np.ndarray,
    valid: Episodes,
    test: Episodes,
) -> dict[str, Any]:
    """The scores at the step size that is best on validation tasks, and what ours gain on them."""

    def scores(rate: float, episodes: Episodes) -> np.ndarray:
        rule, buffers = of_steps(plain[rate], steps), Program.of(plain[rate]).init(0)[1]
        return np.stack([errors(here, rule, meta, buffers, episodes) for meta in starts[rate]])

    best = min(starts, key=lambda rate: np.nan_to_num(scores(rate, valid).mean(), nan=np.inf))
    theirs = scores(best, test)
    gain = theirs.mean(0) - ours.mean(0)
    paired = {"rate": best, "gain": float(gain.mean()), "gain_ci95": half_width(gain)}
    return _summary(theirs) | paired


def _summary(values: np.ndarray) -> dict[str, Any]:
    """Of scores ``(seeds, tasks)``: their mean, its interval over tasks, and each seed's mean."""
    each = [float(value) for value in values.mean(1)]
    return {"value": float(values.mean()), "ci95": half_width(values.mean(0)), "seeds": each}


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, one table a family."""
    parts = []
    for family in dict.fromkeys(row["family"] for row in rows):
        here = [row for row in rows if row["family"] == family]
        steps = sorted({k for row in here for k in row["scores"]}, key=int)
        head = ["rule", "step size", "trained: steps, meta-steps, seconds", "seeds", "tasks"]
        head += [f"after {k}" for k in steps] + ["paper"]
        note = f"Split: {SPLIT}. " if family == "omniglot" else ""
        peeks = sorted({row["rule"] for row in here if row["transductive"]})
        lines = [f"## {family}: {NAMES[here[0]['metric']]}, 95 % interval over test tasks", ""]
        lines += [f"{note}Transductive, as measured: {', '.join(peeks) or 'none'}.", ""]
        lines += [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        lines += [_line(row, steps) for row in here]
        parts.append("\n".join([*lines, *_curves(here), *_rival_lines(here, steps)]))
    return "\n\n".join(parts)


def _line(row: dict[str, Any], steps: list[str]) -> str:
    paper = PUBLISHED.get((row["rule"], row["family"]), {}) if row["rate"] == 0.01 else {}
    told = " / ".join(str(value) for value in paper.values()) or "–"
    told = PUBLISHED_IMAGES.get(row["rule"], "–") if row["family"] == "omniglot" else told
    how = f"{row['trained_steps'] or '–'}, {row['iterations']:,}, {row['seconds']:,}"
    cells = [row["rule"], row["rate"] or "its own", how, row["seeds"], row["tasks"]]
    factor = 100 if row["metric"] == "accuracy" else 1  # as papers print it
    cells += [_figure(row["scores"][k], factor) if k in row["scores"] else "" for k in steps]
    return "| " + " | ".join(map(str, [*cells, told])) + " |"


def _curves(rows: list[dict[str, Any]]) -> list[str]:
    """How the score of a few test tasks came about, of what took long: one line a rule."""
    if rows[0]["metric"] != "accuracy":
        return []
    lines = ["", f"On the first {CURVE_TASKS} of these tasks, after so many meta-steps and seconds:", ""]
    for row in rows:
        told = (f"{100 * p['score']:.1f} ({p['step']:,}, {p['seconds']:.0f} s)" for p in row["curve"])
        lines.append(f"- {row['rule']}: {', '.join(told)}")
    return lines


def _rival_lines(rows: list[dict[str, Any]], steps: list[str]) -> list[str]:
    lines = []
    for row in (row for row in rows if row["rivals"]):
        lines += ["", f"{row['rule']} against as many gradient steps of tuned size: gain, paired by task", ""]
        lines += [
            "| gradient steps from | " + " | ".join(f"after {k}" for k in steps) + " |",
            "|" + "---|" * (len(steps) + 1),
        ]
        for name, found in row["rivals"].items():
            cells = [
                f"{_figure(f)} (size {f['rate']:g}){_gain(f) if _finite(row['scores'][k]) else ''}"
                for k, f in ((k, found[k]) for k in steps)
            ]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _finite(found: dict[str, Any]) -> bool:
    """Whether no task's score ran away."""
    return bool(found["value"] is not None and abs(found["value"]) < RUNAWAY)


def _figure(found: dict[str, Any], factor: int = 1) -> str:
    if not _finite(found):
        return "diverges"
    return f"{factor * found['value']:.4g} ± {factor * found['ci95']:.2g}"


def _gain(found: dict[str, Any]) -> str:
    return f": {found['gain']:+.3g} ± {found['gain_ci95']:.2g}"


def _told(value: Any) -> Any:
    """The value as JSON has it: null for what is no number."""
    if isinstance(value, dict):
        return {key: _told(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_told(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save(name: str, new: list[dict[str, Any]]) -> None:
    """Puts rows in the place of those of the same rule, family and step size."""
    path = RESULTS / f"{name}.json"
    old = json.loads(path.read_text())["rows"] if path.exists() else []
    command = f"benchmarks/published.py {' '.join(sys.argv[1:])}"
    new = [{**row, "command": command, "machine": machine()} for row in new]
    kept = {(row["family"], row["rule"], row["rate"]): row for row in (*old, *new)}
    rows = [kept[key] for key in sorted(kept, key=lambda key: (key[0] != "sinusoid", *map(str, key)))]
    path.write_text(json.dumps({"command": command, "machine": machine(), "rows": rows}, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(f"`benchmarks/published.py`, {machine()}\n\n{table(rows)}\n")


@click.command()
@click.option("--rule", "rules", required=True, help="Recipes with commas between, or prototype.")
@click.option(
    "--family", type=click.Choice(["sinusoid", "harmonics", "quadratic", "omniglot"]), required=True
)
@click.option("--seeds", default=1, show_default=True, help="How many.")
@click.option("--rates", help="Step sizes with commas between. [default: the recipe's]")
@click.option("--iterations", type=int, help="Meta-steps. [default: the paper's]")
@click.option("--budget", help="Time for a rule's meta-training: 30m. [default: none]")
@click.option("--tasks", "count", default=1000, show_default=True, help="Test tasks.")
@click.option("--out", help="Name under benchmarks/results/.")
@click.option("--json", "as_json", is_flag=True)
def main(
    rules: str,
    family: str,
    seeds: int,
    rates: str | None,
    iterations: int | None,
    budget: str | None,
    count: int,
    out: str | None,
    as_json: bool,
) -> None:
    """Trains recipes as their papers did and holds the figures against theirs."""
    keep_freed_memory()
    if family != "omniglot":
        torch.set_num_threads(1)  # the tensors are too small for two threads to share
    sizes = [float(rate) for rate in rates.split(",")] if rates else []
    rows: list[dict[str, Any]] = []
    for name in rules.split(","):
        click.echo(f"{name} on {family}", err=True)
        seconds = parse(budget) if budget else float("inf")
        new = _told(list(rows_of(name, family, seeds, sizes, iterations, seconds, count)))
        rows += new
        click.echo(table(new), err=True)
        if out:
            save(out, new)
    click.echo(json.dumps({"machine": machine(), "rows": rows}) if as_json else table(rows))


if __name__ == "__main__":
    main()
