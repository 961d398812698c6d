"""How the picture looks: its size, its colours, and matplotlib's settings while it is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SIZE = (1500, 900)  # pixels
DPI = 100
FONT = "DejaVu Sans"  # comes with matplotlib: the same picture everywhere
TEXT, SMALL, LARGE = 10.5, 9.5, 12.5  # points

INK, QUIET, PALE, FAINT = "#222222", "#666666", "#aaaaaa", "#dddddd"
# Okabe & Ito 2008, told apart whatever the eyes; vermillion is left for baselines and mistakes
RULES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#8A5A2B")
WINNER = "#5D3A9B"  # what the winner scored and predicted
RIGHT, WRONG = "#009E73", "#D55E00"

_SETTINGS: Any = {
    "font.family": [FONT],
    "font.size": TEXT,
    "text.parse_math": False,  # a name may hold two dollar signs
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "xtick.color": QUIET,
    "xtick.labelcolor": INK,
    "xtick.labelsize": SMALL,
    "ytick.color": QUIET,
    "ytick.labelcolor": INK,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "svg.hashsalt": "metanas",  # names inside are the same at every drawing
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
}


@contextmanager
def styled() -> Iterator[None]:
    """A context with our settings of matplotlib, whatever the user's own, which come back after it."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def axes(figure: Figure, name: str, left: float, top: float, wide: float, high: float) -> Axes:
    """Axes of that label at so many pixels from the left and the top of the picture."""
    across, down = figure.bbox.size
    place = (left / across, 1 - (top + high) / down, wide / across, high / down)
    return figure.add_axes(place, label=name)


def write(figure: Figure, left: float, top: float, text: str, **kwargs: Any) -> None:
    """Text whose upper left corner is at so many pixels from the left and the top of the picture."""
    across, down = figure.bbox.size
    figure.text(left / across, 1 - top / down, text, **{"va": "top", **kwargs})


def title(figure: Figure, left: float, top: float, text: str) -> None:
    """The title of a part of the picture."""
    write(figure, left, top, text, size=LARGE, weight="bold")
