"""Legends: rows of keys above a panel."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.legend import Legend

from metanas.report.lettering import width
from metanas.report.style import SMALL

KEY = 36  # pixels of a key beside its words
ROW = 21  # pixels of a row


def keys(panel: Axes, shown: Sequence[Artist], row: int = 0) -> int:
    """A legend above the panel, in as many rows as its width asks for.

    Args:
        panel: Above which it stands.
        shown: What is explained, with labels.
        row: The lowest that is free; 0 is next to the panel.

    Returns:
        The lowest row that is free then.
    """
    rows = _rows(shown, panel.bbox.width)
    for i, some in enumerate(reversed(rows)):
        _legend(panel, some, row + i)
    return row + len(rows)


def _rows(shown: Sequence[Artist], room: float) -> list[list[Artist]]:
    rows: list[list[Artist]] = []
    left = 0.0
    for key in shown:
        wide = width(str(key.get_label()), SMALL) + KEY
        if not rows or wide > left:
            rows.append([])
            left = room
        rows[-1].append(key)
        left -= wide
    return rows


def _legend(panel: Axes, shown: Sequence[Artist], row: int) -> None:
    legend = Legend(
        panel,
        shown,
        [str(key.get_label()) for key in shown],
        ncols=len(shown),
        loc="lower left",
        bbox_to_anchor=(-0.012, 1 + (3 + ROW * row) / panel.bbox.height),
        borderpad=0.2,
        borderaxespad=0.0,
        columnspacing=1.2,
        handletextpad=0.4,
        handlelength=1.5,
    )
    panel.add_artist(legend)
