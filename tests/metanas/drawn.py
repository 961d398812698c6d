"""Searches to draw, and what is looked at in their pictures."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from metanas.report import SIZE, Example, Summary
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
