"""The process: its gradient, what it predicts, and what it makes of earlier studies."""

from __future__ import annotations

import numpy as np
import pytest

from controllers.learned.codes import Codes
from controllers.learned.density import Density
from controllers.learned.features import Features
from controllers.learned.kernel import Data
from controllers.learned.process import Process
from controllers.learned.several import Several
from metanas.testing.controllers import toy_space
from search_spaces import Categorical, Integer, Real, Signature, Space, catalogue

JOINT = catalogue.space("default", Signature("classification", (1, 28, 28), 5, 1))
LINE = Space("line", (Real("x", 0.0, 1.0), Categorical("mode", ("a", "b", "c"))))


def points(space: Space, n: int, studies: int = 0, seed: int = 0) -> tuple[Features, Data]:
    codes, rng = Codes(space), np.random.default_rng(seed)
    features = Features(codes)
    x = features.of(codes.uniform(rng, n))
    return features, Data(x, rng.normal(size=(n, studies)), rng.random(n), rng.uniform(0.3, 3.0, n))


@pytest.mark.parametrize("studies", [0, 3])
@pytest.mark.parametrize("space", [toy_space(), JOINT, Space("dull", (Integer("n", 1, 1),))])
def test_the_gradient_is_that_of_the_density(space: Space, studies: int, rng: np.random.Generator) -> None:
    features, data = points(space, 25, studies)
    process = Process(features, np.arange(studies, dtype=float))
    density = Density(process.kernel, data, rng.normal(size=25))
    at = process.parameters + 0.3 * rng.normal(size=len(process.parameters))
    steps = 1e-5 * np.eye(len(at))
    numeric = [(density(at + step)[0] - density(at - step)[0]) / 2e-5 for step in steps]
    np.testing.assert_allclose(density(at)[1], numeric, rtol=1e-4, atol=1e-5)


def test_it_learns_a_function_and_is_unsure_where_it_has_not_looked(rng: np.random.Generator) -> None:
    codes = Codes(LINE)
    features = Features(codes)
    rows = codes.uniform(rng, 60)
    rows = rows[(rows[:, 0] < 0.6) & (rows[:, 1] < 2)]
    y = np.sin(5 * rows[:, 0]) + rows[:, 1]
    process = Process(features)
    process.fit(Data.whole(features.of(rows)), y - y.mean(), 30)
    new = codes.uniform(rng, 400)
    inside = (new[:, 0] < 0.55) & (new[:, 1] < 2)
    mean, deviation = process.predict(Data.whole(features.of(new)))
    truth = np.sin(5 * new[:, 0]) + new[:, 1] - y.mean()
    assert np.abs(mean - truth)[inside].mean() < 0.1
    assert deviation[inside].max() < deviation[new[:, 1] == 2].min()


def test_a_noisy_result_counts_less(rng: np.random.Generator) -> None:
    features, data = points(toy_space(), 20)
    y = rng.normal(size=20)
    y[0] = 3.0
    off = []
    for loud in (0.25, 4.0):
        process = Process(features)
        process.hold(data._replace(noise=np.array([loud, *np.ones(19)])), y)
        off.append(3.0 - process.mean(data)[0])
    assert 0 < off[0] < off[1]


def test_a_study_that_was_right_is_believed_and_others_are_not(rng: np.random.Generator) -> None:
    features, data = points(JOINT, 40, 4)
    y = data.z[:, 2] + 0.1 * rng.normal(size=40)
    process = Process(features, np.zeros(4))
    process.fit(data, y, 30)
    _, new = points(JOINT, 50, 4, seed=1)
    assert np.corrcoef(process.mean(new), new.z[:, 2])[0, 1] > 0.95
    parts = np.abs(process.parts(new)).mean(0)
    assert parts[2] > 5 * max(parts[[0, 1, 3]])


@pytest.mark.parametrize("space", [toy_space(), LINE, JOINT, Space("dull", (Integer("n", 1, 1),))])
def test_several_processes_expect_together_what_each_expects(space: Space, rng: np.random.Generator) -> None:
    features, _ = points(space, 1)
    processes = [Process(features) for _ in range(3)]
    for seed, process in enumerate(processes):
        _, data = points(space, 20 + seed, seed=seed)
        process.fit(data, rng.normal(size=20 + seed), 5)
    _, new = points(space, 300, seed=9)
    full = new._replace(missing=np.zeros(300))
    each = np.stack([process.mean(full) for process in processes], 1)
    np.testing.assert_allclose(Several(features, processes).means(new.x), each, atol=1e-4)


