"""Scores by hand, intervals against scipy, and peeking at the other queries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from metanas.engine import Engine, Program
from metanas.scoring import are_all_the_same, half_width, is_transductive, summarise, task_scores
from metanas.testing.rules import draw, start
from search_spaces import Signature
from search_spaces.architectures import mlp
from search_spaces.rules import gradient, prototype, ridge
from search_spaces.rules.interface import Rule
from search_spaces.rules.ridge import Ridge
from search_spaces.task import Episodes

CURVES = Signature("regression", (2,), 2, 3)
CLASSES = Signature("classification", (3,), 3, 2)


def batch(signature: Signature, tasks: int = 5) -> Episodes:
    drawn = [draw(signature, seed=t) for t in range(tasks)]
    return {name: torch.stack([task[name] for task in drawn]) for name in drawn[0]}


def test_squared_errors_by_hand(generator: torch.Generator) -> None:
    episodes = batch(CURVES)
    prediction = torch.randn(episodes["query_y"].shape, generator=generator, dtype=torch.float64)
    mask = torch.rand(5, 3, generator=generator) > 0.4
    mask[:, 0] = True
    plain = task_scores(CURVES, prediction, episodes)
    masked = task_scores(CURVES, prediction, {**episodes, "query_mask": mask})
    for t in range(5):
        gaps = [
            [(float(prediction[t, q, o]) - float(episodes["query_y"][t, q, o])) ** 2 for o in range(2)]
            for q in range(3)
        ]
        assert plain[t].item() == pytest.approx(np.mean(gaps))
        assert masked[t].item() == pytest.approx(np.mean([gaps[q] for q in range(3) if mask[t, q]]))


def test_accuracies_by_hand() -> None:
    logits = torch.tensor([[[2.0, 1, 0], [0, 0, 5], [1, 2, 3], [9, 0, 0]]])
    labels = torch.tensor([[0, 1, 2, 1]])
    episodes: Any = {"query_y": torch.eye(3)[labels]}
    assert task_scores(CLASSES, logits, episodes).tolist() == [0.5]
    mask = torch.tensor([[True, True, True, False]])
    assert task_scores(CLASSES, logits, {**episodes, "query_mask": mask}).tolist() == pytest.approx([2 / 3])


def test_what_is_behind_the_mask_is_not_scored() -> None:
    episodes = batch(CURVES)
    mask = torch.tensor([True, True, False]).expand(5, 3)
    prediction = torch.zeros_like(episodes["query_y"])
    wanted = task_scores(CURVES, prediction, {**episodes, "query_mask": mask})
    prediction[:, 2] = torch.nan
    episodes["query_y"][:, 2] = torch.nan
    found = task_scores(CURVES, prediction, {**episodes, "query_mask": mask})
    assert torch.equal(found, wanted)
    assert found.isfinite().all()


@pytest.mark.parametrize("signature", [CURVES, CLASSES])
def test_predictions_that_are_not_numbers_have_no_score(signature: Signature) -> None:
    """Not the accuracy of whichever class comes first."""
    episodes = batch(signature)
    assert (
        not task_scores(signature, torch.full_like(episodes["query_y"], torch.nan), episodes).isfinite().any()
    )


@pytest.mark.parametrize("count", [2, 5, 300])
def test_intervals_are_students(count: int, rng: np.random.Generator) -> None:
    values = rng.gamma(2.0, size=count)
    low, high = stats.t.interval(0.95, count - 1, loc=values.mean(), scale=stats.sem(values))
    assert half_width(values) == pytest.approx((high - low) / 2)
    score = summarise(CURVES, values, "valid")
    assert (score.value, score.ci95) == pytest.approx((values.mean(), (high - low) / 2))
    assert (score.metric, score.tasks, score.split, score.transductive) == ("mse", count, "valid", None)


def test_intervals_hold_what_they_promise(rng: np.random.Generator) -> None:
    """95 of 100 intervals over ten tasks cover the truth."""
    drawn = rng.normal(size=(4000, 10))
    covered = [abs(values.mean()) <= half_width(values) for values in drawn]
    assert 0.935 < np.mean(covered) < 0.965


def of_classes(many: int, differ: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Values of 300 tasks of 5 classes each, of a mean of 0 over all classes; and their classes."""
    classes = rng.random((300, many)).argsort(1)[:, :5]
    effects = differ * rng.normal(size=many)
    return effects[classes].mean(1) + rng.normal(size=300), classes


@pytest.mark.parametrize("many", [8, 20, 600])
@pytest.mark.long
def test_intervals_hold_for_other_classes(many: int, rng: np.random.Generator) -> None:
    """A thousand tasks of eight classes say little of others, however many they are."""
    drawn = [of_classes(many, 1.5, rng) for _ in range(300)]
    covered = np.mean([abs(values.mean()) <= half_width(values, classes) for values, classes in drawn])
    alone = np.mean([abs(values.mean()) <= half_width(values) for values, _ in drawn])
    assert 0.9 < covered < 0.99
    assert many == 600 or alone < 0.5


def test_intervals_over_classes_that_do_not_differ_are_those_over_tasks(rng: np.random.Generator) -> None:
    drawn = [of_classes(20, 0.0, rng) for _ in range(100)]
    wider = [half_width(values, classes) / half_width(values) for values, classes in drawn]
    assert 0.99 < np.median(wider) < 1.25


