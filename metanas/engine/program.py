"""A candidate as the engine runs it: its outer gradient and its scores, over a batch of tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from metanas.engine.lanes import wanted
from metanas.engine.layout import Layout
from search_spaces.rules.interface import Rule
from search_spaces.task import Episodes, Task

# meta (C, P), buffers (C, B), episodes (C, T, …), keys (C, T), progress () →
# gradients (C, P), losses (C,), observed buffers (C, B)
Step = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Program:
    """A rule with the layouts of its tensors.

    Attributes:
        rule: Whose pure functions are run.
        meta: Layout of the meta-parameters.
        buffers: Layout of the other tensors.
        half: Whether training gives examples in bfloat16, to a network that computes in the precision of
            its examples; parameters, heads and losses keep theirs. Scores are always in full precision.
    """

    rule: Rule
    meta: Layout
    buffers: Layout
    half: bool = False

    @classmethod
    def of(cls, rule: Rule, half: bool = False) -> Program:
        """The program of a rule; its tensors are made once, for their names and shapes."""
        meta, buffers = rule.init(torch.Generator().manual_seed(0))
        able = bool(getattr(rule.network, "half", False))
        return cls(rule, Layout.of(meta), Layout.of(buffers), half and able)

    def init(self, seed: int) -> tuple[Tensor, Tensor]:
        """Initial meta-parameters ``(P,)`` and buffers ``(B,)``."""
        meta, buffers = self.rule.init(torch.Generator().manual_seed(seed))
        return self.meta.flatten(meta), self.buffers.flatten(buffers)

    def task_loss(
        self, meta: Tensor, buffers: Tensor, task: Task, key: Tensor, progress: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Of one task: the outer loss ``()``, and the buffers ``(B,)`` that it observed."""
        known = self.buffers.unflatten(buffers)
        task = _halved(task) if self.half else task
        loss, statistics = self.rule.outer_loss(self.meta.unflatten(meta), known, task, key, progress)
        return loss, self.buffers.flatten(known | statistics).detach().to(buffers)

    def adapt_predict(self, meta: Tensor, buffers: Tensor, task: Task) -> Tensor:
        """Of one task: predictions ``(Q, O)`` after adapting to its support set."""
        parameters, others = self.meta.unflatten(meta), self.buffers.unflatten(buffers)
        key = torch.zeros((), dtype=torch.int64, device=meta.device)
        mask = task.get("support_mask")
        adapted = self.rule.adapt(parameters, others, task["support_x"], task["support_y"], mask, key)
        return self.rule.predict(parameters, others, adapted, task["query_x"])


def vmapped(program: Program) -> Callable[[Tensor, Tensor, Episodes, Tensor, Tensor], Step]:
    """The outer gradient of all candidates and tasks as one batch."""

    def losses(
        meta: Tensor, buffers: Tensor, episodes: Episodes, keys: Tensor, progress: Tensor
    ) -> tuple[Tensor, Tensor]:
        if len(keys) == 1:  # alone, a task runs in torch's own kernels: batching rules split some of them
            return program.task_loss(meta, buffers, at(episodes, 0), keys[0], progress)
        batched = torch.func.vmap(program.task_loss, in_dims=(None, None, 0, 0, None))
        loss, observed = batched(meta, buffers, episodes, keys, progress)
        return loss.mean(0), observed.mean(0)

    def step(meta: Tensor, buffers: Tensor, episodes: Episodes, keys: Tensor, progress: Tensor) -> Step:
        free = meta.detach().requires_grad_()
        if len(meta) == 1:  # one candidate: batched weights would cost grouped convolutions for nothing
            one, seen = losses(free[0], buffers[0], at(episodes, 0), keys[0], progress)
            loss, observed = one[None], seen[None]
        else:
            over_candidates = torch.func.vmap(losses, in_dims=(0, 0, 0, 0, None))
            loss, observed = over_candidates(free, buffers, episodes, keys, progress)
        # a candidate's loss depends on its own row alone, so the gradient of the sum is every one's own
        (gradients,) = torch.autograd.grad(loss.sum(), free)
        return gradients, loss.detach(), observed

    return step


def sequential(program: Program) -> Callable[[Tensor, Tensor, Episodes, Tensor, Tensor], Step]:
    """The same, task by task: one plain graph after the other, each freed before the next.

    A task alone needs no padding: rows behind its masks are left out, and what is done without masks,
    norms above all, is done in torch's own kernels.
    """

    def step(meta: Tensor, buffers: Tensor, episodes: Episodes, keys: Tensor, progress: Tensor) -> Step:
        rows = [one(meta[c], buffers[c], at(episodes, c), keys[c], progress) for c in range(len(meta))]
        gradients, losses, observed = zip(*rows, strict=True)
        return torch.stack(gradients), torch.stack(losses), torch.stack(observed)

    def one(meta: Tensor, buffers: Tensor, episodes: Episodes, keys: Tensor, progress: Tensor) -> Step:
        gradient, total, seen = torch.zeros_like(meta), torch.zeros_like(meta[0]), torch.zeros_like(buffers)
        free = meta.detach().requires_grad_()
        for t in wanted(len(keys)):
            task = _unpadded(at(episodes, t))
            loss, observed = program.task_loss(free, buffers, task, keys[t], progress)
            gradient += torch.autograd.grad(loss, free)[0]
            total, seen = total + loss.detach(), seen + observed
        return gradient / len(keys), total / len(keys), seen / len(keys)

    return step


def _unpadded(task: Task) -> Task:
    found = dict(task)
    for part in ("support", "query"):
        mask = found.pop(f"{part}_mask", None)
        if mask is not None:
            found |= {name: task[name][mask] for name in (f"{part}_x", f"{part}_y")}  # type: ignore[literal-required]
    return found  # type: ignore[return-value]


def _halved(task: Task) -> Task:
    examples = {"support_x": task["support_x"].bfloat16(), "query_x": task["query_x"].bfloat16()}
    return {**task, **examples}  # type: ignore[typeddict-item]


def at(episodes: Episodes, index: int | slice) -> Episodes:
    """The tensors of one index, or a slice, of the leading axis."""
    return {name: tensor[index] for name, tensor in episodes.items()}  # type: ignore[return-value, index]


def count(episodes: Episodes) -> int:
    """Length of the leading axis."""
    return len(episodes["support_x"])
