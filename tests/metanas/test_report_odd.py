"""Pictures of odd searches: no scores, scores without end, hundreds of trials, long words."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from metanas.report import Summary, draw, figure
from metanas.report.costs import front
from metanas.report.lettering import fitted, width, wrapped
from metanas.report.scales import Scale, log_ticks
from search_spaces import Score, Signature
from tests.metanas.drawn import (
    GLYPHS,
    SIGNATURES,
    SINE,
    assert_tidy,
    dots,
    example,
    many,
    panel,
    record,
    summary,
    words,
)

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
