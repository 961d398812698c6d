"""The picture of a search: the right data in its panels, and odd input that must not spoil it."""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from metanas.goals import Goals
from metanas.report import SIZE, Example, Summary, draw, figure
from metanas.report.costs import front
from metanas.report.lettering import fitted, width, wrapped
from metanas.report.picture import front_figure
from metanas.report.scales import Scale, log_ticks
from search_spaces import Candidate, Costs, Record, Score, Signature
from search_spaces.record import State

SINE = Signature("regression", (1,), 1, 5)
TABLE = Signature("regression", (6,), 2, 10)
GLYPHS = Signature("classification", (1, 12, 10), 5, 1)
PHOTOS = Signature("classification", (3, 8, 8), 24, 5)
INTENTS = Signature("classification", (12,), 4, 3)
SIGNATURES = {"sine": SINE, "table": TABLE, "glyphs": GLYPHS, "photos": PHOTOS, "intents": INTENTS}
SENTENCE = "Better than MAML, the strongest baseline: by a gain that can be seen on 1,000 fresh tasks."


def record(
    number: int,
    value: float | None,
    state: State = "complete",
    rule: str = "ridge",
    seconds: float = 2.0,
    metric: str = "mse",
    **costs: int | None,
) -> Record:
    candidate = Candidate(
        {"architecture": "mlp", "architecture.mlp.depth": 2, "rule": rule, f"rule.{rule}.rate": 0.1}
    )
    score = None if value is None else Score(metric, value, 0.01, 300, "valid")
    return Record("study", number, candidate, state, score=score, costs=Costs(seconds, **costs))


def many(n: int, metric: str, rng: np.random.Generator) -> list[Record]:
    """A search as they are: some pruned, some failed, three rules."""
    records = []
    for i in range(n):
        state: State = ("complete", "pruned", "failed")[int(rng.choice(3, p=(0.4, 0.5, 0.1)))]
        value = float(rng.uniform(0.3, 0.99) if metric == "accuracy" else 10 ** rng.uniform(-3, 1))
        rule, madds = str(rng.choice(["gradient", "ridge", "prototype"])), int(10 ** rng.uniform(4, 7))
        score = None if state == "failed" else value
        records.append(record(i, score, state, rule, rng.uniform(1, 9), metric, multiply_adds=madds))
    return records


def example(signature: Signature, rng: np.random.Generator, queries: int = 3) -> Example:
    if signature.kind == "regression":
        x = rng.uniform(-5, 5, (40 + signature.shots, *signature.input_shape))
        y = np.sin(x[:, :1]) * np.arange(1, signature.outputs + 1)
        s = signature.shots
        return Example(x[:s], y[:s], x[s:], y[s:], y[s:] + 0.1)
    learned, asked = (np.eye(signature.outputs)[np.arange(n * signature.outputs) % signature.outputs]
                      for n in (signature.shots, queries))  # fmt: skip
    shape = signature.input_shape
    images = [rng.normal(size=(len(y), *shape)) for y in (learned, asked)]
    return Example(images[0], learned, images[1], asked, 3 * asked + rng.normal(size=asked.shape))


def summary(signature: Signature, **changes: Any) -> Summary:
    value = 0.9 if signature.higher_is_better else 0.02
    test = Score(signature.metric, value, 0.1 * (1 - value) * value, 1000, "test", transductive=False)
    worse = Score(
        signature.metric, 0.8 * value if signature.higher_is_better else 3 * value, 0.01, 1000, "test"
    )
    given = {"test": test, "baselines": {"MAML": worse, "ridge per task": worse}, "sentence": SENTENCE}
    return Summary("study", "family", signature, **{**given, **changes})


def panel(drawn: Figure, name: str) -> Axes:
    return next(axes for axes in drawn.axes if axes.get_label() == name)


def line(axes: Axes, name: str) -> Line2D:
    return next(found for found in axes.lines if found.get_label() == name)


