"""Baselines: simple methods by hand, and the hand-set learners."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from metanas import baselines, per_task
from metanas.baselines import Simple, hand_set, run_hand_set, run_simple, simple
from metanas.evaluator import Evaluator, Setting
from metanas.tasks.families import images, sinusoid
from metanas.tasks.family import Family, Source
from metanas.testing.drawings import draw_classes
from search_spaces import Candidate, Signature, catalogue
from search_spaces.errors import EvaluationError
from search_spaces.task import Episodes

CPU = torch.device("cpu")
SIZE = 16
REGRESSION = ("training mean", "task mean", "ridge per task", "k-nearest neighbours")
CLASSIFICATION = ("nearest centroid", "logistic regression")


def evaluator_of(family: Family, ways: int | None = None, shots: int = 5, valid_tasks: int = 6) -> Evaluator:
    signature = family.signature(ways, shots)
    setting = Setting(signature.outputs, shots, 3)
    return Evaluator(family, signature, setting, CPU, execution="vmap", valid_tasks=valid_tasks)


@pytest.fixture(scope="module")
def curves() -> Evaluator:
    return evaluator_of(sinusoid.build(Source()))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    """Of 12 classes of 4 images: fewer than the papers' training tasks ask for."""
    folder = draw_classes(tmp_path_factory.mktemp("few") / "data", map(str, range(12)), images=4)
    return evaluator_of(images.build(Source(folder, image_size=SIZE)), ways=2, shots=1)


def method(evaluator: Evaluator, name: str) -> Simple:
    return next(one for one in simple(evaluator) if one.name == name)


def tasks(**arrays: Any) -> Episodes:
    return {name: torch.as_tensor(np.asarray(value)) for name, value in arrays.items()}  # type: ignore[return-value]


def line(rows: int, slope: float, start: float) -> tuple[list[list[float]], list[list[float]]]:
    x = np.linspace(-2, 2, rows)[:, None]
    return x.tolist(), (slope * x + start).tolist()


def test_regression_and_classification_have_baselines_of_their_own(
    curves: Evaluator, pictures: Evaluator
) -> None:
    assert tuple(one.name for one in simple(curves)) == REGRESSION
    assert tuple(one.name for one in simple(pictures)) == CLASSIFICATION


def test_the_training_mean_is_of_training_targets(curves: Evaluator) -> None:
    constant = method(curves, "training mean")
    (mean,) = constant.settings
    assert mean.shape == (1,)
    assert abs(mean[0]) < 1.5  # of waves around 0
    none = np.zeros((0, 1))
    np.testing.assert_array_equal(constant.predict(mean, none, none, np.zeros((3, 1))), np.tile(mean, (3, 1)))


def test_the_task_mean_is_that_of_the_support(curves: Evaluator) -> None:
    y, q = np.array([[1.0], [2.0], [6.0]]), np.zeros((2, 1))
    predicted = method(curves, "task mean").predict(None, np.zeros((3, 1)), y, q)
    np.testing.assert_array_equal(predicted, [[3.0], [3.0]])


def test_ridge_recovers_a_line_and_a_cubic(curves: Evaluator) -> None:
    x, q = np.linspace(-1, 1, 40)[:, None], np.array([[-0.5], [0.25]])
    for degree, truth in ((1, lambda z: 3 * z + 1), (3, lambda z: z**3 - 2 * z**2 + 4)):
        predicted = method(curves, "ridge per task").predict((degree, 1e-6), x, truth(x), q)
        np.testing.assert_allclose(predicted, truth(q), atol=1e-4)


def test_many_features_are_not_multiplied_out() -> None:
    class Wide:
        kind, augmentations = "regression", ("none",)

        def sample(self, n_tasks: int, *_: object, **__: object) -> Episodes:
            x, y = torch.zeros(n_tasks, 2, 50), torch.zeros(n_tasks, 2, 1)
            return {"support_x": x, "support_y": y, "query_x": x, "query_y": y}

    wide = Evaluator(Wide(), Signature("regression", (50,), 1, 2), Setting(1, 2, 2), CPU, valid_tasks=2)  # type: ignore[arg-type]
    assert {degree for degree, _ in method(wide, "ridge per task").settings} == {1}


def test_the_nearest_neighbour_is_the_nearest(curves: Evaluator) -> None:
    x, y = np.array([[0.0], [1.0], [10.0]]), np.array([[5.0], [7.0], [9.0]])
    predict = method(curves, "k-nearest neighbours").predict
    np.testing.assert_allclose(predict((1, "uniform"), x, y, np.array([[0.9], [8.0]])), [[7.0], [9.0]])
    np.testing.assert_allclose(predict((2, "uniform"), x, y, np.array([[0.4]])), [[6.0]])
    np.testing.assert_allclose(predict((2, "distance"), x, y, np.array([[0.25]])), [[0.75 * 5 + 0.25 * 7]])


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_clusters_are_told_apart(pictures: Evaluator, name: str) -> None:
    x = np.array([[0.0, 0.1], [0.1, 0.0], [5.0, 5.1], [5.1, 5.0]])
    y, q = np.eye(2)[[0, 0, 1, 1]], np.array([[4.0, 4.0], [1.0, 1.0], [0.0, 0.0]])
    one = method(pictures, name)
    for setting in one.settings:
        assert one.predict(setting, x, y, q).argmax(1).tolist() == [1, 0, 0]


