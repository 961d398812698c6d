"""What papers report and how they trained: the settings and figures that published.py holds ours against."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metanas.tasks.families import harmonics, images, sinusoid
from metanas.tasks.family import Source
from search_spaces import Signature
from search_spaces.architectures import conv, mlp
from search_spaces.architectures.interface import Network
from search_spaces.outer import Outer
from search_spaces.task import Episodes

# Finn et al. 2017, figure 2 and its text: 5-shot mean squared error after so many steps, trained with one
PUBLISHED: dict[tuple[str, str], dict[int, float]] = {
    ("maml", "sinusoid"): {1: 0.67, 5: 0.38, 10: 0.35},
}
# 5-way 1-shot accuracy in %: Finn et al. 2017, Nichol et al. 2018, Snell et al. 2017
PUBLISHED_IMAGES = {
    "maml": "98.7 ± 0.4 (transductive)",
    "first-order-maml": "98.3 ± 0.5 (transductive)",
    "reptile": "95.39 ± 0.09 (97.68 ± 0.04 transductive)",
    "prototype": "98.8 (60-way training)",
}
LEARNED_OPTIMIZERS = ("lstm", "meta-lstm")
SPLIT = "alphabets of images_background for training, those of images_evaluation for the test"


@dataclass(frozen=True)
class Case:
    """A family as a paper trains and scores on it.

    Attributes:
        family: Has ``sample``.
        signature: Of its tasks.
        network: That all rules learn with.
        outer: Meta-training.
        shots: At scoring.
        queries: At scoring.
        steps: Numbers of inner steps that are scored.
        iterations: Meta-steps.
    """

    family: Any
    signature: Signature
    network: Network
    outer: Outer
    shots: int
    queries: int
    steps: tuple[int, ...]
    iterations: int


class Quadratics:
    """f(θ) = |Wθ − y|² / 10 with W (10, 10) and y (10) standard normal, as regression of y on W's rows.

    What is scored is f itself: queries are the support.

    References:
        Andrychowicz et al., 2016, https://arxiv.org/abs/1606.04474, section 3.1
    """

    def sample(
        self, n_tasks: int, split: str, generator: torch.Generator, *, shots: int, **others: Any
    ) -> Episodes:
        x, y = (
            torch.randn(n_tasks, shots, columns, generator=generator, device=generator.device)
            for columns in (10, 1)
        )
        return {"support_x": x, "support_y": y, "query_x": x, "query_y": y}


@dataclass(frozen=True)
class Identity:
    """No network: the head alone learns, on the inputs."""

    size: int
    norm: str = "none"

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        return {}

    def statistics(self) -> dict[str, Tensor]:
        return {}

    def apply(self, params: Any, x: Tensor, mask: Any, statistics: Any) -> tuple[Tensor, dict[str, Tensor]]:
        return x, {}


def case(name: str, rule: str) -> Case:
    """The family of that name, as it is used for a rule."""
    if name == "quadratic":
        signature, network = Signature("regression", (10,), 1, 10), Identity(10)
        outer = _outer(tasks=64, schedule=_schedule(rule))
        return Case(Quadratics(), signature, network, outer, 10, 10, (1, 5, 10, 20, 40), 20_000)
    if name == "omniglot":
        return _omniglot(rule)
    family = {"sinusoid": sinusoid, "harmonics": harmonics}[name].build(Source())
    signature = Signature("regression", (1,), 1, 5)
    network = mlp.build(
        {"depth": 2, "width_1": 40, "width_2": 40, "activation": "relu", "norm": "none"}, signature
    )
    # an LSTM for each of 1,761 parameters: a meta-step costs a hundred times MAML's
    tasks, iterations = (8, 10_000) if rule in LEARNED_OPTIMIZERS else (25, 70_000)
    outer = _outer(tasks=tasks, schedule=_schedule(rule))
    return Case(family, signature, network, outer, 5, 100, (1, 5, 10, 20), iterations)


def _schedule(rule: str) -> str:
    """LSTMs are still restless at a rate that stays; their papers stop them early, by validation."""
    return "cosine" if rule in LEARNED_OPTIMIZERS else "constant"


def _omniglot(rule: str) -> Case:
    folder = Path(os.environ["METANAS_DATA"]) / "omniglot"
    source = Source(folder / "images_background.zip", test_path=folder / "images_evaluation.zip")
    signature, prototypes = Signature("classification", (1, 28, 28), 5, 1), rule == "prototype"
    settings: dict[str, Any] = {
        "depth": 4,
        "width": 64 if prototypes else 32,
        "kernel": 3,
        "activation": "relu",
        "norm": "running" if prototypes else "support",
        "downsample": "pool",
        "residual": False,
    }
    # for a CPU: 20-way for what is 60-way in the paper, and 4 tasks a meta-step, not 16 or 32
    ways, tasks = (20, 2) if prototypes else (5, 4)
    outer = _outer(tasks=tasks, ways=ways, shots=1, queries=5, augmentation="rotations")
    steps = (0,) if prototypes else (1, 3, 5)
    return Case(images.build(source), signature, conv.build(settings, signature), outer, 1, 15, steps, 60_000)


def _outer(**changes: Any) -> Outer:
    usual = {
        "learning_rate": 1e-3,
        "schedule": "constant",
        "weight_decay": 0.0,
        "ways": 1,
        "shots": 10,
        "queries": 10,
        "augmentation": "none",
    }
    return Outer(**{**usual, **changes})
