"""What is remembered of a trial: plain data, the same for every store and controller."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from search_spaces.candidate import Candidate

State = Literal["running", "complete", "pruned", "failed"]


@dataclass(frozen=True)
class Score:
    """A figure with its interval.

    Attributes:
        metric: ``"mse"`` or ``"accuracy"``; of several families ``"rank"``: the mean of where it stands
            on each among all scores there, 0 best to 1.
        value: Mean over tasks.
        ci95: Half width of the 95 % interval of that mean; NaN of a rank.
        tasks: Number of tasks.
        split: ``"valid"`` or ``"test"``.
        transductive: Whether predictions changed with the other queries; None: not measured.
    """

    metric: str
    value: float
    ci95: float
    tasks: int
    split: str
    transductive: bool | None = None


@dataclass(frozen=True)
class Costs:
    """What a trial cost and what its learner costs; None where it was not measured.

    Attributes:
        seconds: Wall-clock seconds of meta-training and scoring.
        peak_memory: Bytes: of the device (CUDA), else the process's peak resident size.
        parameters: Numbers in the learner that meta-training set.
        multiply_adds: Of one adapt and predict on one task.
        adapt_ms: Milliseconds of one adapt on one task, median.
    """

    seconds: float = 0.0
    peak_memory: int | None = None
    parameters: int | None = None
    multiply_adds: int | None = None
    adapt_ms: float | None = None


TIMEOUT = "timeout"
"""How the reason of a trial begins that took too long."""

INTERRUPTED = "interrupted"
"""The reason of a trial whose process ended before it did; in Optuna, an attribute of such a trial."""

PARENT = "parent"
"""In Optuna, the name of the attribute of a trial that goes on from another."""

REFUSED = "illegal"
"""In Optuna, the name of the attribute of a trial that was not begun, which says why; it does not count."""


@dataclass(frozen=True)
class Record:
    """One trial, as the store keeps it.

    Attributes:
        study: Name of the study.
        number: Of the trial in its study, from 0.
        candidate: What was tried.
        state: ``"pruned"`` was scored and stopped; ``"failed"`` has no score, but an error.
        reason: Why it ended as it did, in words: ``"diverged at step 40"``, ``"rung 3 of 3"``.
        rung: Meta-steps behind ``score``.
        score: On the study's validation tasks; None if it was never scored.
        curve: ``(meta-step, training loss)``, thinned.
        valid_curve: ``(meta-step, validation score)`` at every rung.
        seed: Of everything random in the trial.
        parent: Number of the trial it goes on from.
        weights: SHA-256 of its weights in the store's artifacts.
        versions: Of the packages that made it.
    """

    study: str
    number: int
    candidate: Candidate
    state: State = "running"
    reason: str = ""
    rung: int = 0
    score: Score | None = None
    curve: tuple[tuple[int, float], ...] = ()
    valid_curve: tuple[tuple[int, float], ...] = ()
    costs: Costs = field(default_factory=Costs)
    seed: int = 0
    parent: int | None = None
    weights: str | None = None
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def timed_out(self) -> bool:
        """Whether it took too long."""
        return self.reason.startswith(TIMEOUT)