def dots(axes: Axes) -> np.ndarray:
    """All dots ``(n, 2)``, by their first coordinate."""
    found = [np.asarray(c.get_offsets()) for c in axes.collections if isinstance(c, PathCollection)]
    points = np.concatenate(found)
    return points[np.argsort(points[:, 0], kind="stable")]


def words(drawn: Figure) -> str:
    return "\n".join(text.get_text() for text in drawn.texts)


def shown_labels(axis: Axis) -> list[Text]:
    """The labels of ticks that are in view; matplotlib keeps others too."""
    low, high = sorted(axis.get_view_interval())
    pairs = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=True)
    return [label for tick, label in pairs if low <= tick <= high]


def boxes(drawn: Figure) -> list[tuple[str, Bbox]]:
    """Where the words of a picture stand."""
    renderer = FigureCanvasAgg(drawn).get_renderer()
    texts = list(drawn.texts)
    for axes in drawn.axes:
        if axes.axison:
            texts += [axes.xaxis.label, axes.yaxis.label, axes.title, axes._right_title]  # type: ignore[attr-defined]
            texts += [label for axis in (axes.xaxis, axes.yaxis) for label in shown_labels(axis)]
        texts += [
            text
            for legend in axes.get_children()
            if hasattr(legend, "get_texts")
            for text in legend.get_texts()
        ]
    return [(t.get_text(), t.get_window_extent(renderer)) for t in texts if t.get_text().strip()]


def assert_tidy(drawn: Figure) -> None:
    """No word leaves the picture, none stands on another."""
    FigureCanvasAgg(drawn).draw()
    found = boxes(drawn)
    for text, box in found:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= SIZE[0], text
        assert box.y1 <= SIZE[1], text
    for (one, a), (other, b) in combinations(found, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        up = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across <= 1 or up <= 3, (one, other)  # the empty edge of letters may touch


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES)
def test_a_picture_of_the_right_size(signature: Signature, tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "study.png"
    records, examples = many(40, signature.metric, rng), [example(signature, rng) for _ in range(3)]
    draw(path, records, summary(signature), examples)
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", SIZE)
    assert os.listdir(tmp_path) == ["study.png"]
    assert_tidy(figure(records, summary(signature), examples))


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, rng: np.random.Generator) -> None:
    records, examples = many(20, "mse", rng), [example(SINE, rng)]
    for name, given in (("a", records), ("b", records[::-1])):
        draw(tmp_path / name, given, summary(SINE), examples)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        draw(tmp_path / "taken", [], summary(SINE))
    assert os.listdir(tmp_path) == ["taken"]


def test_matplotlib_is_left_as_it_was(tmp_path: Path, rng: np.random.Generator) -> None:
    with matplotlib.rc_context({"text.usetex": True, "axes.facecolor": "red", "figure.dpi": 31}):
        before = dict(matplotlib.rcParams)
        draw(tmp_path / "a", many(5, "mse", rng), summary(SINE))
        assert dict(matplotlib.rcParams) == before
    draw(tmp_path / "b", many(5, "mse", np.random.default_rng(0)), summary(SINE))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_neither_torch_nor_pyplot_is_loaded() -> None:
    code = "import sys, metanas.report; print({'torch', 'matplotlib.pyplot', 'optuna'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"


def test_progress_shows_the_best_score_over_the_time_spent() -> None:
    records = [
        record(2, 0.5, "pruned", "gradient", seconds=30),
        record(0, 2.0, seconds=10),
        record(1, None, "failed", seconds=20),
        record(3, 0.8, seconds=40),
    ]
    axes = panel(figure(records, summary(SINE)), "progress")
    best = line(axes, "best so far")
    np.testing.assert_allclose(best.get_xydata(), [(10, 2.0), (60, 0.5), (100, 0.5), (100, 0.5)])
    assert best.get_drawstyle() == "steps-post"
    np.testing.assert_allclose(dots(axes), [(10, 2.0), (60, 0.5), (100, 0.8)])
    np.testing.assert_allclose(line(axes, "failed").get_xdata(), [30])
    np.testing.assert_allclose(line(axes, "winner").get_xydata(), [(60, 0.5)])
    assert axes.get_yscale() == "log"
    assert axes.get_xlabel() == "seconds spent on trials"
    assert axes.get_ylabel() == "mean squared error\non validation tasks"


