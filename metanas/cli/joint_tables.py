"""A search over several families as tables and words: at its end, and whenever it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from metanas.cli.result import baseline_name
from metanas.cli.settings import families_of, study_name
from metanas.cli.summary import wide_console
from metanas.standings import Standing, standings
from metanas.words import FRESH, in_words
from storage import Store

_ROWS = 8


def print_families(result: Mapping[str, Any]) -> None:
    """What is best for all families, and what each came to."""
    console, best = wide_console(), result["best"]
    say(console, f"Best for all: trial {best['trial']}, {best['architecture']} with {best['rule']}")
    ranks = ", ".join(f"{one['rank']:g} of {one['of']} on {one['family']}" for one in best["families"])
    say(console, f"  mean rank {best['rank']:.3g} ({ranks}), worst on {best['worst']}")
    for family in result["families"]:
        console.print()
        _print_family(console, family)


def _print_family(console: Console, family: Mapping[str, Any]) -> None:
    """Both learners of a family and their verdicts."""
    say(console, f"{family['family']}:")
    shared, own = family["for_all"], family["own"]
    for learner, title in ((shared, "best for all"), (own, "best for this family")):
        if learner is own and all(own[key] == shared[key] for key in ("trial", "candidate", "verdict")):
            say(console, f"  {title}: the same")
            continue
        test = learner["test"]
        of = f"{test['tasks']:,} {test.get('of', FRESH)}"
        score = f"{test['metric']} {test['value']:.4g} ± {test['ci95']:.2g} on {of}"
        say(console, f"  {title}: {learner['architecture']} with {learner['rule']}")
        say(console, f"    {score}, saved as {learner['saved']}")
        console.print(f"    {learner['verdict']['sentence']}", style="bold", highlight=False)
    for one in own["baselines"]:
        console.print(
            f"    {baseline_name(one)}: {one['value']:.4g} ± {one['ci95']:.2g}", style="dim", highlight=False
        )


def joint_leaderboard(ranked: Sequence[Standing], rows: int = _ROWS) -> Table:
    """The best trials over all families as a table."""
    table = Table(title="Leaderboard (validation tasks)", title_justify="left", pad_edge=False)
    families = [place.family for place in ranked[0].places] if ranked else []
    for column in ("trial", "mean rank", "worst on", *families, "architecture", "rule"):
        table.add_column(column, justify="right" if column in ("trial", "mean rank") else "left")
    for one in ranked[:rows]:
        words = in_words(one.trial.candidate)
        scores = [f"{_short(place.score.value)} ({place.rank:g})" for place in one.places]
        worst = f"{one.worst.family} ({one.worst.rank:g} of {one.worst.of})"
        table.add_row(
            str(one.trial.number), f"{one.rank:.3g}", worst, *scores, words["architecture"], words["rule"]
        )
    return table


def stored_standings(store: Store, study: str, settings: Mapping[str, Any]) -> list[Standing]:
    """How the trials of a study over several families stand, the best first."""
    families = {family: store.records(study_name(study, family)) for family in families_of(settings)}
    return standings(store.records(study), families)


def say(console: Console, text: str) -> None:
    """A line as it is."""
    console.print(text, highlight=False)


def _short(value: float) -> str:
    return f"{value:.4g}"
