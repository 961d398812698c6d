"""The page's charts and the pictures of trials: they show what they are given, whatever that is."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from metanas.report import Example, Summary, task_caption, task_charts
from metanas.report.charts import line_chart, search_charts
from metanas.report.lines import Line, lines
from metanas.report.trial import SIZE, trial_png
from search_spaces import Candidate, Record, Score, Signature

CURVES = Signature("regression", (1,), 1, 5)
ROWS = Signature("regression", (4,), 2, 5)
CLASSES = Signature("classification", (4,), 3, 2)
IMAGES = Signature("classification", (1, 6, 6), 3, 2)
NETWORK = {"depth": 2, "width_1": 40, "width_2": 20, "activation": "tanh", "norm": "none"}
CHOSEN = {f"architecture.mlp.{key}": value for key, value in NETWORK.items()}
CANDIDATE = Candidate({"architecture": "mlp", "rule": "ridge", "rule.ridge.strength": 0.1, **CHOSEN})


def example(signature: Signature, rng: np.random.Generator) -> Example:
    def drawn(rows: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(rows, *signature.input_shape))
        if signature.kind == "regression":
            return x, rng.normal(size=(rows, signature.outputs))
        return x, np.eye(signature.outputs)[np.arange(rows) % signature.outputs]

    query_x, query_y = drawn(9)
    return Example(*drawn(6), query_x, query_y, rng.normal(size=query_y.shape))


def record(number: int, curve: tuple[tuple[int, float], ...], **changes: object) -> Record:
    value = curve[-1][1] if curve else math.nan
    score = Score("mse", value, 0.1, 50, "valid") if curve else None
    known = Record("s", number, CANDIDATE, "complete", "rung 3 of 3", valid_curve=curve, score=score)
    return replace(known, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("signature", [CURVES, ROWS, CLASSES, IMAGES])
def test_tasks_are_drawn_each_on_its_own(signature: Signature, rng: np.random.Generator) -> None:
    examples = [example(signature, rng) for _ in range(4)]
    charts = task_charts(signature, examples)
    assert len(charts) == (1 if signature is IMAGES else 3)
    assert charts == task_charts(signature, examples), "the same tasks give the same text"
    for chart in charts:
        assert ElementTree.fromstring(chart.encode()).tag.endswith("svg")
    assert "learned from" in task_caption(signature, len(charts))
    assert task_charts(signature, []) == []


def test_nothing_to_search_through_is_drawn_all_the_same() -> None:
    summary = Summary("s", "sinusoid", CURVES)
    for records in ([], [record(0, ())], [record(0, ((100, math.nan),))]):
        assert all(chart.startswith("<?xml") for chart in search_charts(records, summary))


def test_lines_show_their_points_intervals_and_ring() -> None:
    from matplotlib.figure import Figure

    panel = Figure().add_subplot()
    line = Line([1, 2, 5], [0.5, 0.2, 0.1], [0.1, 0.05, 0.01], marked=2)
    lines(panel, CURVES, [Line([1, 5], [9.0, 8.0], pale=True), line], "examples")
    drawn = {len(found.get_xdata()): found.get_ydata() for found in panel.get_lines()}
    assert list(drawn[3]) == [0.5, 0.2, 0.1]
    assert list(drawn[1]) == [0.2], "the ring"
    assert len(panel.collections[-1].get_segments()) == 3
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("examples", "mean squared error")


def test_scores_that_are_no_numbers_are_no_fault() -> None:
    odd = Line([1, 2, 3], [math.nan, math.inf, 0.1], [math.inf, 0.1, 0.5])
    assert line_chart(CURVES, [odd], "examples").startswith("<?xml")
    assert line_chart(CLASSES, [Line([1, 2], [0.0, 1.0])], "examples").startswith("<?xml")


@pytest.mark.parametrize(
    "shown",
    [
        record(0, ((100, 2.0), (300, 1.0))),
        record(1, ((100, 1.5),), state="pruned", parent=0),
        record(2, (), state="failed", reason="diverged at step 3 " * 30),
        record(3, ((100, math.inf),), candidate=Candidate({"architecture": "theirs", "rule": "other"})),
    ],
    ids=["complete", "pruned", "failed", "strange"],
)
@pytest.mark.parametrize("signature", [CURVES, None], ids=["a family", "several"])
def test_every_trial_has_a_picture(shown: Record, signature: Signature | None) -> None:
    image = Image.open(io.BytesIO(trial_png(shown, [record(7, ((100, 3.0),)), shown], signature)))
    assert image.size == SIZE
    assert len(image.convert("L").getcolors() or []) > 20, "something is drawn"