def test_progress_shows_the_test_and_the_baseline_of_the_verdict() -> None:
    given = summary(SINE, test=Score("mse", 0.02, 0.005, 100, "test"))
    axes = panel(figure([record(0, 0.1)], given), "progress")
    np.testing.assert_allclose(line(axes, "test").get_ydata(), 0.02)
    np.testing.assert_allclose(line(axes, "baseline").get_ydata(), 0.06)
    band = next(patch for patch in axes.patches if patch.get_label() == "test interval")
    np.testing.assert_allclose(
        band.get_extents().transformed(axes.transData.inverted()).intervaly, [0.015, 0.025]
    )
    labels = [
        text.get_text()
        for child in axes.get_children()
        if hasattr(child, "get_texts")
        for text in child.get_texts()
    ]
    assert "test: MAML 0.060" in labels
    assert "test: winner 0.020" in labels


def test_colours_tell_rules_and_shapes_tell_states() -> None:
    records = [record(0, 1.0, rule="a"), record(1, 1.0, "pruned", "a"), record(2, 1.0, rule="b")]
    found = panel(figure(records, summary(SINE)), "progress").collections
    kinds = {(tuple(c.get_facecolor()[0]), c.get_paths()[0].vertices.tobytes()) for c in found}
    assert len(found) == len(kinds) == 3
    assert len({colour for colour, _ in kinds}) == len({shape for _, shape in kinds}) == 2


def test_costs_shows_score_against_multiply_adds() -> None:
    madds = {0: 1_000_000, 1: 10_000, 2: 100_000}
    records = [record(i, value, multiply_adds=madds[i]) for i, value in enumerate((0.1, 1.0, 2.0))]
    records.append(record(3, 0.5))
    axes = panel(figure(records, summary(SINE)), "costs")
    np.testing.assert_allclose(dots(axes), [(1e4, 1.0), (1e5, 2.0), (1e6, 0.1)])
    steps = line(axes, "best at its cost or below")
    np.testing.assert_allclose(steps.get_xydata()[:2], [(1e4, 1.0), (1e6, 0.1)])
    np.testing.assert_allclose(line(axes, "winner").get_xydata(), [(1e6, 0.1)])
    assert axes.get_xscale() == "log"


def test_of_several_objectives_each_is_drawn_with_the_common_front_and_the_winner() -> None:
    rows = [(0.5, 1, 900), (0.1, 4, 500), (0.3, 2, 700), (0.4, 3, 950)]  # score, latency, parameters
    known = [record(i, v, adapt_ms=ms, parameters=size) for i, (v, ms, size) in enumerate(rows)]
    records = [replace(one, weights="sha") for one in known]
    goals = Goals(("score", "latency", "parameters"))
    drawn = front_figure(records, summary(SINE, goals=goals, winner=records[1]))
    assert [axes.get_label() for axes in drawn.axes] == ["latency", "parameters"]
    for place, axes in enumerate(drawn.axes, 1):
        marked = line(axes, "front")
        points = set(zip(np.asarray(marked.get_xdata()), np.asarray(marked.get_ydata()), strict=True))
        assert points == {(rows[i][place], rows[i][0]) for i in (0, 1, 2)}, "all but the last"
        assert list(np.asarray(line(axes, "winner").get_xdata())) == [rows[1][place]]
    assert_tidy(drawn)


def test_costs_falls_back_to_parameters_then_to_nothing() -> None:
    axes = panel(figure([record(0, 0.1, parameters=300)], summary(SINE)), "costs")
    assert axes.get_xlabel() == "parameters"
    np.testing.assert_allclose(dots(axes), [(300, 0.1)])
    axes = panel(figure([record(0, 0.1)], summary(SINE)), "costs")
    assert "not measured" in axes.get_xlabel()
    assert not axes.collections


