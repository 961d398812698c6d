"""Simple baselines, by hand and against scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

from metanas import baselines, per_task
from metanas.baselines import Simple, run_simple, simple
from metanas.evaluator import Evaluator, Setting
from metanas.tasks.families import images, sinusoid, table
from metanas.tasks.family import Family, Source
from metanas.testing.drawings import draw_classes
from metanas.testing.tables import write
from metanas.units import Units
from search_spaces import Signature
from search_spaces.task import Episodes

CPU = torch.device("cpu")
SIZE = 16
REGRESSION = (
    "training mean",
    "task mean",
    "ridge per task",
    "k-nearest neighbours",
    "Gaussian process per task",
)
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


@pytest.mark.parametrize(("classes", "ways"), [(7, None), (3, 2), (3, 3)])
def test_tables_of_any_number_of_classes_have_the_methods_of_rows(
    classes: int, ways: int | None, tmp_path: Path
) -> None:
    """They learn each task alone: whether a class is the same one in every task is nothing to them."""
    rng, lines = np.random.default_rng(0), []
    for machine in range(60):
        for row in range(12 * classes):
            lines.append([f"m{machine}", *rng.normal(size=2).round(3), f"c{row % classes}"])
    path = write(tmp_path / "t.csv", lines, ["machine", "a", "b", "state"])
    family = table.build(Source(path, task="machine", target="state", shots=2))
    evaluator = evaluator_of(family, ways=ways, shots=2)
    names = {one.name for one in simple(evaluator)}
    assert {"support vectors per task", "random forest per task", "k-nearest neighbours"} < names
    models, _ = baselines.together(evaluator)
    of_all = any(one.name.startswith("pooled") for one in models)
    assert of_all == (evaluator.signature.outputs == classes), (
        "which needs classes to be the same in every task"
    )


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
    for degree, truth in (("linear", lambda z: 3 * z + 1), (3, lambda z: z**3 - 2 * z**2 + 4)):
        predicted = method(curves, "ridge per task").predict((degree, 1e-6, "free"), x, truth(x), q)
        np.testing.assert_allclose(predicted, truth(q), atol=1e-4)


def test_what_is_written_out_is_what_scikit_learn_does(rng: np.random.Generator) -> None:
    """Whose checks of a task of five rows take twenty times as long as the arithmetic."""
    x, y, q = rng.normal(size=(7, 3)), rng.normal(size=(7, 2)), rng.normal(size=(5, 3))
    ridge, process, neighbours = (
        {m.name: m.predict for m in per_task.usual(Signature("regression", (3,), 2, 7), np.zeros(2))}[name]
        for name in ("ridge per task", "Gaussian process per task", "k-nearest neighbours")
    )
    smooth = RBF(np.sqrt(3))
    for noise in (0.01, 1.0):
        for level, kernel in (("none", smooth), ("drawn", smooth + ConstantKernel(1.0))):
            gaussian = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(x, y)
            np.testing.assert_allclose(process((1.0, noise, level), x, y, q), gaussian.predict(q), rtol=1e-6)
        for level, free in (("free", True), ("none", False)):
            model = Ridge(noise, fit_intercept=free).fit(x, y)
            np.testing.assert_allclose(ridge(("linear", noise, level), x, y, q), model.predict(q))
    for k, weights in ((1, "uniform"), (3, "distance"), (5, "uniform")):
        model = KNeighborsRegressor(k, weights=weights).fit(x, y)
        np.testing.assert_allclose(neighbours((k, weights), x, y, q), model.predict(q))


def test_a_task_of_which_all_is_known_but_its_slopes_is_solved(rng: np.random.Generator) -> None:
    """Five rows of a linear function of four features, without an intercept: as many as it takes."""
    x, slopes = rng.normal(size=(25, 4)), rng.normal(size=(4, 1))
    signature = Signature("regression", (4,), 1, 5)
    ridge = next(m for m in per_task.usual(signature, np.zeros(1)) if m.name == "ridge per task")
    errors = {
        setting: float(((ridge.predict(setting, x[:5], x[:5] @ slopes, x[5:]) - x[5:] @ slopes) ** 2).mean())
        for setting in ridge.settings
    }
    best = min(errors, key=errors.__getitem__)
    assert best == ("linear", 0.01, "none")
    assert errors[best] < 0.01


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
        expected, found = (run_simple(curves.signature, one, e, e).test for e in (plain, masked))
        np.testing.assert_array_equal(found, expected)


def test_settings_are_chosen_on_validation_tasks_and_the_test_tasks_are_only_scored(
    curves: Evaluator,
) -> None:
    """Of two constants the better for validation is taken, though the test tasks like the other."""
    level = float(curves.valid["query_y"].mean())
    constant: Callable[..., np.ndarray] = lambda value, x, y, q: np.full((len(q), 1), value)  # noqa: E731
    x, y = line(3, slope=0, start=level + 100)
    test = tasks(support_x=[x], support_y=[y], query_x=[x], query_y=[y])
    method = Simple("constant", (level + 100, level), constant)
    rival = run_simple(curves.signature, method, curves.valid, test)
    assert rival.test == pytest.approx([100.0**2], rel=1e-3)
    errors = (curves.valid["query_y"] - level) ** 2
    assert rival.valid == pytest.approx(float(errors.mean()), rel=1e-5)
    assert rival.on is not None
    np.testing.assert_array_equal(rival.on(test), rival.test)
    assert rival.costs is not None
    costs = rival.costs()
    assert (costs.parameters, costs.adapt_ms is not None) == (0, True)


def test_what_is_slow_sees_each_task_as_often(curves: Evaluator) -> None:
    """Episodes of three tasks, one after the other: two rounds are the first six."""
    x, y = line(3, slope=1, start=0)
    episodes = tasks(
        support_x=[x] * 9,
        support_y=[y] * 9,
        query_x=[x] * 9,
        query_y=[[[float(i)]] * 3 for i in range(9)],
        cluster=[5, 3, 8] * 3,
    )
    zero = Simple("zero", (None,), lambda _, x, y, q: np.zeros((len(q), 1)))
    found = run_simple(curves.signature, zero, episodes, episodes, rounds=2)
    np.testing.assert_allclose(found.test, [(1 + 16) / 2, (0 + 9) / 2, (4 + 25) / 2])  # of 3, 5 and 8
    assert baselines.first(episodes, 1) == 3
    assert baselines.first(curves.valid, 1) is None


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


@pytest.mark.parametrize(
    "settings", [("fine", "singular"), ("singular", "fine"), ("none", "fine"), ("fine", "none")]
)
def test_a_setting_that_cannot_be_solved_is_the_worst(
    rng: np.random.Generator, settings: tuple[str, ...]
) -> None:
    def predict(setting: str, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
        if setting == "none":
            return np.full((len(q), 1), np.nan)
        if setting == "singular":
            raise np.linalg.LinAlgError("Singular matrix")
        return np.zeros((len(q), 1))

    x, y = rng.normal(size=(12, 4, 1)), rng.normal(size=(12, 4, 1))
    episodes = tasks(support_x=x, support_y=y, query_x=x, query_y=y)
    found = run_simple(
        Signature("regression", (1,), 1, 4), Simple("m", settings, predict), episodes, episodes
    )
    assert found.valid == pytest.approx(float((y**2).mean()))


def test_lengths_are_in_units_of_the_features(rng: np.random.Generator) -> None:
    """A family of one's own has its numbers in any units: kilometres are no harder than metres."""
    process = next(
        m for m in per_task.usual(Signature("regression", (1,), 1, 9), np.zeros(1)) if "process" in m.name
    )
    x, q = rng.uniform(-3, 3, (9, 1)), rng.uniform(-3, 3, (5, 1))
    for scale in (1e-3, 1e3):
        units = Units(*np.array([[scale], [2 * scale], [5.0], [scale]]))
        own = per_task.standardised(process, units)
        told = own.predict(own.settings[0], scale * (1 + 2 * x), 5 + scale * np.sin(x), scale * (1 + 2 * q))
        here = process.predict(own.settings[0], x, np.sin(x), q)
        np.testing.assert_allclose(told, 5 + scale * here, rtol=1e-6)


def test_the_units_of_a_family_of_ones_own_are_nothing_to_its_baselines() -> None:
    def errors(scale: float) -> np.ndarray:
        family: Any = sinusoid.build(Source())
        sample, family.in_its_own_units = family.sample, True

        def scaled(*words: Any, **asked: Any) -> Any:
            drawn = sample(*words, **asked)
            return drawn | {name: 5 + scale * drawn[name] for name in ("support_x", "query_x")}

        family.sample = scaled
        evaluator = evaluator_of(family)
        process = method(evaluator, "Gaussian process per task")
        return run_simple(evaluator.signature, process, evaluator.valid, evaluator.valid).test

    np.testing.assert_allclose(errors(1000.0), errors(1.0), rtol=1e-2)