def test_rows_behind_a_mask_are_left_out(curves: Evaluator) -> None:
    x, y = line(4, slope=2, start=1)
    trap = [[99.0], [-99.0]]
    plain = tasks(support_x=[x], support_y=[y], query_x=[x], query_y=[y])
    masked = tasks(
        support_x=[x + trap],
        support_y=[y + trap],
        support_mask=[[True] * 4 + [False] * 2],
        query_x=[x + trap],
        query_y=[y + trap],
        query_mask=[[True] * 4 + [False] * 2],
    )
    for one in simple(curves):
        setting = one.settings[0]
        expected, found = (baselines._scores(curves.signature, one, setting, e) for e in (plain, masked))
        np.testing.assert_array_equal(found, expected)


def test_settings_are_chosen_on_validation_tasks_and_the_test_tasks_are_only_scored(
    curves: Evaluator,
) -> None:
    """Of two constants the better for validation is taken, though the test tasks like the other."""
    level = float(curves.valid["query_y"].mean())
    constant: Callable[..., np.ndarray] = lambda value, x, y, q: np.full((len(q), 1), value)  # noqa: E731
    x, y = line(3, slope=0, start=level + 100)
    test = tasks(support_x=[x], support_y=[y], query_x=[x], query_y=[y])
    rival = run_simple(curves, Simple("constant", (level + 100, level), constant), test)
    assert rival.test == pytest.approx([100.0**2], rel=1e-3)
    errors = (curves.valid["query_y"] - level) ** 2
    assert rival.valid == pytest.approx(float(errors.mean()), rel=1e-5)


def test_hand_set_learners_of_regression_train(curves: Evaluator) -> None:
    learners = hand_set(curves.signature, curves.family)
    assert list(learners) == ["MAML"]
    check_trains(curves, learners)


def test_hand_set_learners_of_few_small_classes_train(pictures: Evaluator) -> None:
    learners = hand_set(pictures.signature, pictures.family)
    assert list(learners) == ["MAML", "Prototypical networks"]
    check_trains(pictures, learners)


def check_trains(evaluator: Evaluator, learners: dict[str, Candidate]) -> None:
    test = evaluator.tasks(4, "test")
    for name, candidate in learners.items():
        rival = run_hand_set(evaluator, name, candidate, test, 5, lambda: math.inf, seed=0)
        assert rival.name == name
        assert rival.test.shape == (4,)
        assert np.isfinite(rival.test).all()


def test_hand_set_learners_have_the_settings_of_their_papers_where_there_is_room(
    curves: Evaluator,
) -> None:
    class Plenty:
        kind, augmentations = "classification", ("none", "rotations")
        limits = curves.family.limits

    signature = Signature("classification", (1, 28, 28), 5, 1)
    maml, prototypes = hand_set(signature, Plenty()).values()  # type: ignore[arg-type]
    outer = catalogue.settings(prototypes, signature)
    assert (outer.ways, outer.queries, outer.augmentation) == (20, 5, "rotations")
    assert (maml["architecture.conv.width"], maml["rule.gradient.rate"]) == (32, 0.4)
    assert (prototypes["architecture.conv.width"], prototypes["architecture.conv.depth"]) == (64, 4)


def test_a_learner_that_cannot_be_scored_says_why(curves: Evaluator) -> None:
    broken = Candidate(dict(hand_set(curves.signature, curves.family)["MAML"]) | {"rule": "unheard-of"})
    with pytest.raises(EvaluationError, match=r"baseline MAML could not be scored \(error: no rule called"):
        run_hand_set(curves, "MAML", broken, curves.valid, 5, lambda: math.inf, seed=0)
    with pytest.raises(EvaluationError, match="no time was left for it"):
        run_hand_set(curves, "MAML", broken, curves.valid, 5, lambda: 0.0, seed=0)


@pytest.mark.parametrize("one", per_task.of_rows(Signature("regression", (2,), 1, 5)), ids=lambda m: m.name)
def test_methods_of_rows_tell_high_from_low(one: per_task.Method) -> None:
    x = np.repeat([[0.0, 0.0], [3.0, 3.0]], 10, axis=0)
    y, q = np.repeat([[-2.0], [2.0]], 10, axis=0), np.array([[0.0, 0.1], [3.0, 2.9]])
    for setting in one.settings:
        low, high = one.predict(setting, x, y, q)[:, 0]
        assert low < -0.2 < 0.2 < high


CLASSES = Signature("classification", (2,), 3, 5)


@pytest.mark.parametrize(
    "one", [*per_task.usual(CLASSES, np.zeros(3)), *per_task.of_rows(CLASSES)], ids=lambda m: m.name
)
def test_classes_are_told_apart_and_those_that_the_support_lacks_are_never_said(one: per_task.Method) -> None:
    x, q = np.repeat([[0.0, 0.0], [3.0, 3.0]], 10, axis=0), np.array([[0.0, 0.1], [3.0, 2.9]])
    several = np.eye(3)[np.repeat([2, 0], 10)]
    for setting in one.settings:
        assert one.predict(setting, x, several, q).argmax(1).tolist() == [2, 0]
        assert one.predict(setting, x, several[[0] * 20], q).argmax(1).tolist() == [2, 2]
