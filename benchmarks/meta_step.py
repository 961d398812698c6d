"""Times one meta-step of MAML in the engine against a plain per-task loop, in the same run.

    .venv/bin/python benchmarks/meta_step.py [--json] [--device cpu] [--repeats 30]

The network is 1-40-40-1, second order. The loop is what a user writes by hand: for each task,
``torch.autograd.grad(create_graph=True)`` through the inner steps, then the outer gradient. Ways
of running are timed in turn, round by round, so that other work on the machine hits all of them;
the figure is the median. ``chosen`` is what ``--execution auto`` settled on.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from typing import Any

import click
import torch
from torch import Tensor

from metanas.engine import Engine, Program, resolve_device
from metanas.engine.devices import clock
from metanas.tasks.families import sinusoid
from metanas.tasks.family import Source
from search_spaces import Candidate, catalogue
from search_spaces.task import Episodes

RATE = 0.01
SHOTS, QUERIES = 10, 10
CASES = ((25, 1), (25, 5), (100, 5))
MODES = ("sequential", "vmap", "replay")
CHOOSING_CALLS = 20  # until auto has measured every way


def candidate(steps: int) -> Candidate:
    """MAML on 1-40-40-1."""
    mlp = {"depth": 2, "width_1": 40, "width_2": 40, "activation": "relu", "norm": "none"}
    rule = {"steps": steps, "order": 2, "step_size": "fixed", "rate": RATE, "scope": "all"}
    values: dict[str, Any] = {f"architecture.mlp.{name}": value for name, value in mlp.items()}
    values |= {f"rule.gradient.{name}": value for name, value in rule.items()}
    return Candidate({"architecture": "mlp", "rule": "gradient"} | values)


def by_hand(params: list[Tensor], episodes: Episodes, steps: int) -> list[Tensor]:
    """The outer gradient, task by task, as a user writes it."""

    def forward(weights: list[Tensor], x: Tensor) -> Tensor:
        w0, b0, w1, b1, w2, b2 = weights
        return torch.relu(torch.relu(x @ w0.T + b0) @ w1.T + b1) @ w2.T + b2

    total = torch.zeros((), device=params[0].device)
    tasks = len(episodes["support_x"])
    for t in range(tasks):
        fast = params
        for _ in range(steps):
            loss = ((forward(fast, episodes["support_x"][t]) - episodes["support_y"][t]) ** 2).mean()
            gradients = torch.autograd.grad(loss, fast, create_graph=True)
            fast = [p - RATE * g for p, g in zip(fast, gradients, strict=True)]
        total = total + ((forward(fast, episodes["query_x"][t]) - episodes["query_y"][t]) ** 2).mean()
    return list(torch.autograd.grad(total / tasks, params))


def measure(tasks: int, steps: int, device: torch.device, repeats: int) -> list[dict[str, Any]]:
    """Rows of one case; checks first that every way gives the loop's gradient."""
    family = sinusoid.build(Source())
    rule = catalogue.build(candidate(steps), family.signature(None, SHOTS))
    program = Program.of(rule)
    meta, buffers = (tensor.to(device) for tensor in program.init(0))
    random = torch.Generator(device).manual_seed(0)
    episodes = family.sample(tasks, "train", random, shots=SHOTS, ways=1, queries=QUERIES)
    batch = {name: tensor[None] for name, tensor in episodes.items()}
    keys, progress = torch.zeros(1, tasks, dtype=torch.int64, device=device), torch.zeros((), device=device)
    params = [p.clone().requires_grad_() for p in program.meta.unflatten(meta).values()]
    runs: dict[str, Callable[[], Any]] = {"loop": lambda: by_hand(params, episodes, steps)}
    engines = {mode: Engine(program, device, mode) for mode in (*MODES, "auto")}
    for mode, engine in engines.items():
        runs[mode] = lambda e=engine: e.gradients(
            meta[None], buffers[None], batch, keys, progress, calls_left=10_000
        )[0]
    reference = torch.cat([g.reshape(-1) for g in runs["loop"]()])
    for mode in engines:
        for _ in range(CHOOSING_CALLS if mode == "auto" else 3):
            found = runs[mode]()[0]
        torch.testing.assert_close(found, reference, rtol=1e-3, atol=1e-4 * float(reference.abs().max()))
    ms = _timed(runs, device, repeats)
    names = {"auto": "chosen"}
    return [
        {
            "network": "mlp",
            "tasks": tasks,
            "steps": steps,
            "order": 2,
            "mode": names.get(mode, mode),
            "runs_as": engine.chosen if mode == "auto" else mode,
            "ms": ms[mode],
            "loop_ms": ms["loop"],
            "speedup_vs_loop": ms["loop"] / ms[mode],
            "device": str(device),
        }
        for mode, engine in engines.items()
    ]


def _timed(runs: dict[str, Callable[[], Any]], device: torch.device, repeats: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = clock(device)
            run()
            times[name].append((clock(device) - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option("--device", default="auto", show_default=True)
@click.option("--repeats", default=30, show_default=True, help="Rounds; the figure is their median.")
def main(as_json: bool, device: str, repeats: int) -> None:
    """Times one meta-step of MAML in the engine against a plain per-task loop."""
    where = resolve_device(device)
    rows = [row for tasks, steps in CASES for row in measure(tasks, steps, where, repeats)]
    if as_json:
        click.echo(json.dumps({"rows": rows, "threads": torch.get_num_threads(), "torch": torch.__version__}))
        return
    for row in rows:
        case = f"{row['tasks']:>4} tasks {row['steps']} steps  {row['mode']:<10} ({row['runs_as']})"
        click.echo(f"{case:<45} {row['ms']:8.2f} ms  {row['speedup_vs_loop']:6.1f} x the loop")


if __name__ == "__main__":
    main()
