"""The verdict: which baseline counts, and what the test tasks say of it."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metanas.goals import Goals
from metanas.judging import Comparison, _held, held_against, joined
from metanas.tasks.family import FEWEST_TASKS
from metanas.verdict import Rival, decide, strongest
from search_spaces import Costs, Signature

REGRESSION = Signature("regression", (1,), 1, 5)
PICTURES = Signature("classification", (1, 8, 8), 5, 1)
BOTH = pytest.mark.parametrize("signature", [REGRESSION, PICTURES], ids=lambda s: s.kind)
FLIPPED = {"better": "worse", "worse": "better", "no difference": "no difference"}


def scores(rng: np.random.Generator, mean: float, tasks: int = 100) -> np.ndarray:
    return mean + rng.normal(0, 0.05, tasks)


def worse_by(signature: Signature, amount: float) -> float:
    return -amount if signature.higher_is_better else amount


@BOTH
@pytest.mark.parametrize(
    ("gap", "tasks", "outcome"),
    [
        (0.1, 100, "better"),
        (-0.1, 100, "worse"),
        (0.0, 100, "no difference"),
        (0.1, FEWEST_TASKS - 1, "too few tasks"),
        (0.1, FEWEST_TASKS, "better"),
    ],
)
def test_the_four_outcomes(
    signature: Signature, gap: float, tasks: int, outcome: str, rng: np.random.Generator
) -> None:
    ours = scores(rng, 0.5, tasks)
    noise = rng.normal(0, 0.02, tasks)
    theirs = ours + worse_by(signature, gap) + noise - noise.mean()
    verdict = decide(signature, ours, [Rival("kNN", 0.5, theirs)])
    assert (verdict.outcome, verdict.against) == (outcome, "kNN")
    assert verdict.difference == pytest.approx(gap, abs=1e-9)  # above 0 where ours is better, always


@BOTH
def test_the_rival_is_the_one_that_validation_chose_not_the_test_tasks(
    signature: Signature, rng: np.random.Generator
) -> None:
    good, bad = (0.9, 0.1) if signature.higher_is_better else (0.1, 0.9)
    rivals = [
        Rival("lucky in the test", bad, np.full(50, good)),
        Rival("best in validation", good, np.full(50, bad)),
    ]
    for order in (rivals, rivals[::-1]):
        assert strongest(signature, order).name == "best in validation"
        assert decide(signature, scores(rng, 0.5, 50), order).against == "best in validation"


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=FEWEST_TASKS, max_size=60),
    st.sampled_from([REGRESSION, PICTURES]),
)
def test_the_other_way_round_the_verdict_is_the_other(
    pairs: list[tuple[float, float]], signature: Signature
) -> None:
    ours, theirs = np.array(pairs).T
    one = decide(signature, ours, [Rival("a", 0.0, theirs)])
    two = decide(signature, theirs, [Rival("b", 0.0, ours)])
    assert two.outcome == FLIPPED[one.outcome]
    assert (two.difference, two.ci95) == (pytest.approx(-one.difference), pytest.approx(one.ci95))


@BOTH
def test_the_interval_is_that_of_the_paired_t_test(signature: Signature, rng: np.random.Generator) -> None:
    ours, theirs = scores(rng, 0.5), scores(rng, 0.52)
    verdict = decide(signature, ours, [Rival("kNN", 0.5, theirs)])
    low, high = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert verdict.ci95 == pytest.approx((high - low) / 2)
    assert abs(verdict.difference) == pytest.approx(abs(low + high) / 2)


def test_over_folds_the_test_tasks_do_not_choose_the_rival(rng: np.random.Generator) -> None:
    """Each fold's validation tasks are the next one's test tasks: over all folds they are the same.

    Of ten baselines that are as good as ours, the one that is best on them all is so by luck.
    """
    names, folds, outcomes = [str(i) for i in range(10)], 5, Counter[str]()
    for _ in range(200):
        ours, theirs = rng.normal(0, 1, (folds, 8)), rng.normal(0, 1, (10, folds, 8))
        parts = []
        for i in range(folds):
            chosen = theirs[:, (i + 1) % folds].mean(1)
            rivals = [
                Rival(n, float(v), scores) for n, v, scores in zip(names, chosen, theirs[:, i], strict=True)
            ]
            parts.append(Comparison(ours[i], rivals, False, 1, {}))  # type: ignore[typeddict-item]
        outcomes[joined(REGRESSION, parts).verdict.outcome] += 1
    assert outcomes["worse"] <= 15, "2.5 % are 5; it was 30"
    assert outcomes["no difference"] >= 175


def test_a_rival_that_is_another_one_in_some_folds_says_so() -> None:
    def part(best: str) -> Comparison:
        rivals = [Rival(name, 0.1 if name == best else 0.2, np.full(8, 0.5 + (name == "b"))) for name in "ab"]
        return Comparison(np.full(8, 0.1), rivals, False, 1, {})  # type: ignore[typeddict-item]

    judged = joined(REGRESSION, [part("a"), part("b"), part("a")])
    verdict = judged.verdict
    assert verdict.against == "a"
    assert judged.baselines["a"].value == pytest.approx(0.5), "over all parts"
    assert held_against(REGRESSION, judged).value == pytest.approx(2.5 / 3), "what the sentence says"
    assert verdict.difference == pytest.approx((0.5 + 1.5 + 0.5) / 3 - 0.1)
    said = "Better than a (strongest in 2 of 3 parts, in others what was strongest there), the strongest"
    assert verdict.sentence.startswith(said)
    assert "parts" not in joined(REGRESSION, [part("a"), part("a")]).verdict.sentence


@pytest.mark.parametrize(("signature", "order"), [(REGRESSION, ["b", "a"]), (PICTURES, ["a", "b"])])
def test_parts_are_as_one_in_all_that_is_told(signature: Signature, order: list[str]) -> None:
    """As often looked at as the most, and peeking if one does; the better baseline first, of those in all."""

    def part(looks: int, peeks: bool, *more: Rival) -> Comparison:
        rivals = [Rival("a", 0.6, np.full(8, 0.6)), Rival("b", 0.3, np.full(8, 0.3)), *more]
        return Comparison(np.full(8, 0.5), rivals, peeks, looks, {})  # type: ignore[typeddict-item]

    judged = joined(signature, [part(1, False), part(3, True, Rival("c", 0.4, np.full(8, 0.4)))])
    assert (judged.looks, judged.test.transductive) == (3, True)
    assert list(judged.baselines) == order
    best = 0.6 if signature is PICTURES else 0.3
    assert held_against(signature, judged).value == pytest.approx(best)


def test_pairing_finds_what_unpaired_scores_would_hide(rng: np.random.Generator) -> None:
    hard = rng.gamma(1.0, 2.0, 200)  # tasks differ far more than learners do
    verdict = decide(REGRESSION, hard, [Rival("kNN", 1.0, hard + 0.01 + rng.normal(0, 0.001, 200))])
    assert verdict.outcome == "better"


def test_equal_scores_are_no_difference() -> None:
    verdict = decide(REGRESSION, np.ones(40), [Rival("kNN", 1.0, np.ones(40))])
    assert (verdict.outcome, verdict.difference, verdict.ci95) == ("no difference", 0.0, 0.0)


@pytest.mark.parametrize(
    ("ours", "theirs", "outcome"),
    [(math.nan, 1.0, "worse"), (1.0, math.inf, "better"), (math.inf, math.inf, "no difference")],
)
def test_what_gives_no_number_on_a_task_is_worse_than_what_does(
    ours: float, theirs: float, outcome: str
) -> None:
    mine, other = np.ones(40), np.ones(40)
    mine[3], other[3] = ours, theirs
    assert decide(REGRESSION, mine, [Rival("MAML", 1.0, other)]).outcome == outcome


@pytest.mark.parametrize(
    ("gap", "tasks", "opening"),
    [
        (0.1, 1000, "Better than kNN, the strongest baseline: accuracy 50.0 % against 40.0 % on 1,000 fresh"),
        (-0.1, 40, "Worse than kNN: use that instead, or search longer: accuracy 50.0 % against 60.0 %"),
        (0.0, 40, "No difference from kNN can be shown: accuracy 50.0 % against 50.0 % on 40 fresh tasks"),
        (0.1, 5, "Too few tasks (5) to say whether it beats kNN: accuracy 50.0 % against 40.0 % on 5"),
    ],
)
def test_the_sentence_says_it_all_to_a_person(gap: float, tasks: int, opening: str) -> None:
    ours = np.full(tasks, 0.5)
    said = decide(PICTURES, ours, [Rival("kNN", 0.5, ours - gap)]).sentence
    assert said.startswith(opening)
    assert said.endswith("(95 % interval, paired by task).")
    assert "look" not in said
    assert f"a gain of {100 * gap:.1f} ± 0.0 percentage points" in said


def test_the_sentence_gives_figures_of_regression_in_their_own_units() -> None:
    said = decide(REGRESSION, np.full(50, 0.25), [Rival("MAML", 1.0, np.full(50, 1.5))]).sentence
    assert (
        "mean squared error 0.25 against 1.5 on 50 fresh tasks (better on 50 of them), a gain of 1.25 ± 0"
        in said
    )


def test_percentages_have_the_digits_that_their_interval_leaves(rng: np.random.Generator) -> None:
    """Of small gains one digit would round all away."""
    ours = 0.9990 + 0.0004 * rng.normal(size=1000)
    said = decide(
        PICTURES, ours, [Rival("kNN", 0.5, ours - 0.0004 - 0.0002 * rng.normal(size=1000))]
    ).sentence
    assert re.search(r"accuracy 99\.\d{3} % against 99\.8\d\d %.* 0\.04\d ± 0\.00\d percentage points", said)


def test_one_without_an_answer_is_not_the_strongest() -> None:
    """However good it is on the other tasks: better than it would be said where the next one is better."""
    broken = np.full(50, 0.25)
    broken[7] = np.inf
    rivals = [Rival("network", 0.25, broken), Rival("ridge", 0.3, np.full(50, 0.3))]
    verdict = decide(REGRESSION, np.full(50, 0.55), rivals)
    assert (verdict.outcome, verdict.against) == ("worse", "ridge")
    rivals[1] = replace(rivals[1], test=broken)
    assert decide(REGRESSION, np.full(50, 0.55), rivals).outcome == "better"
    better = decide(
        REGRESSION,
        np.full(50, 0.2),
        [Rival("network", 0.25, broken), Rival("ridge", 0.3, broken + 1), Rival("mean", 1.0, np.ones(50))],
    )
    assert "the strongest baseline of 1 (2 without a number on some task)" in better.sentence
    limited = [Rival("small", 1.0, broken), Rival("large", 0.3, np.ones(50), over="too large")]
    verdict = decide(REGRESSION, np.full(50, 0.55), limited)
    assert (verdict.against, verdict.outcome) == ("large", "better")


def test_over_folds_it_is_said_whose_learners_it_is_of() -> None:
    rival = Rival("MAML", 1.0, np.full(30, 1.5))
    said = decide(REGRESSION, np.full(30, 0.25), [rival], searches=5).sentence
    assert "(95 % interval, paired by task, for the learners of these 5 searches)" in said


def test_where_scores_are_of_groups_of_tasks_the_sentence_says_so() -> None:
    rival = Rival("MAML", 1.0, np.full(12, 1.5))
    said = decide(REGRESSION, np.full(12, 0.25), [rival], of="groups").sentence
    assert "on 12 groups of fresh tasks (better on 12 of them), a gain of 1.25 ± 0 (95 % interval" in said
    assert said.endswith(", paired by group).")
    few = decide(REGRESSION, np.full(5, 0.25), [Rival("MAML", 1.0, np.full(5, 1.5))], of="groups")
    assert few.sentence.startswith("Too few groups (5) to say")


def test_images_are_held_against_other_classes(rng: np.random.Generator) -> None:
    """A gain on six classes, nearly all of it on one of them, is none yet; what an interval is of is said."""
    classes = rng.random((400, 6)).argsort(1)[:, :3]
    theirs = scores(rng, 0.5, 400)
    ours = theirs + 0.3 * (classes == 2).any(1) + 0.01 * rng.normal(size=400)
    rival, of = [Rival("kNN", 0.5, theirs)], "tasks of 6 classes"
    alone, over = decide(PICTURES, ours, rival, of=of), decide(PICTURES, ours, rival, of=of, classes=classes)
    assert (alone.outcome, over.outcome) == ("better", "no difference")
    assert "interval, paired by task, of these classes alone)" in alone.sentence
    assert "interval, paired by task, over classes too)" in over.sentence
    same = decide(PICTURES, ours, rival, classes=np.tile(np.arange(3), (400, 1)))
    assert same.outcome == "better"
    assert "paired by task, of these classes alone)" in same.sentence


def test_a_baseline_without_a_number_is_not_the_strongest() -> None:
    rivals = [Rival("none", math.nan, np.full(40, 0.9)), Rival("good", 0.1, np.full(40, 0.1))]
    assert decide(REGRESSION, np.full(40, 0.5), rivals).against == "good"


def test_a_second_look_at_the_test_tasks_is_owned_up_to() -> None:
    rival = Rival("kNN", 0.5, np.full(40, 0.4))
    first, third = (decide(PICTURES, np.full(40, 0.5), [rival], looks) for looks in (1, 3))
    assert "look 3 at these test tasks" in third.sentence
    assert replace(third, sentence="") == replace(first, sentence="")


def test_baselines_that_could_not_be_run_are_owned_up_to() -> None:
    rivals = [Rival("kNN", 0.5, np.full(40, 0.4)), Rival("ridge", 0.4, np.full(40, 0.3))]
    said = decide(PICTURES, np.full(40, 0.5), rivals, left_out=3).sentence
    assert said.startswith("Better than kNN, the strongest baseline of 2 (3 could not be run): accuracy")


LIMITS = Goals(max_params=1000, max_latency=5.0)


def test_a_baseline_over_a_limit_is_marked_and_not_the_one_that_would_have_done() -> None:
    """What is not known of a baseline is not held against it."""
    costs = {"kNN": Costs(parameters=0, adapt_ms=0.3), "MAML": Costs(parameters=1761, adapt_ms=1.0)}
    costs |= {"forest": Costs(parameters=0, adapt_ms=7.0), "pooled model": Costs()}
    values = {"kNN": 0.5, "MAML": 0.7, "forest": 0.6, "pooled model": 0.4}
    rivals = [
        _held(Rival(name, value, np.full(40, value), costs=lambda name=name: costs[name]), LIMITS)
        for name, value in values.items()
    ]
    over = {
        "MAML": "1,761 parameters, over --max-params 1000",
        "forest": "7 ms a task, over --max-latency 5ms",
    }
    assert {rival.name: rival.over for rival in rivals if rival.over} == over
    parts = [Comparison(np.full(40, 0.55), rivals, False, 1, {})] * 2  # type: ignore[list-item]
    judged = joined(PICTURES, parts)
    assert judged.over == over
    assert list(judged.baselines) == ["kNN", "pooled model", "MAML", "forest"]
    assert (judged.verdict.outcome, judged.verdict.against) == ("better", "kNN")
    assert "the strongest baseline of 2 (2 over a limit): accuracy" in judged.verdict.sentence
    unlimited = Goals(("score", "latency"))
    assert not any(_held(replace(rival, over=""), unlimited).over for rival in rivals)


def test_a_baseline_that_is_missing_for_several_reasons_is_one() -> None:
    """Where most are missing the sentence says that a longer search is held against more."""
    whys = ("baseline MAML is left out: scoring it takes more time than there is",)
    more = ("baseline MAML could not be scored (timeout)", "baseline ridge per task failed (ValueError: x)")
    rivals = [Rival("kNN", 0.5, np.full(40, 0.7))]
    parts = [Comparison(np.full(40, 0.1), rivals, False, 1, {}, why) for why in (whys, more)]  # type: ignore[typeddict-item]
    said = joined(REGRESSION, parts).verdict.sentence
    assert said.startswith("Better than kNN, the strongest baseline of 1 (2 could not be run): ")
    assert said.endswith(" Most baselines could not be run: a longer search is held against more of them.")


def test_where_all_baselines_are_over_a_limit_none_is_recommended() -> None:
    rivals = [Rival("kNN", 0.5, np.full(40, 0.7), over="7 ms a task, over --max-latency 5ms")]
    said = decide(PICTURES, np.full(40, 0.5), rivals).sentence
    assert said.startswith("Worse than kNN (7 ms a task, over --max-latency 5ms): search longer: accuracy")


def test_a_baseline_that_one_part_lacks_is_on_no_list() -> None:
    """Its mean would be of other tasks than those of the others."""
    rivals = [Rival("a", 0.6, np.full(8, 0.6)), Rival("b", 0.3, np.full(8, 0.3))]
    parts = [Comparison(np.full(8, 0.5), own, False, 1, {}) for own in (rivals, rivals[:1])]  # type: ignore[typeddict-item]
    judged = joined(REGRESSION, parts)
    assert {name: score.tasks for name, score in judged.baselines.items()} == {"a": 16}
    assert judged.verdict.against == "a"
