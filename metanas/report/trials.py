"""The trials of a study as both panels of the search show them: as dots, by rule and by state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from metanas.report.inputs import Array, Summary, winner_of
from metanas.report.legend import KEY
from metanas.report.lettering import fitted, plain, width
from metanas.report.scales import Scale
from metanas.report.style import INK, QUIET, RULES, SMALL
from search_spaces import Record

_MARKERS = {"complete": "o", "pruned": "v", "running": "s", "failed": "D"}
_OTHER = "other"
_NAME = 130  # pixels that a rule's name may take
_MANY = 150  # trials, from which on dots are smaller
CROWD = 500  # trials, from which on they are pixels in a drawing too


@dataclass(frozen=True)
class Trials:
    """The trials of a study.

    Attributes:
        records: All of them, in order.
        scored: Those with a validation score, in order.
        unscored: Numbers of those that failed without one.
        winner: The one handed back.
        colours: By rule; rules beyond what the legend has room for share one.
        scale: Of their scores.
    """

    records: tuple[Record, ...]
    scored: tuple[Record, ...]
    unscored: frozenset[int]
    winner: Record | None
    colours: dict[str, str]
    scale: Scale

    @classmethod
    def of(cls, records: Sequence[Record], summary: Summary, room: float) -> Trials:
        """The trials of a study.

        Args:
            records: Of the study, in any order.
            summary: Of the study.
            room: Pixels that the legend of rules and states may take.
        """
        ordered = tuple(sorted(records, key=lambda record: record.number))
        scored = tuple(record for record in ordered if record.score)
        unscored = frozenset(r.number for r in ordered if r.state == "failed" and not r.score)
        scale = Scale.of(summary.signature, values_of(scored), _marks(summary))
        return cls(ordered, scored, unscored, winner_of(summary, ordered), _colours(ordered, room), scale)

    def dots(self, panel: Axes, records: Sequence[Record], x: Array) -> None:
        """Draws scored records at those ``x``, the winner with a ring."""
        y = self.scale.clip(values_of(records))
        kinds = [(self._colour(record), record.state) for record in records]
        many = len(records) > _MANY
        for colour, state in sorted(set(kinds), key=lambda kind: (kind[1] != "pruned", kind)):
            chosen = [i for i, kind in enumerate(kinds) if kind == (colour, state)]
            panel.scatter(
                x[chosen],
                y[chosen],
                s=26 if many else 42,
                marker=_MARKERS[state],
                color=colour,
                alpha=0.75 if many else 0.9,
                edgecolors="white",
                linewidths=0.6,
                clip_on=False,
                rasterized=len(records) > CROWD,
                zorder=5,
            )
        for i, record in enumerate(records):
            if self.winner and record.number == self.winner.number:
                panel.add_line(ring([x[i]], [y[i]], 13))

    def keys(self) -> list[Artist]:
        """The legend of colours and shapes."""
        shown = [_key("o", colour, fitted(name, _NAME)) for name, colour in self.colours.items()]
        if any(rule_of(record) not in self.colours for record in self.records):
            shown.append(_key("o", QUIET, _OTHER))
        states = {record.state for record in self.scored}
        shown += [_key(marker, INK, state) for state, marker in _MARKERS.items() if state in states]
        if self.unscored:
            shown.append(Line2D([], [], ls="", marker="x", color=INK, ms=6, label="failed"))
        return list(shown)

    def _colour(self, record: Record) -> str:
        return self.colours.get(rule_of(record), QUIET)


def rule_of(record: Record) -> str:
    """The name of a record's rule."""
    return plain(str(record.candidate.get("rule", "no rule")))


def values_of(records: Sequence[Record]) -> list[float]:
    """Validation scores of scored records."""
    return [record.score.value for record in records if record.score]


def ring(x: Sequence[float], y: Sequence[float], size: float) -> Line2D:
    """What marks the winner."""
    ringed = Line2D(x, y, ls="", marker="o", ms=size, mec=INK, mew=1.8, clip_on=False, zorder=6)
    ringed.set(markerfacecolor="none", label="winner")
    return ringed


def _key(marker: str, colour: str, words: str) -> Line2D:
    return Line2D([], [], ls="", marker=marker, color=colour, ms=7, mec="white", mew=0.6, label=words)


def _marks(summary: Summary) -> list[float]:
    """What the scale must show beside the trials: the test with its interval, and the baseline."""
    marks = [score.value for score in list(summary.baselines.values())[:1]]
    if test := summary.test:
        most = test.value * (1 - test.value) if summary.signature.higher_is_better else test.value
        ci95 = np.clip(np.nan_to_num(test.ci95), 0.0, 0.5 * abs(most))
        marks += [test.value - ci95, test.value, test.value + ci95]
    return marks


def _colours(records: Sequence[Record], room: float) -> dict[str, str]:
    """The commonest rules, as many as the legend has room for, in alphabetical order."""
    names = [rule_of(record) for record in records]
    room -= sum(width(state, SMALL) + KEY for state in {record.state for record in records})
    ranked = sorted(set(names), key=lambda name: (-names.count(name), name))
    kept: list[str] = []
    for name in ranked[: len(RULES)]:
        room -= width(fitted(name, _NAME), SMALL) + KEY
        needed = width(_OTHER, SMALL) + KEY if len(ranked) > len(kept) + 1 else 0.0
        if kept and room < needed:
            break
        kept.append(name)
    return dict(zip(sorted(kept), RULES, strict=False))
