"""Candidates for an evaluator, and what becomes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from metanas.engine import Program
from metanas.evaluator import Evaluator, Job, Outcome
from metanas.testing.asserting import close
from metanas.training import Checkpoint, scheduled
from search_spaces import Candidate, Signature, Value, catalogue

CPU = torch.device("cpu")
CURVES = Signature("regression", (1,), 1, 5)
PICTURES = Signature("classification", (1, 6, 6), 3, 1)
RATE = scheduled(40)
TENSORS = ("meta", "first", "second", "average", "buffers")

OUTSIDE: dict[str, Value] = {
    "outer.learning_rate": 1e-2,
    "outer.schedule": "cosine",
    "outer.weight_decay": 1e-4,
    "outer.shots": "same",
    "outer.augmentation": "none",
    "outer.queries": 10,
}
MLP: dict[str, Value] = {
    "architecture": "mlp",
    "architecture.mlp.depth": 1,
    "architecture.mlp.width_1": 16,
    "architecture.mlp.activation": "tanh",
    "architecture.mlp.norm": "none",
}
RIDGE: dict[str, Value] = {"rule": "ridge", "rule.ridge.strength": 0.1}
INNER = {"steps": 2, "order": 2, "step_size": "fixed", "rate": 0.05, "scope": "all"}
MAML: dict[str, Value] = {"rule": "gradient", **{f"rule.gradient.{k}": v for k, v in INNER.items()}}


def ridge_of(**changes: Value) -> Candidate:
    renamed = {name.replace("__", "."): value for name, value in changes.items()}
    return Candidate({**MLP, **RIDGE, **OUTSIDE, "outer.tasks": 8, **renamed})


def maml_of(**changes: Value) -> Candidate:
    renamed = {name.replace("__", "."): value for name, value in changes.items()}
    return Candidate({**MLP, **MAML, **OUTSIDE, "outer.tasks": 8, **renamed})


def outcomes(
    evaluator: Evaluator, jobs: Sequence[Job], until: int = 12, seconds: float = math.inf, **how: Any
) -> list[Outcome]:
    """In the order of the jobs."""
    found = list(evaluator.evaluate(jobs, until, RATE, lambda: seconds, **how))
    assert sorted(i for i, _ in found) == list(range(len(jobs))), "each job ends once"
    assert all(outcome.job is jobs[i] for i, outcome in found)
    return [outcome for _, outcome in sorted(found, key=lambda pair: pair[0])]


def begun(evaluator: Evaluator, candidate: Candidate, seed: int) -> Job:
    """A job with a checkpoint of its candidate's own, before the first meta-step."""
    program = Program.of(catalogue.build(candidate, CURVES))
    return Job(candidate, seed, Checkpoint.start(program, seed, CPU, torch.float64))


def agree(a: Outcome, b: Outcome) -> None:
    assert a.ended == b.ended == "scored", (a.reason, b.reason)
    for name in TENSORS:
        close(getattr(a.checkpoint, name), getattr(b.checkpoint, name), 1e-9, name)
    assert a.score.value == pytest.approx(b.score.value, rel=1e-9)
