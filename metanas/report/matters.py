"""Which choices mattered: Optuna's importance of each, over the trials of a study."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import create_trial

from search_spaces import Candidate, Categorical, Choice, Integer, Record, Space

_FEWEST = 8  # trials, below which nothing can be said


def importance(records: Sequence[Record], space: Space, higher_is_better: bool) -> dict[str, float]:
    """Shares that sum to 1, the largest first; none where there are too few trials.

    Trials are compared where all of them were scored: at the first rung. First choices that every
    candidate makes, then those of the branch that most of the good ones took, are told apart.

    References:
        Watanabe, Bansal, Hutter, *PED-ANOVA*, 2023, https://arxiv.org/abs/2304.10255
    """
    first = [(r.candidate, r.valid_curve[0][1]) for r in records if r.parent is None and r.valid_curve]
    found = _importance(first, space, higher_is_better)
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def _importance(
    scored: Sequence[tuple[Candidate, float]], space: Space, higher_is_better: bool
) -> dict[str, float]:
    common = [name for name in space.flat if all(name in candidate for candidate, _ in scored)]
    varied = [name for name in common if len({candidate[name] for candidate, _ in scored}) > 1]
    if len(scored) < _FEWEST or not varied or len({value for _, value in scored}) < 2:
        return {}
    study = optuna.create_study(direction="maximize" if higher_is_better else "minimize")
    distributions = {name: distribution(space.flat[name]) for name in varied}
    for candidate, value in scored:
        params = {name: candidate[name] for name in varied}
        study.add_trial(create_trial(params=params, distributions=distributions, value=value))
    # the better half: that there are few trials is the rule
    evaluator = PedAnovaImportanceEvaluator(target_quantile=0.5, region_quantile=1.0)
    return optuna.importance.get_param_importances(study, evaluator=evaluator, params=varied)


def distribution(choice: Choice) -> BaseDistribution:
    """Optuna's description of a choice."""
    if isinstance(choice, Categorical):
        return CategoricalDistribution(choice.values)
    if isinstance(choice, Integer):
        return IntDistribution(choice.low, choice.high, log=choice.log)
    return FloatDistribution(choice.low, choice.high, log=choice.log)
