"""The verdict: whether the winner beat what a user would have done without us, in one sentence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from metanas.scoring import are_all_the_same, half_width
from metanas.tasks.family import FEWEST_TASKS
from metanas.words import fresh
from search_spaces import Costs, Signature
from search_spaces.task import Episodes

Ruling = Literal["better", "no difference", "worse", "too few tasks"]

_FEW = 60  # tasks, below which it is said on how many of them it is better
_METRIC = {"mse": "mean squared error", "accuracy": "accuracy"}


@dataclass(frozen=True)
class Rival:
    """A baseline that was run on the same tasks.

    Attributes:
        name: Of it.
        valid: Its score on the validation tasks, by which the verdict's rival is chosen.
        test: Its score on each test task ``(T,)``.
        on: Its scores on other tasks, fitted and set as it is.
        costs: What it costs as a learner, measured when called; nothing in them where it is not known.
        over: Which limit of the search it is over, in words; nothing if it is within all.
        parted: In words, where it stands for others in some parts of the tasks.
    """

    name: str
    valid: float
    test: np.ndarray
    on: Callable[[Episodes], np.ndarray] | None = field(default=None, repr=False, compare=False)
    costs: Callable[[], Costs] | None = field(default=None, repr=False, compare=False)
    over: str = ""
    parted: str = ""

    @property
    def answers(self) -> bool:
        """Whether it has a number on every test task."""
        return bool(np.isfinite(self.test).all())


@dataclass(frozen=True)
class Verdict:
    """What the test tasks say.

    Attributes:
        outcome: In a word or two.
        against: The baseline that was best on the validation tasks.
        difference: Mean over tasks; > 0 where ours is better.
        ci95: Half width of its 95 % interval, paired by task.
        sentence: The same for a person.
    """

    outcome: Ruling
    against: str
    difference: float
    ci95: float
    sentence: str


def strongest(signature: Signature, rivals: Sequence[Rival]) -> Rival:
    """The rival that is best on the validation tasks: the test tasks choose nothing.

    One that is over a limit of the search could not be used instead, nor could one that has no answer to a
    test task: these count only where all are such.
    """
    return min(rivals, key=lambda rival: rank(signature, rival))


def rank(signature: Signature, rival: Rival) -> tuple[bool, bool, float]:
    """By which rivals are sorted, the strongest first."""
    sign = -1 if signature.higher_is_better else 1
    # what has no number is beaten by whatever has one
    return not rival.answers, bool(rival.over), float(np.nan_to_num(sign * rival.valid, nan=np.inf))


def decide(
    signature: Signature,
    ours: np.ndarray,
    rivals: Sequence[Rival],
    looks: int = 1,
    left_out: int = 0,
    of: str = "tasks",
    rival: Rival | None = None,
    classes: np.ndarray | None = None,
    searches: int = 1,
) -> Verdict:
    """Compares with the strongest rival, task by task.

    Args:
        signature: Of the tasks.
        ours: Score on each test task ``(T,)``.
        rivals: On the same tasks.
        looks: How often these test tasks have been looked at, this time included.
        left_out: Baselines that could not be run.
        of: What scores are of: tasks, or groups of them.
        rival: The strongest, where it was found otherwise; None: that of :func:`strongest`.
        classes: ``(T, W)`` that each task is of, where these are stored ones.
        searches: Whose winners are scored, each on some of the tasks.
    """
    rival = rival or strongest(signature, rivals)
    with np.errstate(invalid="ignore", over="ignore"):  # scores may be infinite
        gains = (ours - rival.test) * (1 if signature.higher_is_better else -1)
        difference, ci95 = float(gains.mean()), half_width(gains, classes)
    outcome = _outcome(ours, rival.test, difference, ci95)
    field = _field(rivals, left_out)
    over = _over(of, classes) + (f", for the learners of these {searches} searches" if searches > 1 else "")
    sentence = _sentence(signature, outcome, rival, ours, difference, ci95, looks, field, of, over)
    if left_out > len(rivals):
        sentence += " Most baselines could not be run: a longer search is held against more of them."
    return Verdict(outcome, rival.name, difference, ci95, sentence)


def strongest_of_parts(signature: Signature, parts: Sequence[Sequence[Rival]]) -> Rival:
    """On each part's test tasks whatever its validation tasks chose, by the name of what most of them chose.

    Over all parts the validation tasks are the test tasks: a mean over these would choose by them.

    Args:
        signature: Of the tasks.
        parts: By part, the same rivals.
    """
    chosen = [strongest(signature, rivals) for rivals in parts]
    (name, often), *others = Counter(rival.name for rival in chosen).most_common()
    usual = next(rival for rival in chosen if rival.name == name)
    valid, test = float(np.mean([rival.valid for rival in chosen])), [rival.test for rival in chosen]
    parted = (
        f"strongest in {often} of {len(parts)} parts, in others what was strongest there" if others else ""
    )
    return replace(usual, valid=valid, test=np.concatenate(test), parted=parted)


def _outcome(ours: np.ndarray, theirs: np.ndarray, difference: float, ci95: float) -> Ruling:
    if len(ours) < FEWEST_TASKS:
        return "too few tasks"
    broken = tuple(not np.isfinite(scores).all() for scores in (ours, theirs))
    if any(broken):  # what does not give a number on every task is worse than what does
        return "no difference" if all(broken) else "worse" if broken[0] else "better"
    if abs(difference) <= ci95:
        return "no difference"
    return "better" if difference > 0 else "worse"


def _field(rivals: Sequence[Rival], left_out: int) -> str:
    """How many baselines the strongest one is of, where some are none of them."""
    mute = sum(not rival.answers for rival in rivals)
    over = sum(bool(rival.over) and rival.answers for rival in rivals)
    asides = [f"{over} over a limit"] if over else []
    asides += [f"{mute} without a number on some task"] if mute else []
    asides += [f"{left_out} could not be run"] if left_out else []
    left = len(rivals) - over - mute
    return f" of {left or len(rivals)} ({', '.join(asides)})" if asides else ""


def _sentence(
    signature: Signature,
    outcome: Ruling,
    rival: Rival,
    ours: np.ndarray,
    difference: float,
    ci95: float,
    looks: int,
    field: str,
    of: str,
    over: str,
) -> str:
    asides = "; ".join(filter(None, (rival.parted, rival.over)))
    name = f"{rival.name} ({asides})" if asides else rival.name
    opening = {
        "better": f"Better than {name}, the strongest baseline{field}",
        "worse": f"Worse than {name}: {'' if rival.over else 'use that instead, or '}search longer",
        "no difference": f"No difference from {name} can be shown",
        "too few tasks": f"Too few {of} ({len(ours)}) to say whether it beats {name}",
    }[outcome]
    means = float(ours.mean()), float(rival.test.mean()), difference, ci95
    a, b, by, wide = _figures(signature, means, ci95)
    unit, points = (" %", " percentage points") if signature.kind == "classification" else ("", "")
    again = f"; look {looks} at these test tasks" if looks > 1 else ""
    return (
        f"{opening}: {_METRIC[signature.metric]} {a}{unit} against {b}{unit} on {len(ours):,} {fresh(of)}"
        f"{_how_often(signature, ours, rival.test)}, "
        f"a gain of {by} ± {wide}{points} (95 % interval, {over}{again})."
    )


def _how_often(signature: Signature, ours: np.ndarray, theirs: np.ndarray) -> str:
    """Of few tasks, on how many it is better: a mean may be of one or two of them."""
    if len(ours) >= _FEW:
        return ""
    better = ours > theirs if signature.higher_is_better else ours < theirs
    return f" (better on {int(better.sum())} of them)"


def _over(of: str, classes: np.ndarray | None) -> str:
    """What an interval is over, and of."""
    paired = f"paired by {of.partition(' ')[0].removesuffix('s')}"
    if classes is not None and not are_all_the_same(classes):
        return f"{paired}, over classes too"
    return f"{paired}, of these classes alone" if "classes" in of or classes is not None else paired


def _figures(signature: Signature, values: Sequence[float], ci95: float) -> list[str]:
    """Of percentages there are as many digits as an interval leaves."""
    if signature.kind == "regression":
        return [f"{value:.3g}" for value in values]
    wide = 100 * ci95
    digits = min(max(1, -math.floor(math.log10(wide))), 3) if 1e-6 < wide < math.inf else 1
    return [f"{100 * value:.{digits}f}" for value in values]