def test_without_times_the_trials_are_counted() -> None:
    axes = panel(figure([record(i, 1.0, seconds=0.0) for i in range(3)], summary(SINE)), "progress")
    assert axes.get_xlabel() == "trials"
    np.testing.assert_allclose(dots(axes)[:, 0], [1, 2, 3])


@pytest.mark.parametrize(("seconds", "unit"), [(50, "seconds"), (1000, "minutes"), (50_000, "hours")])
def test_times_are_in_a_unit_that_suits(seconds: float, unit: str) -> None:
    drawn = figure([record(0, 1.0, seconds=seconds)], summary(SINE))
    assert panel(drawn, "progress").get_xlabel() == f"{unit} spent on trials"


def test_accuracies_near_one_are_spread() -> None:
    records = [record(i, value, metric="accuracy") for i, value in enumerate((0.5, 0.9, 0.98, 1.0))]
    axes = panel(figure(records, summary(GLYPHS)), "progress")
    heights = [
        axes.transAxes.inverted().transform(axes.transData.transform((0, v)))[1] for v in (0.5, 0.9, 0.98)
    ]
    assert heights[2] - heights[1] > 0.8 * (heights[1] - heights[0])
    assert axes.get_ylim()[0] < 0.5
    assert axes.get_ylim()[1] < 1.0


def test_a_curve_shows_truth_prediction_and_support(rng: np.random.Generator) -> None:
    tasks = [example(SINE, rng) for _ in range(4)]
    drawn = figure([], summary(SINE), tasks)
    assert [axes.get_label() for axes in drawn.axes] == ["progress", "costs", "task 0", "task 1", "task 2"]
    axes, task = panel(drawn, "task 1"), tasks[1]
    order = np.argsort(task.query_x[:, 0])
    np.testing.assert_allclose(line(axes, "truth").get_xdata(), task.query_x[order, 0])
    np.testing.assert_allclose(line(axes, "truth").get_ydata(), task.query_y[order, 0])
    np.testing.assert_allclose(line(axes, "prediction").get_ydata(), task.prediction[order, 0])
    np.testing.assert_allclose(line(axes, "learned from").get_ydata(), task.support_y[:, 0])
    assert axes.get_title(loc="right") == "mean squared error 0.01"


def test_several_features_or_targets_show_predicted_against_true(rng: np.random.Generator) -> None:
    task = example(TABLE, rng)
    points = dots(panel(figure([], summary(TABLE), [task]), "task 0"))
    assert len(points) == task.query_y.size
    np.testing.assert_allclose(points[:, 1] - points[:, 0], 0.1)


def test_an_episode_shows_the_images_and_what_they_were_taken_for(rng: np.random.Generator) -> None:
    task = example(GLYPHS, rng)
    task.prediction[:] = 5 * task.query_y
    task.prediction[7] = np.eye(5)[4]  # of class C, taken for E
    drawn = figure([], summary(GLYPHS), [task, task])
    axes = panel(drawn, "task 0")
    assert len(axes.images) == len(axes.patches) == 5 * 1 + 5 * 3
    texts = [text.get_text() for text in axes.texts]
    assert [texts.count(letter) for letter in "ABCDE"] == [1, 1, 1, 1, 2]
    assert "14 of 15 right" in words(drawn)
    colours = [patch.get_edgecolor() for patch in axes.patches if patch.get_linewidth() > 1]
    assert sorted(colours.count(colour) for colour in set(colours)) == [1, 14]


@pytest.mark.parametrize(("ways", "shots", "queries"), [(2, 1, 1), (2, 5, 30), (20, 1, 5), (64, 20, 2)])
def test_an_episode_of_any_size_stays_inside(
    ways: int, shots: int, queries: int, rng: np.random.Generator
) -> None:
    signature = Signature("classification", (3, 4, 9), ways, shots)
    drawn = figure([], summary(signature), [example(signature, rng, queries)])
    axes = panel(drawn, "task 0")
    for image in axes.images:
        left, right, bottom, top = image.get_extent()
        assert 0 <= left < right <= axes.bbox.width
        assert 0 <= top < bottom <= axes.bbox.height
        assert (right - left) / (bottom - top) == pytest.approx(9 / 4)
    assert_tidy(drawn)


