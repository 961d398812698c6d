"""Baselines that are trained, with a budget of their own, and how they are scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Protocol

import numpy as np

from metanas.baselines import TUNING_TASKS, timed
from metanas.engine.program import Program, at, count
from metanas.evaluator import Evaluator, Job
from metanas.legs import in_legs
from metanas.seeds import derive
from metanas.sizing import Sizes
from metanas.training import Checkpoint
from metanas.verdict import Rival
from search_spaces import Candidate, Signature, Value, catalogue
from search_spaces.errors import EvaluationError
from search_spaces.task import Episodes


class Trained(Protocol):
    """A baseline that is trained, with a budget of its own.

    Attributes:
        name: Of it.
        tuning: Tasks that choosing its settings takes as long as scoring of.
    """

    @property
    def name(self) -> str: ...

    @property
    def tuning(self) -> int: ...

    def pace(self, evaluator: Evaluator, probe: Episodes) -> float:
        """Seconds that scoring a task takes."""
        ...

    def run(
        self, evaluator: Evaluator, test: Episodes, steps: int, left: Callable[[], float], seed: int
    ) -> list[Rival]:
        """Trains it, and scores it.

        Args:
            evaluator: Trains and scores.
            test: Tasks to score it on.
            steps: Meta-steps, where ``left()`` is infinite.
            left: Seconds to the end of its training.
            seed: Of its training.

        Raises:
            EvaluationError: Where it could not be scored at all; says why.
        """
        ...


@dataclass(frozen=True)
class MetaLearner:
    """A hand-set candidate, meta-trained as ours are."""

    name: str
    candidate: Candidate
    tuning: int = 0

    def pace(self, evaluator: Evaluator, probe: Episodes) -> float:
        return scoring_pace(evaluator, self.candidate, None, probe)

    def run(
        self, evaluator: Evaluator, test: Episodes, steps: int, left: Callable[[], float], seed: int
    ) -> list[Rival]:
        checkpoint, valid = _trained(evaluator, self.name, self.candidate, steps, left, seed)

        def scores(episodes: Episodes) -> np.ndarray:
            return evaluator.task_scores(self.candidate, checkpoint, episodes)

        sizes = Sizes(evaluator, timed=True)
        return [Rival(self.name, valid, scores(test), scores, lambda: sizes(self.candidate))]


@dataclass(frozen=True)
class FineTuned:
    """A network trained on the rows of all training tasks as if they were one, then on a task's support.

    How many steps, how large, and of which layers, is chosen on validation tasks.

    Attributes:
        name: Of it.
        candidate: Its network, learning by gradient steps.
    """

    name: str
    candidate: Candidate

    @property
    def settings(self) -> list[Candidate]:
        """Ways of fine-tuning; the first is none, the last takes longest."""
        ways = product((1, 5, 20), ("head", "all"), (0.01, 0.03, 0.1, 0.3))
        return [self._with(0, "all", 0.01), *(self._with(*way) for way in ways)]

    @property
    def tuning(self) -> int:
        steps = [int(setting["rule.gradient.steps"]) for setting in self.settings]
        return TUNING_TASKS * sum(steps) // max(steps)

    def pace(self, evaluator: Evaluator, probe: Episodes) -> float:
        return scoring_pace(evaluator, self.settings[-1], None, probe)

    def run(
        self, evaluator: Evaluator, test: Episodes, steps: int, left: Callable[[], float], seed: int
    ) -> list[Rival]:
        # without a step of adaptation, meta-training is plain training on all tasks
        trained, _ = _trained(evaluator, self.name, self.settings[0], steps, left, seed)
        few, sign = at(evaluator.valid, slice(0, TUNING_TASKS)), _sign(evaluator.signature)

        def scores(setting: Candidate, episodes: Episodes) -> np.ndarray:
            rates = Program.of(catalogue.build(setting, evaluator.signature)).init(seed)[1]
            checkpoint = Checkpoint.resume(trained.average, rates, seed, evaluator.device)
            return evaluator.task_scores(setting, checkpoint, episodes)

        def value(setting: Candidate) -> float:
            return float(np.nan_to_num(sign * scores(setting, few).mean(), nan=-np.inf))

        best = max(self.settings, key=value)
        valid = float(scores(best, evaluator.valid).mean())
        sizes = Sizes(evaluator, timed=True)
        return [Rival(self.name, valid, scores(best, test), partial(scores, best), lambda: sizes(best))]

    def _with(self, steps: int, scope: str, rate: float) -> Candidate:
        own: dict[str, Value] = {"steps": steps, "scope": scope, "rate": rate}
        named = {f"rule.gradient.{name}": value for name, value in own.items()}
        return Candidate(dict(self.candidate) | named)


def _trained(
    evaluator: Evaluator, name: str, candidate: Candidate, steps: int, left: Callable[[], float], seed: int
) -> tuple[Checkpoint, float]:
    """The best of its legs by validation, and its score there.

    Raises:
        EvaluationError: Where it could not be scored at all; says why.
    """
    outcomes = [leg.outcome for leg in in_legs(evaluator, Job(candidate, derive(seed, name)), steps, left)]
    scored = [(o.checkpoint, o.score.value) for o in outcomes if o.score and o.checkpoint]
    if not scored:
        reason = f"{outcomes[-1].ended}: {outcomes[-1].reason}" if outcomes else "no time was left for it"
        raise EvaluationError(f"baseline {name} could not be scored ({reason})")
    return max(scored, key=lambda pair: _sign(evaluator.signature) * pair[1])


def scoring_pace(
    evaluator: Evaluator, candidate: Candidate, checkpoint: Checkpoint | None, probe: Episodes
) -> float:
    """Seconds that scoring a task takes; without a checkpoint, by an untrained learner."""
    program = evaluator.engine(candidate).program
    checkpoint = checkpoint or Checkpoint.start(program, 0, evaluator.device)

    def run() -> None:
        evaluator.task_scores(candidate, checkpoint, probe)

    run()  # pays what every shape pays once
    return timed(run) / count(probe)


def _sign(signature: Signature) -> int:
    return 1 if signature.higher_is_better else -1
