"""What a search shows while it runs: a live panel at a terminal, lines in a log, JSON for machines."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.text import Text

from metanas.budget import Budget
from metanas.cli.options import print_json
from metanas.words import in_words
from search_spaces import Record, Score

if TYPE_CHECKING:
    from metanas.search import Moment
    from metanas.standings import Standing

_MOMENT = 1.0  # seconds, below which a log need not say what was waited for


class View(Protocol):
    """Told of everything that happens in a search."""

    def moment(self, moment: Moment) -> None: ...
    def progress(self, what: str, done: int, total: int) -> None: ...
    def note(self, text: str) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def view_for(as_json: bool, budget: Budget) -> View:
    """The view that suits whoever reads: a machine, a person at a terminal, or a log."""
    if as_json:
        return JsonLines()
    return Panels(budget) if sys.stderr.isatty() else Lines(budget)


class JsonLines:
    """One object a line on stdout, for every trial that ends and every new phase."""

    def __init__(self) -> None:
        self._phase = ""

    def moment(self, moment: Moment) -> None:
        if moment.ended is not None:
            print_json(
                {"event": "trial", **_of_family(moment), **trial_json(moment.ended), **_places(moment)}
            )
        elif _is_new(moment, self._phase):
            self._phase = moment.doing
            print_json({"event": "phase", "text": moment.doing})

    def progress(self, what: str, done: int, total: int) -> None: ...

    def note(self, text: str) -> None:
        print_json({"event": "note", "text": text})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None: ...


class Lines:
    """A line on stderr for every trial that ends and every new phase; for logs."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._phase, self._waited_for, self._since = "", "", 0.0

    def moment(self, moment: Moment) -> None:
        if moment.ended is not None:
            family = f"{moment.family}: " if moment.family else ""
            self._say(family + record_words(moment.ended, moment.standings.get(moment.ended.number)))
        elif _is_new(moment, self._phase):
            self._phase = moment.doing
            self._say(moment.doing)

    def progress(self, what: str, done: int, total: int) -> None:
        if what != self._waited_for:
            self._waited_for, self._since = what, self._budget.spent
        if done == total and self._budget.spent - self._since > _MOMENT:
            self._say(f"{what}: {total:,}")

    def note(self, text: str) -> None:
        self._say(f"note: {text}")

    def _say(self, text: str) -> None:
        print(f"{self._budget.spent:6.1f} s  {text}", file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None: ...


def _is_new(moment: Moment, phase: str) -> bool:
    """Whether it is a phase that is to be told: of rungs the first alone, trials tell of the others."""
    return moment.doing != phase and (not phase or not moment.doing.startswith("rung"))


class Panels:
    """A panel that is redrawn: trials by state, the best in words, what is running, budget left."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._moment: Moment | None = None
        self._reading: tuple[str, int, int] | None = None
        self._live = Live(
            console=Console(stderr=True, markup=False, emoji=False),
            get_renderable=self._draw,
            refresh_per_second=4,
            transient=True,
        )

    def moment(self, moment: Moment) -> None:
        self._moment, self._reading = moment, None

    def progress(self, what: str, done: int, total: int) -> None:
        self._reading = (what, done, total)

    def note(self, text: str) -> None:
        self._live.console.print(f"note: {text}")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._live.stop()

    def _draw(self) -> Panel:
        rows: list[Any] = []
        if self._reading:
            what, done, total = self._reading
            rows += [Text(f"{what}: {done:,} of {total:,}"), ProgressBar(max(total, 1), done)]
        if self._moment:
            rows += self._search_rows(self._moment)
        rows += self._budget_rows()
        return Panel(Group(*rows), title="metanas search", title_align="left")

    def _search_rows(self, moment: Moment) -> list[Text]:
        done = ", ".join(f"{count} {state}" for state, count in moment.counts.items())
        rows = [Text(f"trials  {done}"), Text(f"now     {moment.doing}")]
        if moment.best and moment.best.score:
            words, standing = in_words(moment.best.candidate), moment.standings.get(moment.best.number)
            score = standing_words(standing) if standing else score_words(moment.best.score)
            rows.append(Text(f"best    trial {moment.best.number}: {score} (validation)", style="bold"))
            rows += [Text(f"        {text}", style="dim") for text in words.values()]
        return rows

    def _budget_rows(self) -> list[Any]:
        budget = self._budget
        if budget.seconds is None:
            return [Text(f"time    {budget.spent:.0f} s so far, {budget.trials} trials asked for")]
        left = budget.left()
        return [
            Text(f"budget  {left:.0f} s left"),
            ProgressBar(budget.seconds, min(budget.spent, budget.seconds)),
        ]


def score_words(score: Score) -> str:
    """A score with its interval, accuracies in per cent."""
    if score.metric == "rank":
        return f"mean position {score.value:.2f} of 0 to 1"
    if score.metric == "accuracy":
        return f"accuracy {100 * score.value:.2f} % ± {100 * score.ci95:.2f}"
    return f"mean squared error {score.value:.4g} ± {score.ci95:.2g}"


def standing_words(standing: Standing) -> str:
    """Where a trial stands on each family, and on which it stands worst."""
    places = "; ".join(
        f"{place.family} {score_words(place.score)} ({place.rank:g} of {place.of})"
        for place in standing.places
    )
    return f"mean rank {standing.rank:.3g}, worst on {standing.worst.family}: {places}"


def record_words(record: Record, standing: Standing | None = None) -> str:
    """A trial in one line."""
    words = standing_words(standing) if standing else score_words(record.score) if record.score else ""
    score = f"{words} after {record.rung:,} meta-steps" if record.score else "no score"
    words = "; ".join(in_words(record.candidate).values())
    return f"trial {record.number} {record.state} ({record.reason}): {score}; {words}"


def score_json(score: Score | None) -> dict[str, Any] | None:
    """A score as plain data."""
    return None if score is None else {"metric": score.metric, "value": score.value, "ci95": score.ci95}


def places_json(standing: Standing) -> dict[str, Any]:
    """Where a trial stands on each family as plain data."""
    return {
        "rank": standing.rank,
        "worst": standing.worst.family,
        "families": [
            {
                "family": place.family,
                "trial": place.record.number,
                "rank": place.rank,
                "of": place.of,
                "valid": score_json(place.score),
            }
            for place in standing.places
        ],
    }


def _of_family(moment: Moment) -> dict[str, Any]:
    return {"family": moment.family} if moment.family else {}


def _places(moment: Moment) -> dict[str, Any]:
    standing = moment.standings.get(moment.ended.number) if moment.ended else None
    return places_json(standing) if standing else {}


def trial_json(record: Record) -> dict[str, Any]:
    """A trial as plain data."""
    return {
        "trial": record.number,
        "state": record.state,
        "reason": record.reason,
        "rung": record.rung,
        "valid": score_json(record.score),
        "candidate": dict(record.candidate),
        **in_words(record.candidate),
        "seconds": record.costs.seconds,
        "multiply_adds": record.costs.multiply_adds,
        "parameters": record.costs.parameters,
        "adapt_ms": record.costs.adapt_ms,
        "peak_memory": record.costs.peak_memory,
        "seed": record.seed,
        "parent": record.parent,
    }
