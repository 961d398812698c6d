"""Inside a meta-step: norms by inner step and layer, where numbers stopped being finite, and two checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from metanas.engine.program import Program, at, count
from search_spaces.rules.descent import Descent, Path
from search_spaces.rules.transforms import layer
from search_spaces.task import Episodes, Task


@dataclass(frozen=True)
class Watched:
    """What one meta-step's tasks went through. A rule without inner steps has K = 0 of them.

    Attributes:
        layers: That the inner loop changes; all that is meta-trained, where there is none.
        losses: ``(T, K)`` of the support, before each inner step.
        gradients: ``(T, K, L)`` norms of the support loss's gradient, by layer.
        meta_gradients: ``(T, K + 1, L)`` norms of the outer loss's gradient by the parameters of that
            layer before the first step and after each.
        outer: ``(T,)`` outer losses.
        began: What was not finite first, in the order of computing; None: all was.
    """

    layers: tuple[str, ...]
    losses: Tensor
    gradients: Tensor
    meta_gradients: Tensor
    outer: Tensor
    began: str | None


def watch(
    program: Program, meta: Tensor, buffers: Tensor, episodes: Episodes, keys: Tensor, progress: Tensor
) -> Watched:
    """Computes the outer gradient of every task ``(T, …)`` and writes down what is on the way to it.

    Args:
        program: Of the candidate.
        meta: ``(P,)``.
        buffers: ``(B,)``.
        episodes: ``(T, …)``.
        keys: ``(T,)`` int64.
        progress: ``()``.
    """
    one = _descent if isinstance(program.rule, Descent) else _closed_form
    found = [one(program, meta, buffers, at(episodes, t), keys[t], progress) for t in range(count(episodes))]
    stacked = (torch.stack([getattr(w, name) for w in found]) for name in _STACKED)
    losses, gradients, meta_gradients, outer = stacked
    weights = _first_bad((f"weights of {n}", value) for n, value in program.meta.unflatten(meta).items())
    began = weights or next((f"task {t}: {w.began}" for t, w in enumerate(found) if w.began), None)
    return Watched(found[0].layers, losses, gradients, meta_gradients, outer, began)


_STACKED = ("losses", "gradients", "meta_gradients", "outer")


def outer_gradient(
    program: Program, meta: Tensor, buffers: Tensor, episodes: Episodes, keys: Tensor, progress: Tensor
) -> dict[str, Tensor]:
    """The outer gradient, the mean over tasks, as one vector a layer of what is meta-trained."""
    free = meta.detach().requires_grad_()
    losses = [
        program.task_loss(free, buffers, at(episodes, t), keys[t], progress)[0]
        for t in range(count(episodes))
    ]
    (slope,) = torch.autograd.grad(torch.stack(losses).mean(), free)
    parts: dict[str, list[Tensor]] = {}
    for name, value in program.meta.unflatten(slope).items():
        parts.setdefault(layer(name) or name, []).append(value.flatten())
    return {name: torch.cat(values) for name, values in parts.items()}


def slopes(
    program: Program,
    meta: Tensor,
    buffers: Tensor,
    task: Task,
    key: Tensor,
    progress: Tensor,
    directions: int = 3,
    step: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    """What the outer gradient says of random directions of length 1, and what the outer loss does.

    Args:
        program: Of the candidate.
        meta: ``(P,)``, in double precision, as all that follows.
        buffers: ``(B,)``.
        task: One.
        key: ``()``.
        progress: ``()``.
        directions: D.
        step: To either side.

    Returns:
        ``(D,)`` told, and ``(D,)`` measured by central differences.
    """
    free = meta.detach().requires_grad_()
    exact = torch.autograd.grad(program.task_loss(free, buffers, task, key, progress)[0], free)[0]
    random, told, measured = torch.Generator().manual_seed(0), [], []
    for _ in range(directions):
        way = torch.randn(meta.shape, generator=random, dtype=meta.dtype)
        way = way / way.norm()
        ahead, behind = (
            program.task_loss(meta + side * step * way, buffers, task, key, progress)[0] for side in (1, -1)
        )
        told.append(exact @ way)
        measured.append((ahead - behind).detach() / (2 * step))
    return torch.stack(told), torch.stack(measured)


def coupling(
    program: Program, meta: Tensor, buffers: Tensor, task: Task, key: Tensor, progress: Tensor
) -> float:
    """How far the outer loss is from that of each half of the queries alone, relative to it.

    0, but for rounding, unless training lets queries meet: in the statistics of a norm, say.
    """
    task = _counting(task)
    middle = len(task["query_x"]) // 2
    if middle == 0:
        return 0.0
    with torch.no_grad():
        whole = program.task_loss(meta, buffers, task, key, progress)[0]
        parts = [
            program.task_loss(meta, buffers, _of_queries(task, piece), key, progress)[0]
            for piece in (slice(0, middle), slice(middle, 2 * middle))
        ]
        both = program.task_loss(meta, buffers, _of_queries(task, slice(0, 2 * middle)), key, progress)[0]
    return float((both - (parts[0] + parts[1]) / 2).abs() / whole.abs().clamp(min=1e-12))


def _counting(task: Task) -> Task:
    """Of its queries those that count; behind a mask there may be anything."""
    return _of_queries(task, task["query_mask"]) if "query_mask" in task else task


def _of_queries(task: Task, piece: slice | Tensor) -> Task:
    kept = {name: value for name, value in task.items() if name != "query_mask"}
    return {**kept, "query_x": task["query_x"][piece], "query_y": task["query_y"][piece]}  # type: ignore[typeddict-item]


def _descent(
    program: Program, meta: Tensor, buffers: Tensor, task: Task, key: Tensor, progress: Tensor
) -> Watched:
    rule = program.rule
    assert isinstance(rule, Descent)
    named, known = program.meta.unflatten(meta), program.buffers.unflatten(buffers)
    points = rule.watched_loss(named, known, task, key, progress)[1].points
    nudges = [{n: torch.zeros_like(p).requires_grad_() for n, p in point.items()} for point in points]
    outer, path = rule.watched_loss(named, known, task, key, progress, nudges)
    flat = [nudge for point in nudges for nudge in point.values()]
    found = iter(torch.autograd.grad(outer, flat, allow_unused=True, materialize_grads=True))
    adjoints = [{name: next(found) for name in point} for point in nudges]
    layers = tuple(dict.fromkeys(map(layer, points[0])))
    gradients = [_norms(slopes, layers) for slopes in path.gradients]
    return Watched(
        layers,
        torch.stack([loss.detach() for loss in path.losses]),
        torch.stack(gradients),
        torch.stack([_norms(adjoint, layers) for adjoint in adjoints]),
        outer.detach(),
        _first_bad(_in_order(path, outer, adjoints)),
    )


def _closed_form(
    program: Program, meta: Tensor, buffers: Tensor, task: Task, key: Tensor, progress: Tensor
) -> Watched:
    free = meta.detach().requires_grad_()
    outer, _ = program.task_loss(free, buffers, task, key, progress)
    slope = program.meta.unflatten(torch.autograd.grad(outer, free)[0])
    layers = tuple(dict.fromkeys(layer(name) for name in slope))
    order = [("outer loss", outer), *((f"meta-gradient of {name}", value) for name, value in slope.items())]
    none = torch.zeros(0, len(layers))
    return Watched(
        layers, none[:, 0], none, _norms(slope, layers)[None], outer.detach(), _first_bad(iter(order))
    )


def _in_order(path: Path, outer: Tensor, adjoints: list[dict[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Everything on the way to the outer gradient, in the order in which it is computed."""
    for step, (loss, gradient) in enumerate(zip(path.losses, path.gradients, strict=True)):
        yield f"support loss before step {step + 1}", loss
        for name, value in gradient.items():
            yield f"gradient of {name} in step {step + 1}", value
        for name, value in path.points[step + 1].items():
            yield f"{name} after step {step + 1}", value
    yield "outer loss", outer
    for step in range(len(adjoints) - 1, -1, -1):
        where = f"after step {step}" if step else "before the first step"
        for name, value in adjoints[step].items():
            yield f"meta-gradient of {name} {where}, all before it being finite", value


def _first_bad(values: Iterator[tuple[str, Tensor]]) -> str | None:
    return next((name for name, value in values if not value.isfinite().all()), None)


def _norms(tensors: Mapping[str, Tensor], layers: tuple[str, ...]) -> Tensor:
    """``(L,)``."""
    parts = {name: [v.detach().flatten() for k, v in tensors.items() if layer(k) == name] for name in layers}
    return torch.stack([torch.cat(parts[name]).norm() for name in layers])
