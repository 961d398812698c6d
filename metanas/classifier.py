"""A baseline for images: a network that tells all training classes apart, whose features serve new ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from metanas import per_task
from metanas.baselines import Simple, pace, run_simple, timed
from metanas.engine import Engine
from metanas.engine.lanes import pieces, spread
from metanas.engine.program import at, count
from metanas.evaluator import Evaluator
from metanas.seeds import derive, generator
from metanas.sizing import median_ms
from metanas.training import Checkpoint, Trained, annealed, train
from metanas.verdict import Rival
from search_spaces import Candidate, Costs, catalogue, plugins
from search_spaces.architectures.norms import uniform
from search_spaces.errors import EvaluationError, NoRoomError
from search_spaces.outer import Outer
from search_spaces.rules.interface import Rule, sub, under
from search_spaces.task import Episodes, Task, Tensors

_IMAGES = 64  # of a batch on each thread, so many that their statistics are steady
_RATE, _DECAY = 2e-3, 1e-3
_PILOT = 10  # steps that tell how long one takes
_PILOT_PART = 0.1  # of the time, at most
_TRAINING = 0.95  # part of the time after them that is planned for
_CHUNK = 500  # images that features are taken of at once
_CENTRE = 1000  # training images that features are centred by


@runtime_checkable
class Labelled(Protocol):
    """A family of which the class of each training image is known."""

    def training_classes(self, augmentation: str) -> int: ...
    def labelled(
        self, images: int, generator: torch.Generator, augmentation: str = "none"
    ) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class Classifier(Rule):
    """A linear head over the network, one row a training class; it does not adapt."""

    def init(self, generator: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        rows, size = self.signature.outputs, self.network.size
        head = {"head.weight": uniform((rows, size), size, generator), "head.bias": torch.zeros(rows)}
        meta = under("network", self.network.init(generator)) | head
        return meta, under("statistics", self.network.statistics())

    def adapt(
        self, meta: Tensors, buffers: Tensors, x: Tensor, y: Tensor, mask: Tensor | None, key: Tensor
    ) -> dict[str, Tensor]:
        return {}

    def predict(self, meta: Tensors, buffers: Tensors, adapted: Tensors, x: Tensor) -> Tensor:
        return self._head(meta, self.features(meta, buffers, x))

    def outer_loss(
        self, meta: Tensors, buffers: Tensors, task: Task, key: Tensor, progress: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        features, used = self.network.apply(sub(meta, "network"), task["query_x"], None, {})
        return self.query_loss(self._head(meta, features), task), under("statistics", used)

    def features(self, meta: Tensors, buffers: Tensors, x: Tensor) -> Tensor:
        """``(N, D)`` of images ``(N, *x)``."""
        return self.network.apply(sub(meta, "network"), x, None, sub(buffers, "statistics"))[0]

    def _head(self, meta: Tensors, features: Tensor) -> Tensor:
        return features @ meta["head.weight"].mT + meta["head.bias"]


@dataclass(frozen=True)
class AllClasses:
    """Batches of training images with the class of each, as queries of tasks without a support set.

    Attributes:
        family: Whose images.
    """

    family: Labelled

    def sample(
        self,
        n_tasks: int,
        split: str,
        generator: torch.Generator,
        *,
        shots: Any,
        ways: int,
        queries: int,
        variant: str | None = None,
        augmentation: str = "none",
    ) -> Episodes:
        x, label = self.family.labelled(n_tasks * queries, generator, augmentation)
        y = functional.one_hot(label, self.family.training_classes(augmentation)).to(x)
        x, y = x.unflatten(0, (n_tasks, queries)), y.unflatten(0, (n_tasks, queries))
        return {"support_x": x[:, :0], "support_y": y[:, :0], "query_x": x, "query_y": y}


@dataclass(frozen=True)
class Features:
    """Nearest centroid and logistic regression on what such a network makes of images.

    A good one comes within a point or two of meta-learning.

    Attributes:
        network: The candidate whose architecture it has.
        augmentation: Of the training images.

    References:
        Chen et al., *A closer look at few-shot classification*, 2019, https://arxiv.org/abs/1904.04232
        Wang et al., *SimpleShot*, 2019, https://arxiv.org/abs/1911.04623, for centred features of length 1.
        Tian et al., *Rethinking few-shot image classification*, 2020, https://arxiv.org/abs/2003.11539
    """

    network: Candidate
    augmentation: str
    name: str = "features of a classifier"
    tuning: int = 0  # next to none beside what embedding takes

    def pace(self, evaluator: Evaluator, probe: Episodes) -> float:
        engine = self._engine(evaluator)
        checkpoint = Checkpoint.start(engine.program, 0, evaluator.device)
        embedded = _embedded(engine, checkpoint, probe)
        taken = timed(lambda: _embedded(engine, checkpoint, probe)) / count(probe)
        methods = _methods(np.zeros(embedded["support_x"].shape[-1]))
        return taken + sum(pace(evaluator.signature, method, embedded) for method in methods)

    def run(
        self, evaluator: Evaluator, test: Episodes, steps: int, left: Callable[[], float], seed: int
    ) -> list[Rival]:
        engine, family = self._engine(evaluator), evaluator.family
        assert isinstance(family, Labelled)
        try:
            checkpoint = _trained(engine, AllClasses(family), self.augmentation, steps, left, seed)
        except NoRoomError as error:
            raise EvaluationError(f"baseline {self.name} could not be trained ({error})") from None
        random = generator(evaluator.device, seed, "centre")
        centre = _features(engine, checkpoint, family.labelled(_CENTRE, random)[0]).mean(0).cpu().numpy()
        valid, there = (_embedded(engine, checkpoint, episodes) for episodes in (evaluator.valid, test))
        rivals = [run_simple(evaluator.signature, method, valid, there) for method in _methods(centre)]
        known = engine, checkpoint
        return [
            replace(r, on=partial(_on, *known, r), costs=partial(_costs, *known, r, evaluator.valid))
            for r in rivals
        ]

    def _engine(self, evaluator: Evaluator) -> Engine:
        """Of the classifier: as many outputs as there are training classes."""
        assert isinstance(evaluator.family, Labelled)
        classes = evaluator.family.training_classes(self.augmentation)
        signature = replace(evaluator.signature, outputs=classes)
        kind = str(self.network["architecture"])
        part = plugins.load(*catalogue.ARCHITECTURES, kind)
        network = part.build(self.network.part(f"architecture.{kind}"), signature)
        return evaluator.engine_of(Classifier(network, signature))


def _trained(
    engine: Engine,
    family: AllClasses,
    augmentation: str,
    steps: int,
    left: Callable[[], float],
    seed: int,
) -> Checkpoint:
    """To the end of the time, or of the steps where there is time without end."""
    tasks = max(2, engine.lanes)
    outer = Outer(_RATE, "constant", _DECAY, tasks, 1, 0, _IMAGES, augmentation)

    def on(start: Checkpoint, until: int, horizon: int, seconds: float) -> Trained:
        return train(engine, family, [outer], [start], until, annealed(horizon), seconds, patient=True)  # type: ignore[arg-type]

    start = Checkpoint.start(engine.program, derive(seed, "classifier"), engine.device)
    if math.isinf(left()):
        return on(start, steps, steps, math.inf).checkpoints[0]
    pilot = on(start, _PILOT, 10 * _PILOT, _PILOT_PART * left())
    (checkpoint,) = pilot.checkpoints
    total = checkpoint.step + max(1, int(_TRAINING * left() * 1e3 / pilot.ms))
    return on(checkpoint, total, total, left()).checkpoints[0]


def _methods(centre: np.ndarray) -> list[Simple]:
    """On features, as they are or centred and of length 1."""

    def prepared(centred: bool, x: np.ndarray) -> np.ndarray:
        if not centred:
            return x
        moved = x - centre
        return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12))

    def nearest(centred: bool, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
        return per_task.centroid(None, prepared(centred, x), y, prepared(centred, q))

    def logistic(setting: tuple[bool, float], x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
        centred, strength = setting
        return per_task.logistic(strength, prepared(centred, x), y, prepared(centred, q))

    strengths = (0.1, 1.0, 10.0)
    return [
        Simple("nearest centroid on features of a classifier", (False, True), nearest),
        Simple(
            "logistic regression on features of a classifier",
            tuple(product((False, True), strengths)),
            logistic,
        ),
    ]


def _on(engine: Engine, checkpoint: Checkpoint, rival: Rival, episodes: Episodes) -> np.ndarray:
    assert rival.on is not None
    return rival.on(_embedded(engine, checkpoint, episodes))


def _costs(engine: Engine, checkpoint: Checkpoint, rival: Rival, episodes: Episodes) -> Costs:
    """Of the network without its head; to the time on features comes that of one task's with one query."""
    one = at(episodes, slice(0, 1))
    one = {**one, "query_x": one["query_x"][:, :1]}
    meta = engine.program.meta.unflatten(checkpoint.average)
    size = sum(part.numel() for part in sub(meta, "network").values())
    assert rival.costs is not None
    ms, on_features = median_ms(lambda: _embedded(engine, checkpoint, one), engine.device), rival.costs()
    return Costs(parameters=size, adapt_ms=ms + (on_features.adapt_ms or 0.0))


def _embedded(engine: Engine, checkpoint: Checkpoint, episodes: Episodes) -> Episodes:
    """The episodes with features ``(T, E, D)`` in the place of images."""

    def of(x: Tensor) -> Tensor:
        features = _features(engine, checkpoint, x.flatten(0, 1))  # (T·E, D)
        return features.view(*x.shape[:2], -1)

    return {**episodes, "support_x": of(episodes["support_x"]), "query_x": of(episodes["query_x"])}


def _features(engine: Engine, checkpoint: Checkpoint, x: Tensor) -> Tensor:
    """``(N, D)`` of images ``(N, *x)``."""
    rule, program = engine.program.rule, engine.program
    assert isinstance(rule, Classifier)
    meta, buffers = program.meta.unflatten(checkpoint.average), program.buffers.unflatten(checkpoint.buffers)

    def run(part: slice) -> Tensor:
        with torch.no_grad():  # which every thread is told for itself
            return rule.features(meta, buffers, x[part])

    return torch.cat(spread(run, pieces(len(x), engine.lanes, _CHUNK), engine.lanes))
