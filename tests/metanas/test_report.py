"""The picture of a search: the right data in its panels, and odd input that must not spoil it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from metanas.goals import Goals
from metanas.report import SIZE, Example, draw, figure
from metanas.report.picture import front_figure
from search_spaces import Score, Signature
from tests.metanas.drawn import (
    GLYPHS,
    INTENTS,
    SENTENCE,
    SIGNATURES,
    SINE,
    TABLE,
    assert_tidy,
    dots,
    example,
    line,
    many,
    panel,
    record,
    summary,
    words,
)


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


def test_the_heading_says_that_scores_are_of_groups() -> None:
    grouped = summary(SINE, test=Score("mse", 0.02, 0.002, 12, "test"), of="groups of fresh tasks")
    assert "on 12 groups of fresh tasks" in " ".join(words(figure([], grouped)).split())


def test_the_heading_says_of_how_many_classes_tasks_are() -> None:
    few = summary(SINE, test=Score("mse", 0.02, 0.002, 1000, "test"), of="fresh tasks of 6 classes")
    assert "on 1,000 fresh test tasks of 6 classes" in " ".join(words(figure([], few)).split())


def test_the_heading_owns_up() -> None:
    peeking = summary(GLYPHS, test=Score("accuracy", 0.9, 0.01, 1, "test", transductive=True))
    assert "on 1 fresh test task, transductive" in words(figure([], peeking))
    untested = figure(
        [record(0, 0.5, metric="accuracy")], summary(GLYPHS, test=None, baselines={}, sentence="")
    )
    assert "on 300 validation tasks" in words(untested)
