"""Ridge and prototypes against what one would compute by hand, and losses against torch's own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as ReferenceRidge
from torch import Tensor
from torch.nn import functional

from metanas.engine import Program
from metanas.testing.asserting import close
from metanas.testing.rules import draw, gradient, start
from search_spaces import Signature
from search_spaces.architectures import mlp
from search_spaces.rules import prototype, ridge
from search_spaces.rules.interface import Rule, sub
from search_spaces.rules.losses import clean, task_loss
from search_spaces.task import Task

CURVES = Signature("regression", (2,), 2, 6)
CLASSES = Signature("classification", (3,), 3, 3)


def network_of(signature: Signature, width: int = 5, norm: str = "none") -> mlp.Mlp:
    return mlp.build({"depth": 1, "width_1": width, "activation": "tanh", "norm": norm}, signature)


def learner(rule: Rule) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    program, (meta, buffers) = Program.of(rule), start(rule)
    return program.meta.unflatten(meta), program.buffers.unflatten(buffers)


def features(rule: Rule, meta: dict[str, Tensor], x: Tensor) -> Tensor:
    return rule.network.apply(sub(meta, "network"), x, None, {})[0]


def predictions(rule: Rule, task: Task) -> Tensor:
    return Program.of(rule).adapt_predict(*start(rule), task)


@pytest.mark.parametrize("width", [3, 6, 12], ids=["primal", "about square", "dual"])
@pytest.mark.parametrize("signature", [CURVES, CLASSES], ids=["regression", "classification"])
def test_ridge_is_ridge_regression_on_the_features(signature: Signature, width: int) -> None:
    """scikit-learn's, with the constant as one more feature, regularised like the others."""
    rule = ridge.build({"strength": 0.3}, network_of(signature, width), signature)
    (meta, _), task = learner(rule), draw(signature)
    x, query = (
        np.concatenate([part, np.ones((len(part), 1))], 1)
        for part in (features(rule, meta, task[name]).numpy() for name in ("support_x", "query_x"))
    )
    strength = meta["strength.log"].exp().item() * width
    theirs = ReferenceRidge(alpha=strength, fit_intercept=False, solver="cholesky")
    wanted = torch.from_numpy(theirs.fit(x, task["support_y"].numpy()).predict(query))
    if signature.kind == "classification":
        wanted = meta["scale.log"].exp() * wanted + meta["shift"]
    close(predictions(rule, task), wanted, 1e-9)


def test_ridge_takes_any_number_of_support_rows() -> None:
    rule = ridge.build({"strength": 0.3}, network_of(CURVES, 4), CURVES)
    (meta, _) = learner(rule)
    for shots in (1, 4, 5, 6, 40):
        task = draw(CURVES, shots=shots)
        x = features(rule, meta, task["support_x"])
        x = torch.cat([x, x.new_ones(shots, 1)], 1)
        strength = meta["strength.log"].exp() * 4
        weights = torch.linalg.solve(
            x.T @ x + strength * torch.eye(5, dtype=x.dtype), x.T @ task["support_y"]
        )
        query = torch.cat([features(rule, meta, task["query_x"]), x.new_ones(3, 1)], 1)
        close(predictions(rule, task), query @ weights, 1e-9)


@pytest.mark.parametrize("distance", ["euclid", "cosine"])
def test_a_prototype_is_the_mean_of_its_examples(distance: str) -> None:
    rule = prototype.build({"distance": distance}, network_of(CLASSES), CLASSES)
    (meta, _), task = learner(rule), draw(CLASSES)
    labels = task["support_y"].argmax(1)
    support, query = (features(rule, meta, task[name]) for name in ("support_x", "query_x"))
    means = torch.stack([support[labels == c].mean(0) for c in range(3)])
    if distance == "euclid":
        scores = -((query[:, None] - means) ** 2).mean(-1)
    else:
        scores = functional.cosine_similarity(query[:, None], means, dim=-1)
    found = predictions(rule, task)
    wanted = functional.log_softmax(meta["temperature.log"].exp() * scores, -1)
    close(functional.log_softmax(found, -1), wanted, 1e-9)
    assert torch.equal(found.argmax(1), wanted.argmax(1))


