"""What is the matter with a meta-gradient: all that can be measured of one, and since when it is broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from metanas.engine import Engine, Program
from metanas.engine.program import at
from metanas.engine.watching import coupling, outer_gradient, slopes, watch
from metanas.scoring import leak
from metanas.tasks.family import Family
from metanas.training import Checkpoint, as_dtype, next_tasks, scheduled, train
from search_spaces.outer import Outer
from search_spaces.rules.descent import Descent
from search_spaces.task import Episodes

_LEG = 25  # meta-steps between two looks at whether all is still finite
_EXACT = 1e-3  # relative difference up to which two slopes are the same
_LEAK = 1e-3  # relative change from which queries are said to meet
_TINY = 1e-30


@dataclass(frozen=True)
class Diagnosis:
    """Of one candidate, at some weights, on a few tasks. Means are over tasks.

    Attributes:
        layers: That the inner loop changes; all that is meta-trained, where there is none.
        losses: Of the support, before each inner step.
        gradients: Norm of the support loss's gradient, of each inner step: one number a layer.
        meta_gradients: Norm of the outer loss's gradient by what each layer is before the first inner
            step and after each: one number a layer.
        outer: The outer loss.
        began: What was not finite first; None: all was.
        orders: Layer → cosine between the first- and the second-order outer gradient, and the first's
            length relative to the second's; empty for rules without inner steps.
        difference: Relative difference between the exact outer gradient and finite differences, in
            double precision; None where nothing is differentiated (Reptile).
        used: The same of the gradient that the rule trains with.
        leak: How far predictions move when other queries are taken away, relative to their spread.
        coupling: How far the training loss moves when queries are taken apart, relative to it; None
            where a rule learns from the queries too (Reptile).
    """

    layers: tuple[str, ...]
    losses: Sequence[float]
    gradients: Sequence[Sequence[float]]
    meta_gradients: Sequence[Sequence[float]]
    outer: float
    began: str | None
    orders: dict[str, tuple[float, float]]
    difference: float | None
    used: float | None
    leak: float
    coupling: float | None

    def findings(self) -> list[tuple[bool, str]]:
        """What is measured, in words, a line each, and whether it is as it should be."""
        began = "all numbers are finite" if self.began is None else f"first not finite: {self.began}"
        found = [(self.began is None, began)]
        if self.difference is not None and self.used is not None:
            exact = f"exact outer gradient against finite differences: {self.difference:.1e} apart"
            found.append((self.difference <= _EXACT, exact))
            if self.used > _EXACT:
                found.append((True, f"the gradient trained with leaves out a part: {self.used:.1e} apart"))
        stays = f"predictions move by {self.leak:.1e} of their spread without the other queries"
        found.append((self.leak <= _LEAK, stays + (": transductive" if self.leak > _LEAK else "")))
        if self.coupling is not None:
            meets = f"the training loss moves by {self.coupling:.1e} when queries are taken apart"
            alone = " in training alone" if self.leak <= _LEAK else ""
            why = f": a norm's statistics are of several queries,{alone}" if self.coupling > _LEAK else ""
            found.append((True, (meets + why).rstrip(",")))
        return found

    def to_dict(self) -> dict[str, Any]:
        return vars(self) | {"findings": [{"fine": fine, "what": what} for fine, what in self.findings()]}


def diagnose(
    program: Program, meta: Tensor, buffers: Tensor, episodes: Episodes, keys: Tensor, progress: float = 1.0
) -> Diagnosis:
    """Measures all of it on tasks ``(T, …)``.

    Args:
        program: Of the candidate.
        meta: ``(P,)``, on the CPU.
        buffers: ``(B,)``.
        episodes: ``(T, …)``, best those of a meta-step.
        keys: ``(T,)`` int64.
        progress: Of meta-training, in [0, 1].
    """
    done = torch.tensor(progress, dtype=meta.dtype)
    seen = watch(program, meta, buffers, episodes, keys, done)
    reptile = getattr(program.rule, "loss", "") == "distance"
    difference, used = (None, None) if reptile else _differences(program, meta, buffers, episodes, keys, done)
    return Diagnosis(
        seen.layers,
        _listed(seen.losses),
        _listed(seen.gradients),
        _listed(seen.meta_gradients),
        float(seen.outer.mean()),
        seen.began,
        {} if reptile else _orders(program, meta, buffers, episodes, keys, done),
        difference,
        used,
        leak(Engine(program, torch.device("cpu"), "sequential"), meta, buffers, episodes),
        None if reptile else coupling(program, meta, buffers, at(episodes, 0), keys[0], done),
    )


def until_broken(
    engine: Engine,
    family: Family,
    outer: Outer,
    start: Checkpoint,
    steps: int,
    horizon: int | None = None,
) -> tuple[Checkpoint, bool]:
    """Meta-trains up to the step at which something stops being finite, if that comes.

    Args:
        engine: Of the candidate.
        family: Whose tasks.
        outer: Its settings.
        start: Before the first meta-step.
        steps: To take at most.
        horizon: Meta-steps to the last rung of its search, by which its schedules go; None: these steps.

    Returns:
        The candidate where it is then, and whether its next meta-step breaks it.
    """
    now, until = start, start.step + steps

    def after(step: int) -> Checkpoint:
        return train(engine, family, [outer], [now], step, scheduled(horizon or until)).checkpoints[0]

    while now.step < until:
        then = after(min(now.step + _LEG, until))
        if not _is_sound(then):
            break
        now = then
    else:
        return now, False
    while _is_sound(then := after(now.step + 1)):
        now = then
    return now, True


def tasks_of_next_step(
    engine: Engine, family: Family, outer: Outer, checkpoint: Checkpoint, most: int
) -> tuple[Episodes, Tensor]:
    """The first few tasks of the meta-step that comes next, and their keys."""
    episodes, keys = next_tasks(engine, family, outer, checkpoint)
    return at(episodes, slice(0, most)), keys[:most]


def _is_sound(checkpoint: Checkpoint) -> bool:
    losses = torch.tensor([loss for _, loss in checkpoint.curve])
    return bool(losses.isfinite().all() and checkpoint.meta.isfinite().all())


def _orders(
    program: Program, meta: Tensor, buffers: Tensor, episodes: Episodes, keys: Tensor, progress: Tensor
) -> dict[str, tuple[float, float]]:
    if not isinstance(program.rule, Descent):
        return {}
    first, second = (
        outer_gradient(_of_order(program, order), meta, buffers, episodes, keys, progress)
        for order in ("first", "second")
    )
    found = {}
    for name, one in first.items():
        lengths = one.norm(), second[name].norm()
        cosine = (one @ second[name]) / (lengths[0] * lengths[1]).clamp(min=_TINY)
        found[name] = float(cosine), float(lengths[0] / lengths[1].clamp(min=_TINY))
    return found


def _differences(
    program: Program, meta: Tensor, buffers: Tensor, episodes: Episodes, keys: Tensor, progress: Tensor
) -> tuple[float, float]:
    task = as_dtype(at(episodes, 0), torch.float64)
    exact = _of_order(program, "second") if isinstance(program.rule, Descent) else program

    def apart(one: Program) -> tuple[Tensor, Tensor]:
        return slopes(one, meta.double(), buffers.double(), task, keys[0], progress.double(), step=1e-6)

    told, measured = apart(exact)
    scale = measured.norm().clamp(min=_TINY)
    return float((told - measured).norm() / scale), float((apart(program)[0] - measured).norm() / scale)


def _of_order(program: Program, order: str) -> Program:
    assert isinstance(program.rule, Descent)
    return replace(program, rule=replace(program.rule, order=order))


def _listed(values: Tensor) -> list[Any]:
    """The mean over tasks as plain numbers."""
    listed: list[Any] = values.mean(0).tolist()
    return listed