def test_classes_of_rows_show_probabilities(rng: np.random.Generator) -> None:
    task = example(INTENTS, rng)
    shown = panel(figure([], summary(INTENTS), [task]), "task 0").images[0].get_array()
    assert shown is not None
    assert shown.shape == (4, 12)
    np.testing.assert_allclose(shown.sum(0), 1.0)
    assert (np.diag(shown[:, ::3]) > 1 / 4).mean() > 0.5  # queries are sorted by class


def test_an_example_drops_what_its_masks_leave_out() -> None:
    episodes = {
        "support_x": np.zeros((2, 4, 1)),
        "support_y": np.zeros((2, 4, 1)),
        "query_x": np.zeros((2, 3, 1)),
        "query_y": np.zeros((2, 3, 1)),
        "support_mask": np.array([[True] * 4, [True, True, False, False]]),
    }
    task = Example.of(episodes, np.ones((2, 3, 1)), 1)
    assert (task.support_x.shape, task.query_x.shape, task.prediction.shape) == ((2, 1), (3, 1), (3, 1))


def test_the_heading_says_what_won_and_how_good_it_is() -> None:
    drawn = figure([record(0, 2.0), record(7, 0.5, "pruned"), record(8, None, "failed")], summary(SINE))
    said = " ".join(words(drawn).split())
    assert "Winner: trial 7, mlp (depth 2), learning by ridge (rate 0.1)" in said
    assert "0.0200 ± 0.0020" in said
    assert "mean squared error, 95 % interval on 1,000 fresh test tasks" in said
    assert "3 trials: 1 complete, 1 pruned, 1 failed" in said
    assert SENTENCE in said
    assert "transductive" not in said


def test_the_heading_owns_up() -> None:
    peeking = summary(GLYPHS, test=Score("accuracy", 0.9, 0.01, 1, "test", transductive=True))
    assert "on 1 fresh test task, transductive" in words(figure([], peeking))
    untested = figure(
        [record(0, 0.5, metric="accuracy")], summary(GLYPHS, test=None, baselines={}, sentence="")
    )
    assert "on 300 validation tasks" in words(untested)


ODD = [math.inf, math.nan, -math.inf, 1e300, 1e-300, 0.0, -1.0, 0.5]
SCORES = [[], [None], [None, None, 0.5], [0.0], [math.inf], [math.nan] * 3, [1e300, 1e308], ODD, [0.5] * 9]


@pytest.mark.parametrize("signature", [SINE, GLYPHS], ids=["errors", "accuracies"])
@pytest.mark.parametrize("values", SCORES, ids=str)
def test_odd_scores_are_drawn(signature: Signature, values: Sequence[float | None]) -> None:
    records = [
        record(
            i, value, "failed" if value is None else "complete", metric=signature.metric, multiply_adds=10**i
        )
        for i, value in enumerate(values)
    ]
    drawn = figure(records, Summary("study", "family", signature))
    assert_tidy(drawn)
    axes = panel(drawn, "progress")
    low, high = axes.get_ylim()
    scored = sum(value is not None for value in values)
    assert len(dots(axes)) == scored if scored else not axes.collections
    assert all(low <= y <= high for c in axes.collections for y in np.asarray(c.get_offsets())[:, 1])


def test_outliers_do_not_squeeze_the_rest() -> None:
    values = [0.01, 0.02, 0.03, 0.04, 0.05, 1e9, math.inf]
    drawn = figure([record(i, value) for i, value in enumerate(values)], summary(SINE))
    assert panel(drawn, "progress").get_ylim()[1] < 10
    assert "2 off the scale, drawn at its edge" in words(drawn)


