"""Learning by steps from a learned start: the inner loop that every gradient rule is a setting of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from search_spaces.architectures.norms import uniform
from search_spaces.rules import context
from search_spaces.rules.interface import Rule, sub, under
from search_spaces.rules.losses import clean, task_loss
from search_spaces.rules.outer_losses import distance, step_weights, together
from search_spaces.rules.transforms import Named, Point, Transform
from search_spaces.task import Task, Tensors

ORDERS = ("first", "second", "annealed")
SCOPES = ("all", "head", "body", "context")
HEADS = ("shared", "rows", "prototype")

_FIRST_ORDER_PART = 1 / 3  # of meta-training, where the order is annealed: 50 of the paper's 150 epochs
_STARTS = {
    "all": ("network.", "head."),
    "head": ("head.",),
    "body": ("network.",),
    "context": (context.CODE,),
}


class Path(NamedTuple):
    """What the inner loop went through.

    Attributes:
        points: What it changes, by name: before the first step and after each.
        losses: ``()`` each, of the support, at every point but the last.
        gradients: Of these.
        slow: The parameters that it leaves.
    """

    points: list[Named]
    losses: list[Tensor]
    gradients: list[Named]
    slow: Named


@dataclass(frozen=True)
class Descent(Rule):
    """Steps that a transform makes of the gradients of the support loss.

    Running norms use their running statistics, in training too.

    Attributes:
        transform: Makes a step of a gradient.
        steps: How many.
        order: ``"first"`` leaves out second derivatives, ``"second"`` has them, ``"annealed"`` leaves
            them out in the first third of meta-training (MAML++).
        loss: What meta-training minimises: the queries' after the ``"last"`` step; after ``"every"``
            step, at first with equal weights, soon with nearly all of it on the last (MAML++); or half
            the squared ``"distance"`` between the start and where all of the task's examples lead
            (Reptile).
        scope: What the inner loop changes: ``"all"``, ``"head"``, ``"body"``, or ``"context"``, a code
            that is added to the first layer (CAVIA).
        head: How the head begins: ``"rows"``, one learned row an output; ``"shared"``, one learned row
            for all classes; ``"prototype"``, of the mean features of a class (Proto-MAML).
    """

    transform: Transform
    steps: int
    order: str
    loss: str
    scope: str
    head: str

    @property
    def fixed_ways(self) -> bool:
        return self.head == "rows"

    def init(self, generator: torch.Generator) -> tuple[Named, Named]:
        rows = self.signature.outputs if self.head == "rows" else 1
        weight = uniform((rows, self.network.size), self.network.size, generator)
        meta = under("network", self.network.init(generator))
        head = {"head.weight": weight, "head.bias": torch.zeros(rows)}
        if self.scope == "context":
            meta |= context.init(meta, generator)
        learned, fixed = self.transform.init(self._split(meta | head)[0], generator)
        meta |= {} if self.head == "prototype" else head
        return meta | learned, under("statistics", self.network.statistics()) | fixed

    def adapt(
        self, meta: Tensors, buffers: Tensors, x: Tensor, y: Tensor, mask: Tensor | None, key: Tensor
    ) -> Named:
        return self._adapted(meta, buffers, self.path(meta, buffers, x, y, mask), x, mask)[-1]

    def predict(self, meta: Tensors, buffers: Tensors, adapted: Tensors, x: Tensor) -> Tensor:
        given = sub(adapted, "statistics") or sub(buffers, "statistics")
        return _read(adapted, self._features(adapted, x, None, given))

    def outer_loss(
        self, meta: Tensors, buffers: Tensors, task: Task, key: Tensor, progress: Tensor
    ) -> tuple[Tensor, Named]:
        """See the class; for running norms, also the statistics of the support set before adapting."""
        loss = self.watched_loss(meta, buffers, task, key, progress)[0]
        if self.network.norm != "running":
            return loss, {}
        x, y, mask = task["support_x"], task["support_y"], task.get("support_mask")
        start = _detached(meta)
        fast, slow = self._start(start, buffers, x, y, mask)
        params = self._seen({**start, **buffers}, slow, fast)
        used = self.network.apply(sub(params, "network"), clean(x, mask), mask, {})[1]
        return loss, under("statistics", used)

    def watched_loss(
        self,
        meta: Tensors,
        buffers: Tensors,
        task: Task,
        key: Tensor,
        progress: Tensor,
        nudges: Sequence[Tensors] = (),
    ) -> tuple[Tensor, Path]:
        """The outer loss ``()`` and the path to it; see :meth:`path` for ``nudges``."""
        x, y, mask = task["support_x"], task["support_y"], task.get("support_mask")
        if self.loss == "distance":
            x, y, mask = together(task)
            path = self.path(meta, buffers, x, y, mask, key, progress, nudges)
            return distance(path.points[0], path.points[-1]), path
        path = self.path(meta, buffers, x, y, mask, key, progress, nudges)
        ends = self._adapted(meta, buffers, path, x, mask, every=self.loss == "every")
        query = clean(task["query_x"], task.get("query_mask"))
        losses = [self.query_loss(self.predict(meta, buffers, end, query), task) for end in ends]
        if len(losses) == 1:
            return losses[0], path
        return (step_weights(progress, len(losses)) * torch.stack(losses)).sum(), path

    def path(
        self,
        meta: Tensors,
        buffers: Tensors,
        x: Tensor,
        y: Tensor,
        mask: Tensor | None,
        key: Tensor | None = None,
        progress: Tensor | None = None,
        nudges: Sequence[Tensors] = (),
    ) -> Path:
        """The inner loop on a support set.

        Args:
            meta: Meta-trained parameters.
            buffers: The other tensors of the learner.
            x: ``(S, *x)``.
            y: ``(S, O)``.
            mask: ``(S,)`` rows that count; None: all.
            key: ``()`` int64, seed of what a transform draws; None, when not meta-training, for nothing.
            progress: ``()``, of meta-training.
            nudges: Added to what each point holds, if there are any: the outer loss's slope by them,
                at zero, is its gradient by the parameters of that step.
        """
        own, known = {**meta, **buffers}, sub(buffers, "statistics")
        x, y = clean(x, mask), clean(y, mask)
        fast, slow = self._start(meta, buffers, x, y, mask)
        features = self._features(slow, x, mask, known) if self.scope == "head" else None

        def loss(fast: Named) -> Tensor:
            params = self._seen(own, slow, fast)
            seen = self._features(params, x, mask, known) if features is None else features
            return task_loss(self.signature.kind, _read(params, seen), y, mask)

        through = self._through(progress)
        path = Path([_nudged(fast, nudges, 0)], [], [], slow)
        state = self.transform.start(own, path.points[0], key)
        for step in range(self.steps):
            now = path.points[-1]
            slopes, value = torch.func.grad_and_value(loss)(now)
            passed = {name: through(slope) for name, slope in slopes.items()}
            move, state = self.transform.update(own, state, passed, Point(now, through(value), step))
            path.losses.append(value)
            path.gradients.append(slopes)
            path.points.append(_nudged({name: p - move[name] for name, p in now.items()}, nudges, step + 1))
        return path

    def _start(
        self, meta: Tensors, buffers: Tensors, x: Tensor, y: Tensor, mask: Tensor | None
    ) -> tuple[Named, Named]:
        """What the inner loop changes, before the first step, and what it leaves."""
        learned = {k: v for k, v in meta.items() if k.startswith(("network.", "head.", "context."))}
        return self._split(
            self._with_head(learned, {**meta, **buffers}, clean(x, mask), clean(y, mask), mask)
        )

    def _with_head(self, learned: Named, own: Tensors, x: Tensor, y: Tensor, mask: Tensor | None) -> Named:
        if self.head == "rows":
            return learned
        if self.head == "prototype":

            def headed(params: Tensors) -> Named:
                features = self._features(params, x, mask, sub(own, "statistics"))
                return learned | _prototype_head(clean(features, mask), y)

            found = headed(learned)
            if not self.transform.turns:
                return found
            # the means of features as the network has them that is run
            fast, slow = self._split(found)
            return headed(self._seen(own, slow, fast))
        weight, bias, ways = learned["head.weight"], learned["head.bias"], y.shape[-1]
        return learned | {"head.weight": weight.expand(ways, -1), "head.bias": bias.expand(ways)}

    def _split(self, params: Named) -> tuple[Named, Named]:
        fast = {k: v for k, v in params.items() if k.startswith(_STARTS[self.scope])}
        if self.scope == "context":
            fast |= context.code(next(iter(params.values())))
        return fast, {k: v for k, v in params.items() if k not in fast}

    def _seen(self, own: Tensors, slow: Named, fast: Named) -> Named:
        """The parameters that the network runs with."""
        params = {**slow, **self.transform.view(own, fast)}
        return context.applied(params) if self.scope == "context" else params

    def _features(self, params: Tensors, x: Tensor, mask: Tensor | None, statistics: Tensors) -> Tensor:
        return self.network.apply(sub(params, "network"), x, mask, statistics)[0]

    def _adapted(
        self,
        meta: Tensors,
        buffers: Tensors,
        path: Path,
        x: Tensor,
        mask: Tensor | None,
        every: bool = False,
    ) -> list[Named]:
        """What predicts, after each step or after the last one only."""
        own = {**meta, **buffers}
        found = [
            self._seen(own, path.slow, fast) for fast in (path.points[1:] if every else path.points[-1:])
        ]
        if self.network.norm != "support":
            return found
        # queries are normalised by what the adapted network makes of the support set
        x = clean(x, mask)
        return [p | under("statistics", self.network.apply(sub(p, "network"), x, mask, {})[1]) for p in found]

    def _through(self, progress: Tensor | None) -> Callable[[Tensor], Tensor]:
        """How much of a gradient's own slope the outer gradient sees: all, nothing, or nothing at first."""
        if self.order == "first":
            return Tensor.detach
        if self.order == "second" or progress is None:
            return lambda value: value
        open_ = (progress >= _FIRST_ORDER_PART).to(progress.dtype)
        return lambda value: value.detach() + open_ * (value - value.detach())


def _prototype_head(features: Tensor, y: Tensor) -> Named:
    """A linear head that is the nearest prototype's: ``w = 2 c``, ``b = −|c|²`` (Snell et al. 2017)."""
    centres = (y.mT @ features) / y.sum(0).clamp(min=1.0)[:, None]  # (ways, D)
    return {"head.weight": 2 * centres, "head.bias": -(centres**2).sum(-1)}


def _nudged(params: Named, nudges: Sequence[Tensors], step: int) -> Named:
    return {name: p + nudges[step][name] for name, p in params.items()} if nudges else params


def _detached(params: Tensors) -> Named:
    return {name: value.detach() for name, value in params.items()}


def _read(params: Tensors, features: Tensor) -> Tensor:
    return features @ params["head.weight"].mT + params["head.bias"]