def test_parts_of_studies_and_of_results_add_up_to_the_mean(rng: np.random.Generator) -> None:
    features, data = points(toy_space(), 20, 2)
    process = Process(features, np.zeros(2))
    process.fit(data, rng.normal(size=20), 10)
    _, new = points(toy_space(), 5, 2, seed=1)
    alone = process.mean(new._replace(z=np.zeros((5, 2))))
    np.testing.assert_allclose(process.mean(new), alone + process.parts(new).sum(1), atol=1e-9)


def test_what_runs_is_believed_and_makes_sure(rng: np.random.Generator) -> None:
    features, data = points(toy_space(), 20)
    process = Process(features)
    process.fit(data, rng.normal(size=20), 10)
    _, running = points(toy_space(), 3, seed=1)
    mean, before = process.predict(running)
    process.believe(running)
    again, after = process.predict(running)
    np.testing.assert_allclose(again, mean, atol=1e-6)
    assert (after < before).all()


def test_variances_are_those_of_the_kernel(rng: np.random.Generator) -> None:
    """Far from every result the deviation is the prior's."""
    features, data = points(JOINT, 10, 2)
    process = Process(features, np.zeros(2))
    process.hold(data, rng.normal(size=10))
    _, new = points(JOINT, 6, 2, seed=3)
    at = process.parameters
    held, placed = (process.kernel.placed(one, at) for one in (data, new))
    prior = np.diag(process.kernel.between(new, placed))
    _, deviation = process.predict(new)
    cross = process.kernel.between(data, placed)
    kernel = process.kernel.between(data, held) + np.diag(process.kernel.noise(data, at))
    np.testing.assert_allclose(
        deviation**2, prior - (cross * np.linalg.solve(kernel, cross)).sum(0), atol=1e-6
    )


def by_formula(process: Process, a: Data, b: Data) -> np.ndarray:
    """The kernel as its module writes it, candidate by candidate."""
    features = process.kernel.features
    w, by, s = process.kernel.unpacked(process.parameters)
    found = np.empty((len(a.x), len(b.x)))
    for i, j in np.ndindex(*found.shape):
        u, v = a.x[i], b.x[j]
        factors = np.exp(
            [-wb * ((u - v)[block] ** 2).sum() for wb, block in zip(w, features.blocks, strict=True)]
        )
        found[i, j] = (by.whole + by.training * a.missing[i] * b.missing[j]) * factors.prod()
        if process.kernel.parts:
            found[i, j] += by.part * sum(factors[part].prod() for part in process.kernel.parts)
        found[i, j] += by.linear * (features.centred(u) @ features.centred(v)) + (a.z[i] * s) @ b.z[j]
        if process.kernel.alike:
            one, other = features.bags(u), features.bags(v)
            found[i, j] += by.bag * np.exp(-by.narrow * ((one - other) ** 2).sum()) + by.shared * (
                one @ other
            )
    return found


@pytest.mark.parametrize("space", [toy_space(), LINE, JOINT])
def test_the_kernel_is_that_of_the_formula(space: Space, rng: np.random.Generator) -> None:
    (features, a), (_, b) = points(space, 6, 2), points(space, 4, 2, seed=1)
    process = Process(features, np.zeros(2))
    process.parameters = process.parameters + 0.3 * rng.normal(size=len(process.parameters))
    found = process.kernel.between(a, process.kernel.placed(b, process.parameters))
    np.testing.assert_allclose(found, by_formula(process, a, b), rtol=1e-9)


def test_what_was_worked_out_before_changes_nothing(rng: np.random.Generator) -> None:
    """Results come in at the end, in between, and go again; parameters are found anew."""
    (features, data), (_, new) = points(JOINT, 30, 2), points(JOINT, 8, 2, seed=3)
    y, process, before = rng.normal(size=30), Process(features, np.zeros(2)), None
    for index in (np.arange(20), np.arange(30), np.delete(np.arange(30), 7), np.arange(5), np.arange(30)):
        process.fit(data.at(index), y[index], 5 if len(index) == 5 else 0)
        before = process.halved(new, before)
        afresh = Process(features, np.zeros(2))
        afresh.parameters = process.parameters.copy()
        afresh.hold(data.at(index), y[index])
        np.testing.assert_allclose(process.predict(new, before), afresh.predict(new), rtol=1e-8)
        np.testing.assert_allclose(process.mean(new), afresh.mean(new), rtol=1e-8)


def test_its_own_points_are_expected_as_any_candidate_is(rng: np.random.Generator) -> None:
    features, data = points(JOINT, 20, 2)
    process = Process(features, np.zeros(2))
    process.fit(data._replace(missing=data.missing.round()), rng.normal(size=20), 10)
    full = data._replace(missing=np.zeros(20))
    np.testing.assert_allclose(process.in_full(), process.mean(full), rtol=1e-8)