@pytest.mark.parametrize(
    ("value", "ci95"),
    [
        (0.02, 0.0),
        (0.02, 1e9),
        (0.02, math.inf),
        (0.0, 1e-9),
        (math.inf, math.nan),
        (math.nan, 1.0),
        (1e30, 1e29),
    ],
)
def test_odd_test_scores_are_drawn(value: float, ci95: float) -> None:
    odd = Score("mse", value, ci95, 1, "test")
    assert_tidy(figure([record(0, 1.0)], summary(SINE, test=odd, baselines={"odd": odd})))


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0, 1e300])
def test_odd_costs_are_drawn(seconds: float) -> None:
    records = [record(0, 1.0, seconds=seconds, multiply_adds=0), record(1, 1.0, multiply_adds=10**30)]
    assert_tidy(figure(records, summary(SINE)))


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES)
def test_odd_predictions_are_drawn(signature: Signature, rng: np.random.Generator) -> None:
    few, every, inputs = (example(signature, rng) for _ in range(3))
    few.prediction[:3, 0] = [math.nan, math.inf, 1e300]
    every.prediction[:] = math.nan
    inputs.query_x[:2], inputs.support_x[:] = math.inf, math.nan
    assert_tidy(figure([], summary(signature), [few, every, inputs]))
    assert_tidy(figure([], summary(signature), [inputs]))


def test_odd_words_are_drawn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rng: np.random.Generator
) -> None:
    odd = "北京 \U0001f6b0 $x$ \\alpha\n\t\x00 \udc80 {%d} مضخة " * 9
    records = [record(i, 1.0, rule=f"{odd}{i}") for i in range(12)]
    given = Summary(
        odd, odd, SINE, None, Score("mse", 1.0, 0.1, 9, "test"), {odd: Score("mse", 1.0, 0, 9, "test")}, odd
    )
    with caplog.at_level(logging.WARNING):
        draw(tmp_path / "study.png", records, given, [example(SINE, rng)])
    assert not caplog.records
    drawn = figure(records, given)
    assert_tidy(drawn)
    assert "?? ? $x$ \\alpha" in words(drawn)


def test_hundreds_of_trials_and_of_words_are_drawn(tmp_path: Path, rng: np.random.Generator) -> None:
    records = many(500, "mse", rng)
    given = summary(
        SINE, sentence="A very long verdict " * 50, baselines={"x" * 300: Score("mse", 1.0, 1.0, 9, "test")}
    )
    draw(tmp_path / "study.png", records, given, [example(SINE, rng)] * 3)
    drawn = figure(records, given)
    assert_tidy(drawn)
    assert len(dots(panel(drawn, "progress"))) == sum(record.score is not None for record in records)


def test_text_is_cut_to_its_room() -> None:
    assert fitted("short", 500) == "short"
    cut = fitted("a long text " * 9, 200)
    assert cut.endswith("…")
    assert 150 < width(cut, 9.5) <= 200
    lines = wrapped("some words " * 40 + "x" * 400, 300, 3).split("\n")
    assert len(lines) == 3
    assert all(width(each, 10.5) <= 300 for each in lines)
    assert lines[-1].endswith("…")
    assert wrapped("", 300, 3) == ""


def test_the_front_is_what_nothing_cheaper_beats(rng: np.random.Generator) -> None:
    x, y = rng.integers(1, 9, 60).astype(float), rng.normal(size=60)
    for sign, higher in ((1, False), (-1, True)):
        kept = front(x, sign * y, higher)
        for i in range(60):
            beaten = any((x[j] <= x[i]) and y[j] < y[i] for j in range(60))
            assert (i in kept) == (not beaten)


@pytest.mark.parametrize("low", [1e-9, 0.003, 0.5, 7.0, 1e6])
@pytest.mark.parametrize("ratio", [1.6, 3.0, 10.0, 300.0, 1e9])
def test_every_log_axis_has_a_few_ticks(low: float, ratio: float) -> None:
    ticks = log_ticks(low, low * ratio)
    assert 2 <= len(ticks) <= 9
    assert all(low <= tick <= low * ratio for tick in ticks)


def test_a_scale_takes_any_fraction() -> None:
    for values in ([0.2, 0.4], [0.0, 1.0], [0.999, 1.0], [1.0], [5.0, -5.0]):
        scale = Scale.of(GLYPHS, values)
        assert scale.low < scale.high
        assert scale.off(value for value in values if 0 <= value <= 1) == 0
