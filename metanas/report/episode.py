"""The panel of one task of images: what was learned from, and what was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from metanas.report.inputs import Array, Example
from metanas.report.lettering import width
from metanas.report.style import LARGE, QUIET, RIGHT, TEXT, WRONG
from metanas.report.tasks import class_name

_CLASSES = 30  # drawn at most
_SUPPORT, _QUERIES = 5, 10  # images of a class, drawn at most
_FEW = 5  # queries of a class, drawn before images are made any larger
_NAME, _GAP, _HEAD = 34.0, 34.0, 28.0  # pixels: a class's name, from support to queries, above the rows


@dataclass(frozen=True)
class _Plan:
    """Where images stand: rows of classes, in one or more blocks beside each other.

    Attributes:
        blocks: How many.
        rows: Of a block.
        given: Support images of a row.
        asked: Query images of a row.
        step: Pixels from one image to the next.
        pitch: Pixels from one row to the next.
        wide: Pixels of a block.
    """

    blocks: int
    rows: int
    given: int
    asked: int
    step: float
    pitch: float
    wide: float

    @classmethod
    def of(cls, panel: Axes, blocks: int, classes: int, support: int, queries: int) -> _Plan:
        wide, high = panel.bbox.width / blocks, panel.bbox.height - _HEAD
        rows = -(-classes // blocks)
        given = min(support, _SUPPORT)
        across = wide - _NAME - _GAP
        room = int(across / (high / rows)) - given
        asked = min(queries, _QUERIES, max(room, _FEW))
        step = min(high / rows, across / (given + asked))
        return cls(blocks, rows, given, asked, step, min(high / rows, 1.35 * step), wide)

    @property
    def cell(self) -> float:
        return self.step - max(5.0, 0.08 * self.step)

    def corner(self, row: int) -> tuple[float, float]:
        """Where a class's first image stands."""
        block, row = divmod(row, self.rows)
        return block * self.wide + _NAME, _HEAD + row * self.pitch


def episode(panel: Axes, example: Example) -> None:
    """Draws each class as a row: the images it was learned from, then queries, framed by right or wrong.

    Args:
        panel: Axes whose units are made pixels.
        example: Its images ``(channels, height, width)``.
    """
    panel.set(xlim=(0, panel.bbox.width), ylim=(panel.bbox.height, 0), autoscale_on=False)
    panel.axis("off")
    classes = min(example.support_y.shape[1], _CLASSES)
    learned, most = _most(example.support_y.argmax(1), classes), _most(example.true, classes)
    plans = [_Plan.of(panel, blocks, classes, learned, most) for blocks in (1, 2, 3)]
    plan = max(plans, key=lambda plan: plan.step)
    _head(panel, plan, most)
    support, queries = _pictures(example)
    for row in range(classes):
        _row(panel, plan, row, example, support, queries)


def _head(panel: Axes, plan: _Plan, most: int) -> None:
    """Names the columns in as many words as there is room for."""
    before, after = plan.given * plan.step + _GAP, plan.asked * plan.step
    long = "asked" if plan.asked == most else f"asked, {plan.asked} of {most} of each class"
    for block in range(plan.blocks):
        x, y = plan.corner(block * plan.rows)
        for at, words, room in (
            (x, ("learned from", "given"), before - 12),
            (x + before, (long, "asked"), after),
        ):
            fits = next((text for text in words if width(text, TEXT) <= room), words[-1])
            panel.text(at, y - 8, fits, size=TEXT, color=QUIET, va="bottom")


def _row(panel: Axes, plan: _Plan, row: int, example: Example, support: Array, queries: Array) -> None:
    x, y = plan.corner(row)
    middle = y + plan.cell / 2
    size = min(TEXT + 1, 0.4 * plan.cell)
    panel.text(x - 10, middle, class_name(row), size=size, ha="right", va="center", weight="bold")
    for i in np.flatnonzero(example.support_y.argmax(1) == row)[: plan.given]:
        _image(panel, support[i], x, y, plan.cell, QUIET, 0.8)
        x += plan.step
    x = plan.corner(row)[0] + plan.given * plan.step + _GAP
    for i in np.flatnonzero(example.true == row)[: plan.asked]:
        right = example.taken[i] == row
        heavy = min(2.0, 0.04 * plan.cell) * (1.0 if right else 1.6)
        _image(panel, queries[i], x, y, plan.cell, RIGHT if right else WRONG, heavy)
        if not right:
            _badge(panel, x + plan.cell, y + plan.cell, class_name(int(example.taken[i])), plan.cell)
        x += plan.step


def _image(panel: Axes, image: Array, x: float, y: float, cell: float, frame: str, heavy: float) -> None:
    high, wide = image.shape[:2]
    w, h = cell * wide / max(high, wide), cell * high / max(high, wide)
    x, y = x + (cell - w) / 2, y + (cell - h) / 2
    panel.imshow(image, cmap="gray", vmin=0.0, vmax=1.0, aspect="auto", extent=(x, x + w, y + h, y))
    panel.add_patch(Rectangle((x, y), w, h, fill=False, ec=frame, lw=heavy))


def _badge(panel: Axes, x: float, y: float, name: str, cell: float) -> None:
    """The class that a query was taken for, in the corner of its image."""
    size = min(LARGE, max(6.0, 0.17 * cell))
    box = {"boxstyle": "square,pad=0.3", "fc": WRONG, "ec": "none"}
    letters: dict[str, Any] = {"size": size, "color": "white", "weight": "bold", "bbox": box}
    panel.text(x - 0.3 * size, y - 0.4 * size, name, ha="right", va="bottom", zorder=4, **letters)


def _most(classes: Array, ways: int) -> int:
    """The number of examples of the class that has most."""
    return int(np.bincount(classes, minlength=ways)[:ways].max(initial=1))


def _pictures(example: Example) -> tuple[Array, Array]:
    """Support and query images, ``(n, height, width)`` or with three colours ``(n, height, width, 3)``.

    Values are brought to 0 to 1 together, so that equal images look equal.
    """
    both = np.concatenate([example.support_x, example.query_x]).astype(float)
    both = np.where(np.isfinite(both), both, 0.0).clip(-1e30, 1e30)
    both = np.moveaxis(both, 1, -1) if both.shape[1] == 3 else both.mean(1)
    both = (both - both.min()) / max(float(np.ptp(both)), 1e-12)
    return both[: len(example.support_x)], both[len(example.support_x) :]
