"""Whether intervals hold the gain on other classes: test tasks are drawn from few classes, again and again.

    .venv/bin/python benchmarks/over_classes.py --draws 400 --out over_classes
    .venv/bin/python benchmarks/over_classes.py --images ../shared/data/omniglot/images_evaluation.zip --json

Two learners that need no training are held against each other in 5-way 1-shot tasks: the nearest example in
features of different scales, as they are and as they should be weighed. Of images, pixels as they are and
blurred. In each draw the test classes are others; their number is the row. What is counted is how often the
95 % interval of the mean gain over 600 tasks holds the gain over all classes that there are: over tasks
alone, as is usual in the field, and over classes, too, as the verdict has it; and how wide both are. Where
*no class differs* gains are shuffled over tasks: an interval over classes should be no wider there.

``--images`` takes a zip or folder of class folders; all its classes are what there is.
``--out NAME`` writes NAME.json and NAME.md under benchmarks/results/.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from search import machine, publish

from metanas.scoring import half_width
from metanas.tasks.decoding import read_images
from metanas.tasks.family import silent

WAYS, QUERIES, TASKS = 5, 5, 600
CLASSES = (6, 8, 12, 20, 60, 200)
_EVERY = 60_000  # tasks of all classes, that tell the gain over them
_SCALES = np.array([1.2] * 4 + [0.36] * 4)  # of features: classes hardly differ in the last four

Array = NDArray[np.float64]
# generator, classes (T, W) → two views of examples (T, W, 1 + QUERIES, D)
Examples = Callable[[np.random.Generator, NDArray[np.int64]], tuple[Array, Array]]


def gains(examples: Examples, rng: np.random.Generator, classes: NDArray[np.int64]) -> Array:
    """By task ``(T,)``, how much more often the second view finds the class ``(T, W)`` than the first."""
    first, second = (_accuracy(view) for view in examples(rng, classes))
    return second - first


def _accuracy(x: Array) -> Array:
    support, query = x[:, :, 0], x[:, :, 1:]
    # (T, W, Q, W'): each query and each class of the task
    inner = np.einsum("twqd,tvd->twqv", query, support)
    nearest = ((support**2).sum(-1)[:, None, None] - 2 * inner).argmin(-1)
    found: Array = (nearest == np.arange(x.shape[1])[:, None]).mean((1, 2))
    return found


def drawn_anew(classes: int, rng: np.random.Generator) -> Examples:
    """Classes of a mean and a spread of their own."""
    means = _SCALES * rng.normal(size=(classes, len(_SCALES)))
    spreads = np.exp(0.4 * rng.normal(size=means.shape))

    def examples(rng: np.random.Generator, which: NDArray[np.int64]) -> tuple[Array, Array]:
        noise = rng.normal(size=(*which.shape, 1 + QUERIES, len(_SCALES)))
        x = means[which][:, :, None] + spreads[which][:, :, None] * noise
        return x, x * np.minimum(1, _SCALES)

    return examples


def of_images(path: Path) -> tuple[int, Examples]:
    """How many classes there are, and examples of them."""
    data = read_images(path, 28, None, silent)
    pixels = data.pixels[:, 0].astype(np.float64) / 255
    views = [image.reshape(len(pixels), -1) for image in (pixels, gaussian_filter(pixels, (0, 1.5, 1.5)))]
    counts = np.asarray(data.counts)
    first = np.cumsum(counts) - counts

    def examples(rng: np.random.Generator, which: NDArray[np.int64]) -> tuple[Array, Array]:
        places = rng.random((*which.shape, counts.max()))
        places[np.arange(counts.max()) >= counts[which][..., None]] = 2
        rows = first[which][..., None] + places.argsort(-1)[..., : 1 + QUERIES]
        return views[0][rows], views[1][rows]

    return len(counts), examples


def tasks_of(classes: int, tasks: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Classes of each task ``(T, W)``, none twice."""
    parts = [rng.random((min(1000, tasks - at), classes)) for at in range(0, tasks, 1000)]
    return np.concatenate([part.argpartition(WAYS - 1, 1)[:, :WAYS] for part in parts])


