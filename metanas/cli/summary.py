"""What a search prints at its end: leaderboard, verdict, what was saved, what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from metanas.cli.live import score_words
from metanas.cli.options import store_words
from metanas.cli.result import baseline_name
from metanas.goals import in_words as objectives_in_words
from metanas.goals import ranked
from metanas.words import data_in_words, in_words
from search_spaces import Candidate, Record
from search_spaces.named import consent

if TYPE_CHECKING:
    from metanas.finish import Winner
    from metanas.judging import Judgement
    from metanas.search import Search

_ROWS = 8
_LOG_WIDTH = 160


def leaderboard(records: Sequence[Record], rows: int = _ROWS) -> Table:
    """The best trials as a table."""
    table = Table(title="Leaderboard (validation tasks)", title_justify="left", pad_edge=False)
    for column in ("trial", "score", "meta-steps", "architecture", "rule", "parameters"):
        table.add_column(
            column, justify="right" if column in ("trial", "meta-steps", "parameters") else "left"
        )
    for record in ranked(records)[:rows]:
        words = in_words(record.candidate)
        size = f"{record.costs.parameters:,}" if record.costs.parameters is not None else "–"
        score = score_words(record.score) if record.score else "–"
        table.add_row(
            str(record.number), score, f"{record.rung:,}", words["architecture"], words["rule"], size
        )
    return table


def print_front(console: Console, rows: Sequence[Mapping[str, Any]], objectives: Sequence[str]) -> None:
    """What is on the front of several objectives, the best score first."""
    told = f"Front: what no other trial beats in all of {objectives_in_words(objectives)} (validation tasks)"
    console.print(told, style="italic", highlight=False)
    table = Table(pad_edge=False)
    for column in ("trial", "score", "latency", "parameters"):
        table.add_column(column, justify="right")
    table.add_column("architecture")
    table.add_column("rule")
    for row in rows:
        ms = "–" if row["latency"] is None else f"{row['latency']:.3g} ms"
        size = "–" if row["parameters"] is None else f"{row['parameters']:,}"
        score = f"{row['score']:.4g}"
        table.add_row(str(row["trial"]), score, ms, size, row["architecture"], row["rule"])
    console.print(table)


def wide_console() -> Console:
    """A console for tables: as wide as the terminal, or wide enough for a log."""
    console = Console(markup=False, emoji=False)  # names are the user's: brackets in them are brackets
    return console if console.is_terminal else Console(width=_LOG_WIDTH, markup=False, emoji=False)


def print_summary(search: Search, winner: Winner, judgement: Judgement, result: dict[str, Any]) -> None:
    """Everything a person wants to know at the end."""
    console = wide_console()
    console.print(leaderboard(search.records))
    console.print()
    if "front" in result:
        print_front(console, result["front"], search.aims.goals.objectives)
        console.print()
    words = in_words(winner.record.candidate)
    console.print(
        f"Winner: trial {winner.record.number}, {words['architecture']} with {words['rule']}", highlight=False
    )
    kind = "transductive" if judgement.test.transductive else "not transductive"
    console.print(
        f"Test:   {score_words(judgement.test)} on {judgement.test.tasks:,} {judgement.of} ({kind})",
        highlight=False,
    )
    for baseline, score in zip(result["baselines"], judgement.baselines.values(), strict=True):
        told = f"        {baseline_name(baseline)}: {score_words(score)}"
        console.print(told, style="dim", highlight=False)
    console.print()
    console.print(f"Verdict: {judgement.verdict.sentence}", style="bold", highlight=False)
    console.print()
    saved = result["saved"]
    front = f"{saved['front']} (score and costs), " if "front" in saved else ""
    console.print(
        f"Saved {saved['learner']} (the learner), {saved['picture']} (what happened), {front}"
        f"{saved['store']} (every result).",
        highlight=False,
    )
    console.print("Next:", highlight=False)
    for line in _next(search, saved, winner.record.candidate):
        console.print(f"  {line}", highlight=False, soft_wrap=True)


def _next(search: Search, saved: dict[str, str], candidate: Candidate) -> list[str]:
    study, there = shlex.quote(search.name), store_words(saved["store"])
    data = data_in_words(search.evaluator.family.preprocessing)
    adapt = f"metanas adapt {shlex.quote(saved['learner'])} {data}{consent(candidate)[0]}"
    return [
        *([adapt] if data else []),
        f"metanas report {study}{there}",
        f"metanas leaderboard {study}{there}",
        f"metanas show {study}{there}",
        f"metanas dashboard{there}",
    ]