def test_where_tasks_share_no_class_or_all_of_them_classes_say_nothing(rng: np.random.Generator) -> None:
    values = rng.normal(size=40)
    apart, same = np.arange(200).reshape(40, 5), np.tile(np.arange(5), (40, 1))
    for classes in (apart, same):
        assert half_width(values, classes) == pytest.approx(half_width(values))
    assert are_all_the_same(same)
    mixed = np.concatenate([same[:20], same[20:] + 5])  # of two families that have five classes each
    assert are_all_the_same(mixed[:, rng.permutation(5)])
    assert half_width(values, mixed) == pytest.approx(half_width(values))
    assert not are_all_the_same(np.concatenate([same[:20], same[20:] + 1]))
    assert not are_all_the_same(apart)
    assert half_width(np.array([0.5, math.inf]), apart[:2]) == math.inf


def test_numbers_of_classes_are_only_names(rng: np.random.Generator) -> None:
    """More of them than tasks, too, which takes another way."""
    for many in (12, 900):
        values, classes = of_classes(many, 1.0, rng)
        named = rng.permutation(10**6)[:many][classes]
        assert half_width(values, named) == pytest.approx(half_width(values, classes))
        assert half_width(values[::-1], named[::-1, ::-1]) == pytest.approx(half_width(values, classes))


def test_one_task_tells_nothing_about_the_spread() -> None:
    assert half_width(np.array([0.3])) == math.inf
    assert summarise(CLASSES, np.array([0.3]), "test", True).transductive is True


@pytest.mark.parametrize("value", [math.inf, 1e308])
def test_scores_beyond_all_bounds_are_not_finite_and_warn_nobody(value: float) -> None:
    score = summarise(CURVES, np.array([value, 1.0, value, value]), "valid")
    assert not math.isfinite(score.value)


class Centring(Ridge):
    def predict(self, meta: Any, buffers: Any, adapted: Any, x: Tensor) -> Tensor:
        found = super().predict(meta, buffers, adapted, x)
        return found - 0.1 * found.mean(0)


class BatchNorm(Ridge):
    """The most common mistake: queries are normalised by their own statistics."""

    def predict(self, meta: Any, buffers: Any, adapted: Any, x: Tensor) -> Tensor:
        others = {k: v for k, v in adapted.items() if not k.startswith("statistics")}
        return super().predict(meta, {}, others, x)


def rule_of(kind: Any, signature: Signature, norm: str) -> Rule:
    network = mlp.build(
        {"depth": 2, "width_1": 6, "width_2": 5, "activation": "relu", "norm": norm}, signature
    )
    inner = {"steps": 2, "order": 1, "step_size": "fixed", "rate": 0.1, "scope": "all", "head": "rows"}
    return kind.build({"strength": 0.1, "distance": "cosine", **inner}, network, signature)


def peeks(rule: Rule, dtype: torch.dtype = torch.float32, tasks: int | None = None) -> bool:
    meta, buffers = (tensor.to(dtype) for tensor in start(rule))
    episodes: Any = {name: tensor[:tasks].to(dtype) for name, tensor in batch(rule.signature).items()}
    return is_transductive(Engine(Program.of(rule), torch.device("cpu"), "vmap"), meta, buffers, episodes)


@pytest.mark.parametrize("norm", ["running", "support", "group", "layer", "none"])
@pytest.mark.parametrize(
    ("kind", "signature"),
    [(ridge, CURVES), (gradient, CURVES), (ridge, CLASSES), (gradient, CLASSES), (prototype, CLASSES)],
)
def test_no_learner_of_ours_peeks_at_the_other_queries(kind: Any, signature: Signature, norm: str) -> None:
    assert not peeks(rule_of(kind, signature, norm))
    assert not peeks(rule_of(kind, signature, norm), tasks=1), "one task tells, too"


@pytest.mark.parametrize("fake", [Centring, BatchNorm])
@pytest.mark.parametrize("signature", [CURVES, CLASSES])
def test_one_that_peeks_is_found_out(fake: type[Ridge], signature: Signature) -> None:
    rule = rule_of(ridge, signature, "support")
    assert peeks(fake(rule.network, rule.signature, 0.1))
    assert peeks(fake(rule.network, rule.signature, 0.1), tasks=1)


@pytest.mark.parametrize("kind", [Ridge, Centring])
def test_what_stands_behind_a_mask_hides_no_peeking(kind: type[Ridge]) -> None:
    rule = rule_of(ridge, CURVES, "support")
    rule = kind(rule.network, rule.signature, 0.1)
    meta, buffers = start(rule)
    episodes = batch(CURVES)
    many = episodes["query_x"].shape[1]
    mask = (torch.arange(many) < many - 1).expand(len(episodes["query_x"]), -1)
    mask = mask & (torch.arange(len(mask)) > 0)[:, None]  # of the first task none counts
    x = torch.where(mask[..., None], episodes["query_x"], torch.nan)
    masked: Any = {**episodes, "query_x": x, "query_mask": mask}
    engine = Engine(Program.of(rule), torch.device("cpu"), "vmap")
    assert is_transductive(engine, meta, buffers, masked) == (kind is Centring)