def row(classes: int, draws: int, truth: float, found: Callable[[int], tuple[Array, Any]]) -> dict[str, Any]:
    """Coverage and median width over draws, of both intervals, where classes differ and where they do not."""
    told: dict[str, list[tuple[bool, bool, float, float]]] = {"classes differ": [], "no class differs": []}
    for draw in range(draws):
        here, which = found(draw)
        none = np.random.default_rng([7, classes, draw]).permutation(here)
        for name, values, middle in (
            ("classes differ", here, truth),
            ("no class differs", none, here.mean()),
        ):
            alone, over = half_width(values), half_width(values, which)
            off = abs(values.mean() - middle)
            told[name].append((off <= alone, off <= over, alone, over))
    names = ("tasks_hold", "classes_hold", "tasks_width", "classes_width")
    return {
        "classes": classes,
        **{
            f"{name}, {what}": float((np.median if what.endswith("width") else np.mean)(values))
            for name, rows in told.items()
            for what, values in zip(names, zip(*rows, strict=True), strict=True)
        },
    }


def rows_of_synthetic(draws: int) -> list[dict[str, Any]]:
    """The gain over all classes is the mean over four hundred sets of four hundred."""
    every = [
        gains(drawn_anew(400, rng), rng, tasks_of(400, _EVERY // 400, rng)).mean()
        for rng in (np.random.default_rng([1, seed]) for seed in range(400))
    ]

    def found(classes: int, draw: int) -> tuple[Array, NDArray[np.int64]]:
        rng = np.random.default_rng([2, classes, draw])
        which = tasks_of(classes, TASKS, rng)
        return gains(drawn_anew(classes, rng), rng, which), which

    truth = float(np.mean(every))
    return [row(c, draws, truth, lambda draw, c=c: found(c, draw)) for c in CLASSES]  # type: ignore[misc]


def rows_of_images(path: Path, draws: int) -> list[dict[str, Any]]:
    """The gain over all classes is that over tasks of any of them."""
    many, examples = of_images(path)
    rng = np.random.default_rng(3)
    parts = [gains(examples, rng, tasks_of(many, 1000, rng)).mean() for _ in range(_EVERY // 1000)]

    def found(classes: int, draw: int) -> tuple[Array, NDArray[np.int64]]:
        rng = np.random.default_rng([4, classes, draw])
        chosen = rng.permutation(many)[:classes]
        which = tasks_of(classes, TASKS, rng)
        return gains(examples, rng, chosen[which]), which

    truth = float(np.mean(parts))
    few = [c for c in CLASSES if c <= many // 4]  # of most of them all, the draws would be no draws
    return [row(c, draws, truth, lambda draw, c=c: found(c, draw)) for c in few]  # type: ignore[misc]


def table(rows: list[dict[str, Any]]) -> str:
    """For people."""
    lines = [
        "| test classes | over tasks: holds, half width | over classes: holds, half width "
        "| no class differs: half widths |",
        "|---|---|---|---|",
    ]
    for r in rows:
        differ, none = "classes differ", "no class differs"
        lines.append(
            f"| {r['classes']} | {100 * r[f'{differ}, tasks_hold']:.0f} %, {r[f'{differ}, tasks_width']:.4f} "
            f"| {100 * r[f'{differ}, classes_hold']:.0f} %, {r[f'{differ}, classes_width']:.4f} "
            f"| {r[f'{none}, tasks_width']:.4f} and {r[f'{none}, classes_width']:.4f} |"
        )
    return "\n".join(lines)


@click.command()
@click.option("--draws", default=400, help="Sets of test classes of each number.")
@click.option(
    "--images", type=click.Path(path_type=Path, exists=True), help="Zip or folder of class folders."
)
@click.option("--out", help="Name of the results.")
@click.option("--json", "as_json", is_flag=True)
def main(draws: int, images: Path | None, out: str | None, as_json: bool) -> None:
    """Measures how often intervals hold the gain on other classes."""
    rows = rows_of_synthetic(draws) if images is None else rows_of_images(images, draws)
    command = " ".join(["benchmarks/over_classes.py", *sys.argv[1:]])
    told = {"command": command, "machine": machine(), "rows": rows}
    print(json.dumps(told) if as_json else table(rows))
    if out:
        publish(out, told, table(rows))


if __name__ == "__main__":
    main()
