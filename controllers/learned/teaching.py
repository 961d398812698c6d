"""Teaches a policy what proved good in recorded studies, then by replaying them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from controllers.learned import network
from controllers.learned.categories import Categories
from controllers.learned.codes import Codes
from controllers.learned.fitting import Told
from controllers.learned.network import Context, Weights
from controllers.learned.policy import Policy, shapes
from controllers.learned.proposing import BEST
from search_spaces import Space
from search_spaces.errors import DataError

_WIDTH = 32  # H
_IMITATIONS, _REPLAYS = 80, 25  # steps
_RATE, _DECAY = 0.01, 0.01
_STUDIES = 8  # a step, of each of which:
_SHOWN = 16  # candidates to imitate
_GREED = 4.0  # of imitation: the best candidate of a study counts e⁴ times as much as the worst
_UNKNOWN = 0.3  # part of the steps in which nothing is known of a family
_TABLE = 16  # candidates that a replayed search can choose from, where so many are recorded
_EPISODES, _LENGTH = 8, 6  # replayed searches, and how many candidates each chooses
_REWARD = 10.0  # weight of ranks, beside that of imitation
_LEAST = 0.25  # deviation of what families are measured by: they differ by about 1
_DOUBT = 0.5  # of a study, by which all values are taken to be frequent
_SCALE = 0.2  # deviation of weights at the beginning


@dataclass(frozen=True)
class Lesson:
    """What a study teaches.

    Attributes:
        family: ``(F,)``, as :meth:`controllers.learned.policy.Policy.family` gives it.
        candidates: ``(N, J, K)``.
        ranks: ``(N,)`` in (0, 1), 1 is best.
    """

    family: np.ndarray
    candidates: np.ndarray
    ranks: np.ndarray


def taught(space: Space, studies: Sequence[Told]) -> Policy:
    """A policy that imitates what proved good in studies, then learns by searching them again.

    It imitates candidates, weighted by their ranks in their studies, given the best of some others. Then
    searches choose from a few recorded candidates of a study by the policy alone: each choice is made
    likelier by how much better the best so far is from there on than in other searches of the same study.

    Args:
        space: That it proposes from.
        studies: What they tell; one or more.

    Raises:
        DataError: If there is no study.

    References:
        Williams, *Simple statistical gradient-following algorithms*, 1992,
        https://doi.org/10.1007/BF00992696; the baseline is the mean of the other searches.
    """
    if not studies:
        raise DataError("a policy is taught by other studies than the one that is replayed; there is none")
    rng = np.random.default_rng(0)
    home = Categories(Codes(space))
    blank = Policy({}, _measures(studies))
    lessons = [Lesson(blank.family(s.family), home.of(s.rows), ndtr(s.targets)) for s in studies]
    weights = _begun(home, lessons, rng)
    tensors = [t for t in vars(weights).values() if t.requires_grad]
    optimizer = torch.optim.AdamW(tensors, lr=_RATE, weight_decay=_DECAY)
    for step in range(_IMITATIONS + _REPLAYS):
        chosen = [lessons[int(i)] for i in rng.integers(len(lessons), size=_STUDIES)]
        loss = imitation(weights, chosen, rng)
        if step >= _IMITATIONS:
            loss = loss - _REWARD * improvement(weights, chosen, rng)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return Policy(weights.to_arrays(), blank.measures)


def imitation(weights: Weights, lessons: Sequence[Lesson], rng: np.random.Generator) -> Tensor:
    """Minus the mean log-probability a choice of candidates, the better ones drawn more often."""
    shown, best, found = [], [], []
    for lesson in lessons:
        count = len(lesson.ranks)
        known = rng.permutation(count)[: rng.integers(count)]
        shown.append(lesson.candidates[rng.choice(count, size=_SHOWN, p=_appeal(lesson, known))])
        best.append(_summary(lesson, known))
        found.append(len(known))
    c = network.context(weights, _families(lessons, rng), _tensor(best), _tensor(found))
    candidates = _tensor(shown)
    before = network.before(weights, candidates)
    p = network.probabilities(weights, before, _apart(c))
    return -network.log_probabilities(p, candidates).sum() / candidates.sum()


def improvement(weights: Weights, lessons: Sequence[Lesson], rng: np.random.Generator) -> Tensor:
    """What has the gradient of the mean rank of the best so far, in searches by the policy alone."""
    tables = [_table(lesson, rng) for lesson in lessons]
    ranks = np.array([table.ranks for table in tables])[:, None]  # (S, 1, M)
    candidates = _tensor([table.candidates for table in tables])[:, None]
    before, family = network.before(weights, candidates), _families(lessons, rng)[:, None]
    left = np.ones((len(tables), _EPISODES, ranks.shape[2]), dtype=bool)
    logs, found = [], []
    for _ in range(min(_LENGTH, ranks.shape[2])):
        c = _after(weights, family, tables, left)
        p = network.probabilities(weights, before, _apart(c))
        logits = network.log_probabilities(p, candidates).masked_fill(~torch.as_tensor(left), -np.inf)
        log_p = logits.log_softmax(-1)
        drawn = (log_p.detach().numpy() + rng.gumbel(size=left.shape)).argmax(-1)[..., None]
        logs.append(log_p.gather(-1, torch.as_tensor(drawn))[..., 0])
        np.put_along_axis(left, drawn, False, -1)
        found.append(np.where(left, 0, ranks).max(-1))
    return (torch.stack(logs) * _advantage(np.array(found))).mean()


def _advantage(best: np.ndarray) -> Tensor:
    """``(L, S, E)``: by choice, how much better it went on than in the other searches of its study.

    Args:
        best: ``(L, S, E)`` ranks of the best so far, after each choice.
    """
    length, episodes = len(best), best.shape[2]
    to_come = best[::-1].cumsum(0)[::-1] / length
    others = (to_come.sum(2, keepdims=True) - to_come) / (episodes - 1)
    return _tensor(to_come - others)


def _apart(known: Context) -> Context:
    """The same for several candidates each."""
    return Context(known.units.unsqueeze(-2), known.logits.unsqueeze(-3))


def _after(weights: Weights, family: Tensor, tables: Sequence[Lesson], left: np.ndarray) -> Context:
    """``(S, E)``: c of searches that have found what is left no more."""
    best = [
        [_summary(table, np.flatnonzero(~one)) for one in each]
        for table, each in zip(tables, left, strict=True)
    ]
    found = _tensor((~left).sum(-1))
    return network.context(weights, family.expand(-1, left.shape[1], -1), _tensor(best), found)


def _table(lesson: Lesson, rng: np.random.Generator) -> Lesson:
    """So many of its candidates, ranked among themselves; some of them twice where there are fewer."""
    count = len(lesson.ranks)
    drawn = rng.permutation(count)[:_TABLE]
    drawn = np.concatenate([drawn, rng.integers(count, size=_TABLE - len(drawn))])
    ranks = lesson.ranks[drawn].argsort().argsort() / (_TABLE - 1)
    return Lesson(lesson.family, lesson.candidates[drawn], ranks)


def _summary(lesson: Lesson, known: np.ndarray) -> np.ndarray:
    """``(J, K)``: mean of the best of some candidates."""
    if not len(known):
        return np.zeros(lesson.candidates.shape[1:])
    best = known[np.argsort(-lesson.ranks[known], kind="stable")[:BEST]]
    return np.asarray(lesson.candidates[best].mean(0))


def _families(lessons: Sequence[Lesson], rng: np.random.Generator) -> Tensor:
    """``(S, F)``; of some, nothing is known."""
    known = rng.random((len(lessons), 1)) >= _UNKNOWN
    return _tensor(known * np.array([lesson.family for lesson in lessons]))


def _measures(studies: Sequence[Told]) -> dict[str, tuple[float, float]]:
    """Mean and deviation of what all families were measured by: nothing, if one was not."""
    names = [name for name in studies[0].family if all(name in study.family for study in studies)]
    values = {name: np.array([study.family[name] for study in studies]) for name in names}
    return {name: (float(v.mean()), float(max(v.std(), _LEAST))) for name, v in values.items()}


def _begun(home: Categories, lessons: Sequence[Lesson], rng: np.random.Generator) -> Weights:
    """At which each value is as probable as it is frequent among good candidates, whatever the others are."""
    shape = shapes(home, len(lessons[0].family), _WIDTH)
    arrays = {name: rng.normal(scale=_SCALE, size=size) for name, size in shape.items()}
    arrays |= {name: np.zeros(shape[name]) for name in ("out", "bias", "again")}
    arrays["out_bias"] = np.log(
        _DOUBT + sum(np.tensordot(_appeal(one), one.candidates, 1) for one in lessons)
    )
    weights = Weights.of(arrays, home.exists, torch.float32)
    for tensor in vars(weights).values():
        tensor.requires_grad_(tensor.is_floating_point())
    return weights


def _appeal(lesson: Lesson, known: Iterable[int] = ()) -> np.ndarray:
    """``(N,)``: how often each candidate is to be imitated, but those that are known; they add up to 1."""
    appeal = np.exp(_GREED * lesson.ranks)
    appeal[list(known)] = 0
    return np.asarray(appeal / appeal.sum())


def _tensor(values: object) -> Tensor:
    return torch.as_tensor(np.array(values), dtype=torch.float32)
