"""Adapting and predicting: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from metanas.learner import Learner
from metanas.learner import learner as module
from metanas.testing.learners import PREPROCESSING, REGRESSION, SPECIES, candidate, written
from search_spaces import Signature, catalogue
from search_spaces.errors import DataError, DeviceError

GRADIENT_KINDS = [
    {"rule_scope": scope, "norm": norm}
    for scope in ("all", "head", "body")
    for norm in ("support", "running")
]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def make(folder: Path, signature: Signature, rule: str = "ridge", **changed: Any) -> Learner:
    return written(folder, candidate("mlp", rule, **changed), signature).load()


@pytest.fixture
def regression(tmp_path: Path) -> Learner:
    return make(tmp_path, REGRESSION)


@pytest.fixture
def species(tmp_path: Path) -> Learner:
    return make(tmp_path, SPECIES, "prototype")


def numbers(rng: np.random.Generator, rows: int = 9) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(rows, 2)), rng.normal(size=rows)


@pytest.mark.parametrize("changed", GRADIENT_KINDS)
@pytest.mark.parametrize(("signature", "head"), [(REGRESSION, None), (SPECIES, "shared"), (SPECIES, "rows")])
def test_gradient_steps_are_those_of_the_search(
    tmp_path: Path, rng: np.random.Generator, changed: dict[str, str], signature: Signature, head: str | None
) -> None:
    extra = {"rule_head": head} if head else {}
    before = written(tmp_path, candidate("mlp", "gradient", **changed, **extra), signature)
    x, q = (torch.from_numpy(rng.normal(size=(n, 2)).astype(np.float32)) for n in (6, 4))
    labels = torch.arange(6) % 3
    y = torch.eye(3)[labels] if head else torch.from_numpy(rng.normal(size=(6, 1)).astype(np.float32))
    expected = before.outputs(x, y, q)
    model = before.load().adapt(x, labels if head else y)
    found = torch.as_tensor(model.predict_proba(q) if head else model.predict(q))
    torch.testing.assert_close(found, torch.softmax(expected, -1) if head else expected)


def test_it_learns(regression: Learner) -> None:
    x = np.linspace(-1, 1, 40)[:, None] * [1.0, 0.0]
    model = regression.adapt(x, 3 * x[:, 0] + 1)
    assert np.abs(model.predict(x) - (3 * x[:, 0] + 1)).mean() < 1.0


def test_shapes_and_kinds_of_regression(regression: Learner, rng: np.random.Generator) -> None:
    x, y = numbers(rng)
    flat, column = regression.adapt(x, y).predict(x), regression.adapt(x, y[:, None]).predict(x)
    assert isinstance(flat, np.ndarray)
    assert (flat.shape, str(flat.dtype), tuple(column.shape)) == ((9,), "float32", (9, 1))
    np.testing.assert_array_equal(flat, column[:, 0])
    for kind in (x.tolist(), x.astype(np.float32), x[::-1][::-1], x.astype(">f8"), np.asfortranarray(x)):
        np.testing.assert_allclose(
            np.asarray(regression.adapt(kind, y.tolist()).predict(kind)), flat, rtol=1e-4
        )
    tensor = regression.adapt(torch.from_numpy(x), y).predict(torch.from_numpy(x).requires_grad_())
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_allclose(tensor.numpy(), flat, rtol=1e-4)


def test_one_feature_may_be_flat(tmp_path: Path) -> None:
    one = Signature("regression", (1,), 1, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PREPROCESSING, one, {"kind": "table", "features": ["x"], "targets": ["y"]})
        learner = make(tmp_path, one)
    x = np.linspace(-1, 1, 7)
    np.testing.assert_array_equal(
        learner.adapt(x, x).predict(x), learner.adapt(x[:, None], x).predict(x[:, None])
    )
    assert learner.adapt([0.5], [1.0]).predict([0.5]).shape == (1,)


def test_several_outputs(tmp_path: Path, rng: np.random.Generator) -> None:
    two = Signature("regression", (2,), 2, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PREPROCESSING, two, {"kind": "array"})
        learner = make(tmp_path, two)
    x, _ = numbers(rng)
    assert learner.adapt(x, rng.normal(size=(9, 2))).predict(x).shape == (9, 2)
    assert learner.adapt(x, rng.normal(size=(9, 2))).predict(x[:0]).shape == (0, 2)
    with pytest.raises(DataError, match=r"\(n, 2\), not \(9,\)"):
        learner.adapt(x, x[:, 0])


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["b", "a", "c"] * 3),
        np.array([7, -1, 3] * 3, dtype=np.int16),
        np.array([True, False, True] * 3),
        np.array([[2.5], [1.5], [1.5]] * 3),
        ["b", "a", "c"] * 3,
        [10, 2, 33] * 3,
        torch.tensor([5, 4, 9] * 3),
        [("a", 1), ("b", 2), ("a", 3)] * 3,
        [Colour.RED, Colour.BLUE, Colour.RED] * 3,
        ["a", 1, None.__class__] * 3,
        np.array(["b", "a", "c"] * 3, dtype=object),
    ],
    ids=str,
)
def test_labels_of_any_kind(species: Learner, rng: np.random.Generator, labels: Any) -> None:
    centres = {0: (0, 9), 1: (9, 0), 2: (-9, -9)}
    x = np.array([centres[i % 3] for i in range(9)]) + rng.normal(size=(9, 2)) / 10
    plain = np.ravel(labels).tolist() if isinstance(labels, (np.ndarray, torch.Tensor)) else labels
    model = species.adapt(x, labels)
    found = model.predict(x)
    assert model.classes is not None
    assert list(model.classes.tolist()) == sorted(set(plain), key=model.classes.tolist().index)
    assert len(model.classes) == len(set(plain))
    if isinstance(labels, np.ndarray):
        assert found.dtype == labels.dtype
    if len(set(plain)) == 3:  # prototypes of far clusters, even by untrained features
        assert found.tolist() == plain
    as_tensors = model.predict(torch.from_numpy(x))
    assert as_tensors.tolist() == found.tolist()
    assert isinstance(as_tensors, torch.Tensor) == (np.asarray(found).dtype.kind in "biuf")


def test_classes_are_sorted(species: Learner) -> None:
    x = [[0.0, 1.0], [1.0, 0.0], [5.0, 5.0]]
    assert species.adapt(x, [10, 9, 100]).classes.tolist() == [9, 10, 100]  # type: ignore[union-attr]
    assert species.adapt(x, ["b", "a", "C"]).classes.tolist() == ["C", "a", "b"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("rule", "changed"), [("prototype", {}), ("ridge", {}), ("gradient", {"rule_head": "shared"})]
)
def test_any_number_of_classes_of_any_size(
    tmp_path: Path, rng: np.random.Generator, rule: str, changed: Any
) -> None:
    learner = make(tmp_path, SPECIES, rule, **changed)
    for labels in ([0, 1], [0, 0, 0, 1], list(range(12)), [0, 1, 1, 2, 2, 2]):
        model = learner.adapt(rng.normal(size=(len(labels), 2)), labels)
        shares = np.asarray(model.predict_proba(rng.normal(size=(5, 2))))
        assert shares.shape == (5, len(set(labels)))
        np.testing.assert_allclose(shares.sum(1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("named", ["default", "gradient-methods", "symbolic"])
def test_a_head_of_rows_takes_its_own_number_of_classes(
    tmp_path: Path, rng: np.random.Generator, named: str
) -> None:
    space = catalogue.space(named, SPECIES)
    drawn = (space.sample(rng) for _ in range(1000))
    rows = next(c for c in drawn if c.get(f"rule.{c['rule']}.head") == "rows")
    learner = written(tmp_path, rows, SPECIES).load()
    x = rng.normal(size=(4, 2))
    learner.adapt(x, [0, 1, 2, 2])
    for labels in ([0, 1, 1, 1], [0, 1, 2, 3]):
        with pytest.raises(DataError, match="exactly 3"):
            learner.adapt(x, labels)


@pytest.mark.parametrize("rule", ["ridge", "prototype", "gradient"])
def test_the_order_of_the_support_does_not_matter(
    tmp_path: Path, rng: np.random.Generator, rule: str
) -> None:
    learner = make(
        tmp_path, SPECIES, rule, norm="support", **({"rule_head": "shared"} if rule == "gradient" else {})
    )
    x, queries = rng.normal(size=(8, 2)), rng.normal(size=(6, 2))
    labels, order = np.array(list("abcabcaa")), rng.permutation(8)
    one, other = (learner.adapt(x[o], labels[o]).predict_proba(queries) for o in (np.arange(8), order))
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("norm", ["running", "support", "group"])
def test_queries_do_not_see_each_other(tmp_path: Path, rng: np.random.Generator, norm: str) -> None:
    model = make(tmp_path, REGRESSION, "gradient", norm=norm).adapt(*numbers(rng))
    queries, _ = numbers(rng, 5)
    together = np.asarray(model.predict(queries))
    alone = np.concatenate([np.asarray(model.predict(query[None])) for query in queries])
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(model.predict(queries), together)  # and again the same


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_chunks_change_nothing(
    regression: Learner, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    model = regression.adapt(*numbers(rng))
    queries, _ = numbers(rng, 200)
    whole = np.asarray(model.predict(queries))
    monkeypatch.setattr(module, "_CHUNK_ROWS", rows)
    np.testing.assert_allclose(model.predict(queries), whole, rtol=1e-4, atol=1e-5)


def test_many_queries_take_little_time(regression: Learner, rng: np.random.Generator) -> None:
    assert regression.adapt(*numbers(rng)).predict(rng.normal(size=(100_000, 2))).shape == (100_000,)


def test_what_came_in_stays_as_it_was(regression: Learner, rng: np.random.Generator) -> None:
    x, y = numbers(rng)
    kept = x.copy(), y.copy()
    for array in (x, y):
        array.setflags(write=False)
    regression.adapt(x, y).predict(x)
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(y, kept[1])


def test_a_model_keeps_its_task_while_another_is_learned(
    regression: Learner, rng: np.random.Generator
) -> None:
    (x, y), (other_x, other_y) = numbers(rng), numbers(rng)
    model = regression.adapt(x, y)
    before = model.predict(other_x)
    regression.adapt(other_x, other_y).predict(x)
    np.testing.assert_array_equal(model.predict(other_x), before)


def test_another_default_of_torch_changes_nothing(regression: Learner, rng: np.random.Generator) -> None:
    x, y = numbers(rng)
    before = regression.adapt(x, y).predict(x)
    torch.set_default_dtype(torch.float64)
    try:
        np.testing.assert_array_equal(regression.adapt(x, y).predict(x), before)
    finally:
        torch.set_default_dtype(torch.float32)


NAN = float("nan")
GOOD = [[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]
Y = [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([[1.0], [2.0]], [1.0, 2.0], r"\(n, 2\), not \(2, 1\)"),
        ([1.0, 2.0], [1.0, 2.0], r"\(n, 2\), not \(2,\)"),
        (1.0, [1.0], r"\(n, 2\), not \(\)"),
        ([], [], r"\(n, 2\), not \(0,\)"),
        (np.zeros((0, 2)), [], "support is empty"),
        (GOOD, Y[:2], "3 rows of x and 2 of y"),
        (GOOD, [], "3 rows of x and 0 of y"),
        (GOOD, 1.0, r"\(n, 1\) or \(n,\), not \(\)"),
        (GOOD, [[1.0, 2.0]] * 3, r"not \(3, 2\)"),
        ([GOOD[0], [NAN, 1.0], GOOD[2]], Y, "support x: row 1 .*NaN"),
        ([GOOD[0], GOOD[1], [1.0, 1e300]], Y, "support x: row 2 .*infinite"),
        (GOOD, [1.0, 2.0, float("inf")], "support y: row 2"),
        ([["a", "b"]], [1.0], "'a' is not a number"),
        ([[0.0, 1.0], [2.0, None]], [1.0, 1.0], r"row 1 .*'None' is not a number"),
        (GOOD, ["a", "b", "c"], "support y: row 0 .*'a' is not a number"),
        ([[1.0, 2.0], [1.0]], [1.0, 2.0], "same number of entries"),
        ("ab", Y, "'ab' is not a number"),
        (np.array(GOOD) * 1j, Y, "not a number"),
        (torch.tensor(GOOD) * 1j, Y, "complex"),
        (None, Y, "'None' is not a number"),
    ],
)
def test_support_that_cannot_be_used(regression: Learner, x: Any, y: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        regression.adapt(x, y)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (["a", "a", "a"], "all of class 'a'.*two classes"),
        (["a", "b"], "3 rows of x and 2 of y"),
        (["a", None, "b"], "row 1 .*no label"),
        ([1.0, NAN, 2.0], "row 1 .*no label"),
        ("abc", "not one text"),
        ([[1], [2], [3]], "one label an example"),
        (np.eye(3), r"\(n,\)"),
        ([], "two classes"),
        (["a", " ", "b"], "row 1 .*no label"),
        (pd.Series(["a", pd.NA, "b"], dtype="string"), "row 1 .*no label"),
        (pd.Series([1, pd.NA, 2], dtype="Int64"), "row 1 .*no label"),
        (pd.to_datetime(pd.Series(["2024-01-01", None, "2024-01-02"])), "row 1 .*no label"),
        (np.ma.masked_equal([1, 7, 2], 7), "row 1 .*no label"),
        (pd.DataFrame({"wear": ["a", "b", None]}), "row 2 .*no label"),
        (None, "a list of labels"),
        (5, "a list of labels"),
    ],
)
def test_labels_that_cannot_be_used(species: Learner, y: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        species.adapt(GOOD, y)


def test_queries_that_cannot_be_used(regression: Learner, rng: np.random.Generator) -> None:
    model = regression.adapt(*numbers(rng))
    with pytest.raises(DataError, match=r"query x should have the shape \(n, 2\), not \(1, 3\)"):
        model.predict([[1.0, 2.0, 3.0]])
    queries = np.zeros((5000, 2))
    queries[4500, 1] = NAN
    with pytest.raises(DataError, match="query x: row 4500"):
        model.predict(queries)
    with pytest.raises(DataError, match="use predict"):
        model.predict_proba(GOOD)
    assert model.predict(np.zeros((0, 2))).shape == (0,)


def test_predictions_that_overflow_are_said(tmp_path: Path) -> None:
    model = make(tmp_path, REGRESSION, activation="relu").adapt(GOOD, [1e30, -1e30, 0.0])
    with pytest.raises(DataError, match=r"query row 1 .*not finite"):
        model.predict([[0.0, 0.0], [1e20, 1e20]])


def test_steps_that_diverge_are_said(tmp_path: Path) -> None:
    learner = make(tmp_path, REGRESSION, "gradient", activation="relu", rule_rate=1.0, rule_steps=10)
    with pytest.raises(DataError, match="diverged"):
        learner.adapt(np.array(GOOD) * 1e6, np.array(Y) * 1e6)


def test_devices(regression: Learner, rng: np.random.Generator) -> None:
    x, y = numbers(rng)
    assert regression.device == torch.device("cpu")
    moved = regression.to("auto").to(torch.device("cpu"))
    np.testing.assert_array_equal(moved.adapt(x, y).predict(x), regression.adapt(x, y).predict(x))
    with pytest.raises(DeviceError):
        regression.to("cuda:99")
    with pytest.raises(DeviceError):
        regression.to("tpu")
