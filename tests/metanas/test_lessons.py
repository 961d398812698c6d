"""What is learned of a space: planted effects are found, and where there are none nothing is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from metanas import lessons
from metanas.report import matters
from search_spaces import Candidate, Categorical, Integer, Real, Record, Score, Space

RULE = Categorical("rule", ("good", "bad", "fair"), {"good": (Integer("rule.good.steps", 1, 10),)})
SPACE = Space(
    "planted",
    (
        RULE,
        Categorical("a", ("x", "y")),
        Categorical("b", ("x", "y")),
        Categorical("width", (8, 16, 32, 64), ordered=True),
        Real("rate", 1e-4, 1.0, log=True),
        Real("idle", 0.0, 1.0),
    ),
)


def records(error: Callable[[Candidate], float], count: int = 150, study: str = "s") -> list[Record]:
    rng = np.random.default_rng(1)
    found = []
    for number in range(count):
        candidate = SPACE.sample(rng)
        value = error(candidate) + 0.3 * float(rng.normal())
        score = Score("mse", value, 0.0, 1, "valid")
        curve = ((10, value),)
        found.append(Record(study, number, candidate, "pruned", score=score, valid_curve=curve))
    return found


def graded(error: Callable[[Candidate], float], count: int = 150) -> list[lessons.Graded]:
    return lessons.graded("s", records(error, count), SPACE, higher_is_better=False)


def planted(candidate: Candidate) -> float:
    """Rule bad is bad, small rates are, and a matters only through b."""
    jointly = 0.8 * (candidate["a"] == candidate["b"])
    return 2.0 * (candidate["rule"] == "bad") - 0.4 * np.log10(float(candidate["rate"])) + jointly  # type: ignore[arg-type]


def test_what_was_planted_is_found() -> None:
    trials = graded(planted)
    shares = list(lessons.importance(trials, SPACE))
    assert set(shares[:2]) == {"rule", "rate"}
    (pair,) = lessons.interactions(trials, SPACE)
    assert pair.choices == ("a", "b")
    found = {one.choice: one for one in lessons.dominated(trials, SPACE)}
    assert found.keys() == {"rule", "rate"}
    assert found["rule"].values == ("bad",)
    low, high = found["rate"].values
    assert low == 1e-4
    assert np.isclose(float(high), 1e-3)
    assert found["rate"].rank < found["rate"].others


def test_where_nothing_matters_nothing_is_said() -> None:
    trials = graded(lambda candidate: 0.0)
    assert not lessons.dominated(trials, SPACE)
    assert not lessons.interactions(trials, SPACE)


def test_of_chance_alone_nothing_is_called_dominated_more_often_than_said() -> None:
    """Values that none of the best has are found by looking at results: the others count as tests, too."""
    trials, rng = graded(lambda candidate: 0.0, 60), np.random.default_rng(0)
    ranks = [trial.rank for trial in trials]
    drawn = (zip(trials, rng.permutation(ranks), strict=True) for _ in range(200))
    found = [lessons.dominated([t._replace(rank=float(r)) for t, r in pairs], SPACE) for pairs in drawn]
    assert sum(map(bool, found)) <= 10


def test_what_was_tried_early_is_not_dominated_by_what_was_learned_since() -> None:
    """Controllers leave a value by chance when all is bad; what comes later is better for other reasons."""
    rng, found = np.random.default_rng(3), []
    for number in range(60):
        width = int(rng.choice([8, 16] if number < 25 else [32, 64]))
        others = {"rule": "fair", "rate": 0.01, "idle": float(rng.random()), "b": str(rng.choice(["x", "y"]))}
        early = "x" if number < 25 and rng.random() < 0.8 else "y"
        value = 5.0 - np.log2(width) + 0.2 * float(rng.normal())
        found.append(
            Record(
                "s",
                number,
                Candidate({"a": early, "width": width, **others}),
                "pruned",
                score=Score("mse", value, 0.0, 1, "valid"),
                valid_curve=((10, value),),
            )
        )
    said = {one.choice for one in lessons.dominated(lessons.graded("s", found, SPACE, False), SPACE)}
    assert "a" not in said
    assert "width" in said


def test_a_best_at_the_edge_is_reported() -> None:
    trials = graded(lambda candidate: -float(np.log2(float(candidate["width"]))))
    edge = next(one for one in lessons.edges(trials, SPACE) if one.choice == "width")
    assert (edge.value, edge.highest, edge.studies) == (64, True, ("s",))
    assert edge.near > edge.best / 2
    few = Space("counted", (Integer("steps", 1, 10), Integer("width", 8, 64)))
    lowest = [lessons.Graded("s", Candidate({"steps": 1, "width": 8}), 1 - i / 20) for i in range(20)]
    assert [one.choice for one in lessons.edges(lowest, few)] == ["width"], "there is nothing below one step"
    inside = graded(lambda candidate: float(abs(np.log10(float(candidate["rate"])) + 2)))
    assert "rate" not in {one.choice for one in lessons.edges(inside, SPACE)}


def test_further_rungs_count_more_and_failures_least() -> None:
    candidate = SPACE.sample(np.random.default_rng(0))
    score = Score("mse", 1.0, 0.0, 1, "valid")

    def record(number: int, *values: float, reason: str = "") -> Record:
        curve = tuple(enumerate(values, 1))
        state = "pruned" if values else "failed"
        found = score if values else None
        return Record("s", number, candidate, state, reason, score=found, valid_curve=curve)  # type: ignore[arg-type]

    ended = [
        record(0, 0.5),
        record(1, 0.9, 0.8),
        record(2, reason="diverged"),
        record(3, reason="interrupted"),
    ]
    ranks = [trial.rank for trial in lessons.graded("s", ended, SPACE, higher_is_better=False)]
    assert ranks == [0.5, 2.5 / 3, 0.5 / 3]


def test_of_equal_scores_no_choice_matters() -> None:
    """Optuna would share importance out evenly."""
    alike = [replace(record, valid_curve=((10, 1.0),)) for record in records(lambda candidate: 0.0)]
    assert matters.importance(alike, SPACE, higher_is_better=True) == {}
    assert matters.importance(records(planted), SPACE, higher_is_better=False)


def test_too_few_trials_say_nothing() -> None:
    trials = graded(planted, 6)
    assert lessons.importance(trials, SPACE) == {}
    assert not lessons.dominated(trials, SPACE)
    assert not lessons.interactions([], SPACE)


def test_what_the_winner_has_is_not_dominated() -> None:
    """It may be one that went on from a trial which stopped early."""
    found = records(lambda candidate: 1.0 if candidate["a"] == "x" else 0.1)
    assert any(
        one.values == ("x",) for one in lessons.dominated(lessons.graded("s", found, SPACE, False), SPACE)
    )
    worst = next(r for r in found if r.candidate["a"] == "x")
    score = Score("mse", -99.0, 0.0, 9, "valid")
    child = replace(worst, number=999, parent=worst.number, score=score)
    told = lessons.dominated(lessons.graded("s", [*found, child], SPACE, False), SPACE)
    assert not any(one.values == ("x",) for one in told)


def test_a_winner_stands_in_for_the_trial_that_it_went_on_from() -> None:
    """They are one candidate: it would count twice."""
    found = records(planted, 20)
    score = Score("mse", -99.0, 0.0, 9, "valid")
    child = replace(found[3], number=20, parent=3, score=score)
    last = replace(child, number=21, parent=20, score=replace(score, value=-100.0))
    trials = lessons.graded("s", [*found, child, last], SPACE, higher_is_better=False)
    assert len(trials) == 20
    assert sum(trial.candidate == found[3].candidate for trial in trials) == 1
    assert max(trials, key=lambda trial: trial.rank).candidate == found[3].candidate


def test_where_most_trials_failed_nothing_is_said_to_matter() -> None:
    """Equal shares of all choices would say that they matter alike."""
    rng = np.random.default_rng(0)
    for good in (0, 2):
        ranks = [0.9 + i / 100 if i < good else 0.4 for i in range(30)]
        trials = [lessons.Graded("s", SPACE.sample(rng), rank) for rank in ranks]
        assert lessons.importance(trials, SPACE) == {}
