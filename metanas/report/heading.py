"""The heading of the picture: what was searched, what won, how good it is, and the verdict."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from metanas.report.inputs import Summary
from metanas.report.lettering import METRICS, fitted, plural, score_in_words, width, wrapped
from metanas.report.style import FAINT, QUIET, SIZE, TEXT, write
from metanas.report.trials import Trials
from metanas.words import FRESH, in_words
from search_spaces import Record

EDGE = 36  # pixels left free on both sides
HIGH = 170  # pixels of the heading
_SCORE = 400  # pixels of the score at the right
_ROOM = SIZE[0] - 2 * EDGE - _SCORE - 30  # pixels of the text at the left
_STATES = ("complete", "pruned", "failed", "running")


def heading(drawn: Figure, trials: Trials, summary: Summary) -> None:
    """Writes it over the whole width."""
    winner, bold = trials.winner, {"size": TEXT + 0.5, "weight": "bold"}
    words = f"Winner: trial {winner.number}, {_words(winner)}" if winner else "No trial has a score yet."
    sentence = wrapped(summary.sentence, _ROOM, 2, TEXT + 0.5, "bold")
    write(drawn, EDGE, 22, fitted(summary.study, _ROOM, 20, "bold"), size=20, weight="bold")
    write(drawn, EDGE, 58, fitted(_setting(trials, summary), _ROOM, TEXT), color=QUIET)
    write(drawn, EDGE, 82, wrapped(words, _ROOM, 2), linespacing=1.25)
    write(drawn, EDGE, 123, sentence, linespacing=1.2, **bold)
    _score(drawn, trials, summary)
    across, height = [EDGE / SIZE[0], 1 - EDGE / SIZE[0]], 1 - HIGH / SIZE[1]
    drawn.add_artist(Line2D(across, [height, height], color=FAINT, lw=1.2))


def _score(drawn: Figure, trials: Trials, summary: Summary) -> None:
    score = summary.test or (trials.winner.score if trials.winner else None)
    if score is None:
        return
    words, right = score_in_words(score), SIZE[0] - EDGE
    size = 25 * min(1.0, _SCORE / width(words, 25, "bold"))
    what = METRICS[score.metric] + (", 95 % interval" if summary.test and "±" in words else "")
    grouped = summary.test is not None and not summary.of.startswith(FRESH)
    where = "group" if grouped else "fresh test task" if summary.test else "validation task"
    of = summary.of.removeprefix(FRESH) if summary.test else ""  # " of 6 classes"
    peeks = (f" of {FRESH}" if grouped else of) + (", transductive" if score.transductive else "")
    write(drawn, right, 34, words, size=size, weight="bold", ha="right")
    write(drawn, right, 84, what, color=QUIET, ha="right")
    write(drawn, right, 106, f"on {plural(score.tasks, where)}{peeks}", color=QUIET, ha="right")


def _setting(trials: Trials, summary: Summary) -> str:
    """What was searched for, and how many trials it took."""
    signature, states = summary.signature, [record.state for record in trials.records]
    learned = plural(signature.shots, "example")
    classes = f"{signature.outputs} classes, {learned} each"
    tasks = classes if signature.kind == "classification" else f"{learned} a task"
    counts = [f"{states.count(state):,} {state}" for state in _STATES if state in states]
    searched = ": ".join([plural(len(states), "trial"), *([", ".join(counts)] if counts else [])])
    return f"{summary.family}, {signature.kind}, {tasks}  ·  {searched}"


def _words(record: Record) -> str:
    parts = in_words(record.candidate)
    known = [parts[part] for part in ("architecture", "rule") if part in parts]
    return ", learning by ".join(known) if known else "of which nothing is known"