def test_classes_may_have_different_numbers_of_examples() -> None:
    """As in a user's own support set; a class of which all rows are masked ends no computation."""
    rule = prototype.build({"distance": "euclid"}, network_of(CLASSES), CLASSES)
    (meta, _), task = learner(rule), draw(CLASSES)
    kept = torch.tensor([0, 1, 2, 3, 6])  # three of class 0, one of the others
    fewer: Task = {**task, "support_x": task["support_x"][kept], "support_y": task["support_y"][kept]}
    labels = fewer["support_y"].argmax(1)
    assert labels.bincount().tolist() == [3, 1, 1]
    support, query = (features(rule, meta, fewer[name]) for name in ("support_x", "query_x"))
    means = torch.stack([support[labels == c].mean(0) for c in range(3)])
    nearest = ((query[:, None] - means) ** 2).sum(-1).argmin(1)
    assert torch.equal(predictions(rule, fewer).argmax(1), nearest)
    gone: Task = {**task, "support_mask": task["support_y"][:, 0] == 0}
    slope, loss, _ = gradient(Program.of(rule), *start(rule), gone)
    assert loss.isfinite()
    assert slope.isfinite().all()


@pytest.mark.parametrize("kind", [ridge, prototype])
def test_running_norms_train_on_the_union_and_score_on_what_was_kept(kind: Any) -> None:
    network = network_of(CLASSES, norm="running")
    rule = kind.build({"strength": 0.1, "distance": "euclid"}, network, CLASSES)
    (meta, buffers), task = learner(rule), draw(CLASSES)
    _, observed = rule.outer_loss(meta, buffers, task, torch.tensor(0), torch.tensor(0.0))
    both = torch.cat([task["support_x"], task["query_x"]]) @ meta["network.layer0.weight"].T
    close(observed["statistics.layer0.mean"], both.mean(0), 1e-9)
    close(observed["statistics.layer0.var"], both.var(0, correction=0), 1e-9)
    # what training saw is not what scoring uses
    shifted = {name: value + 1 for name, value in buffers.items()}
    again, _ = rule.outer_loss(meta, shifted, task, torch.tensor(0), torch.tensor(0.0))
    assert again == rule.outer_loss(meta, buffers, task, torch.tensor(0), torch.tensor(0.0))[0]
    args = task["support_x"], task["support_y"], None, torch.tensor(0)
    found = [
        rule.predict(meta, kept, rule.adapt(meta, kept, *args), task["query_x"])
        for kept in (buffers, shifted)
    ]
    assert not torch.allclose(*found)


def test_losses_are_torchs(generator: torch.Generator) -> None:
    prediction, target = (torch.randn(6, 4, generator=generator) for _ in range(2))
    labels = torch.tensor([0, 3, 1, 1, 2, 0])
    one_hot = torch.eye(4)[labels]
    mask = torch.tensor([True, False, True, True, False, True])
    square, entropy = functional.mse_loss, functional.cross_entropy
    close(task_loss("regression", prediction, target, None), square(prediction, target), 1e-6)
    close(task_loss("classification", prediction, one_hot, None), entropy(prediction, labels), 1e-6)
    close(task_loss("regression", prediction, target, mask), square(prediction[mask], target[mask]), 1e-6)
    close(
        task_loss("classification", prediction, one_hot, mask), entropy(prediction[mask], labels[mask]), 1e-6
    )
    assert task_loss("regression", prediction, target, torch.zeros(6, dtype=torch.bool)) == 0


def test_cleaning_stops_nans_and_their_gradients() -> None:
    x = torch.tensor([[1.0, 2.0], [math.nan, 3.0]], requires_grad=True)
    cleaned = clean(x, torch.tensor([True, False]))
    assert cleaned.tolist() == [[1.0, 2.0], [0.0, 0.0]]
    (slope,) = torch.autograd.grad(cleaned.square().sum(), x)
    assert slope.tolist() == [[2.0, 4.0], [0.0, 0.0]]
    assert clean(x, None) is x
