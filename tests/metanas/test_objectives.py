"""Limits and several objectives: who is trained, who goes on, what is on the front, what a study keeps."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from PIL import Image

from controllers import random as random_controller
from controllers.pruning import successive_halving
from metanas.aims import Aims
from metanas.budget import FINISH, Budget
from metanas.cli.aiming import joint_aims, refuse_objectives
from metanas.cli.why import _lines
from metanas.finish import finish
from metanas.goals import Goals, parse_latency, parse_objectives
from metanas.joint import Joint, JointSearch
from metanas.origins import NEIGHBOUR, PROPOSED
from metanas.search import Search
from metanas.sizing import Measure, Sizes
from metanas.smallest import smallest
from search_spaces import Candidate, Categorical, Costs, Record, catalogue
from search_spaces.errors import BudgetError
from search_spaces.shared import share
from tests.metanas.scripted import (  # noqa: F401
    RUNGS,
    SEED,
    SIGNATURE,
    SPACE,
    Clock,
    Kept,
    Script,
    Scripted,
    _quiet,
)

Run = Callable[..., Any]
BOTH = Goals(("score", "parameters"))


def make(script: Script, goals: Goals, measure: Measure, tick: Callable[[], None] = lambda: None) -> Search:
    sampler = random_controller.build(SPACE, 0)
    study = optuna.create_study(sampler=sampler, pruner=successive_halving(RUNGS))
    evaluator = Scripted(script, tick)
    return Search("s", SPACE, study, Kept(), evaluator, RUNGS, SEED, aims=Aims(goals, measure))


def falling() -> Measure:
    """Every new candidate is smaller than those before it."""
    sizes, next_size = dict[str, int](), itertools.count(1000, -1)

    def measure(candidate: Candidate) -> Costs:
        if candidate.id not in sizes:
            sizes[candidate.id] = next(next_size)
        return Costs(parameters=sizes[candidate.id])

    return measure


def depth(candidate: Candidate) -> Costs:
    return Costs(parameters=int(candidate["architecture.mlp.depth"]))


def refused(search: Search) -> dict[int, str]:
    """Trials that were refused before they were begun, and why."""
    trials = search.study.get_trials(deepcopy=False)
    return {t.number: t.user_attrs["illegal"] for t in trials if "illegal" in t.user_attrs}


# limits


def test_what_is_over_a_limit_is_never_trained() -> None:
    search: Any = make(lambda number, rung: 1.0 + number, Goals(max_params=1), depth)
    search.run(Budget(trials=8))
    finish(search, Budget(trials=8))
    records = search.memory.records("s")
    assert {record.candidate["architecture.mlp.depth"] for record in records} == {1}
    assert {record.costs.parameters for record in records} == {1}, "what it was admitted with"
    assert len(records) == 9, "refused ones are not counted"
    trained = {number for _, numbers in search.evaluator.asked for number in numbers}
    over = refused(search)
    assert over
    assert not trained & over.keys()
    assert all(why.endswith("parameters, over --max-params 1") for why in over.values())


def test_where_little_is_within_a_limit_its_neighbourhood_is_searched() -> None:
    """Random proposals would take hundreds of tries for each."""
    first = {n: c.values[0] for n, c in SPACE.flat.items() if isinstance(c, Categorical)}

    def measure(candidate: Candidate) -> Costs:
        parts = [n for n in candidate if n in first and n.startswith(("architecture", "rule"))]
        return Costs(parameters=1 + 100 * sum(candidate[n] != first[n] for n in parts))

    search = make(lambda number, rung: 1.0, Goals(max_params=100), measure)
    search.run(Budget(trials=4))
    records = search.memory.records("s")
    assert len(records) == 4
    assert all(measure(record.candidate).parameters == 1 for record in records)
    assert len({record.candidate.id for record in records}) == 4
    assert len(refused(search)) < 100


def test_a_limit_below_the_smallest_says_how_small_it_gets() -> None:
    widths = [n for n in SPACE.flat if "width" in n]
    least = min(value for n in widths for value in SPACE.flat[n].values)  # type: ignore[union-attr]

    def measure(candidate: Candidate) -> Costs:
        used = [int(value) for n, value in candidate.items() if n in widths]
        return Costs(parameters=sum(used), adapt_ms=len(used) / 2)

    for goals, said in (
        (Goals(max_params=least - 1), f"--max-params {least - 1}: .* closed-form has {least} parameters"),
        (Goals(max_latency=0.4), "--max-latency 0.4ms: .* takes 0.5 ms a task"),
        (Goals(max_params=10**6, max_latency=0.4), "--max-latency 0.4ms: .* takes 0.5 ms a task"),
    ):
        with pytest.raises(BudgetError, match=f"nothing is within {said}"):
            smallest(SPACE, goals, measure)
    found = smallest(SPACE, Goals(max_params=least, max_latency=0.5), measure)
    assert measure(found).parameters == least


def test_sizes_are_those_of_the_learner_and_one_for_what_is_equal(rng: Any) -> None:
    evaluator = Scripted(lambda number, rung: 1.0)
    sizes, candidate = Sizes(evaluator, timed=True), SPACE.sample(rng)
    costs = sizes(candidate)
    assert costs.parameters == evaluator.engine(candidate).program.meta.size
    assert costs.adapt_ms is not None
    assert costs.adapt_ms > 0
    alike = {n: (v * 1.5 if isinstance(v, float) else v) for n, v in candidate.items()}
    assert sizes(Candidate(alike)) is costs
    other = catalogue.space("gradient", SIGNATURE).sample(rng)
    assert Sizes(evaluator)(other).adapt_ms is None, "time is taken only where it matters"
    known = Record("s", 0, candidate, costs=Costs(1.0, 1, 77, 3, 5.0))
    assert Sizes(evaluator, True, [known])(candidate).adapt_ms == 5.0, (
        "a study that goes on keeps its figures"
    )


def test_what_cannot_be_measured_is_not_within_a_limit() -> None:
    search = make(lambda number, rung: 1.0, Goals(max_latency=5.0), lambda c: Costs(parameters=3))
    assert search.aims.goals.over(Costs(parameters=3)) == "time unknown a task, over --max-latency 5ms"


def test_over_several_families_each_learner_is_to_be_within_the_limits() -> None:
    def other(candidate: Candidate) -> Costs:
        return Costs(parameters=4 - int(candidate["architecture.mlp.depth"]))

    goals = Goals(max_params=2)  # at most two layers for one, at least two for the other
    families = {
        name: make(lambda number, rung: 1.0 + number, goals, measure)
        for name, measure in (("a", depth), ("b", other))
    }
    shared = share(dict.fromkeys(families, SPACE))
    aims = joint_aims(goals, shared, [search.aims for search in families.values()])
    study = optuna.create_study(sampler=random_controller.build(SPACE, 0), pruner=successive_halving(RUNGS))
    joint = Joint(shared, families)
    search = JointSearch("s", shared.space, study, Kept(), joint, RUNGS, SEED, aims=aims)
    search.run(Budget(trials=4))
    assert [record.candidate["architecture.mlp.depth"] for record in search.records] == [2] * 4
    assert {record.costs.parameters for record in search.records} == {2}
    with pytest.raises(BudgetError, match="several objectives are for one family"):
        refuse_objectives(BOTH)


# several objectives


def test_the_best_score_and_the_ends_of_the_front_go_on_from_a_rung() -> None:
    """All six are on the front; by the score alone 5 would be the first to be stopped."""
    search = make(lambda number, rung: 1.0 + number, BOTH, falling())
    search.run(Budget(trials=6))
    ended = {record.number: record.reason for record in search.memory.records("s")}
    stopped = dict.fromkeys(range(1, 5), "rung 1 of 3")
    assert ended == {0: "rung 3 of 3", 5: "rung 2 of 3"} | stopped
    assert len(search.aims.goals.front(search.records)) == 6


def test_a_trial_that_others_beat_in_everything_does_not_go_on() -> None:
    sizes = falling()
    search = make(lambda number, rung: 10.0 - number, BOTH, sizes)  # the last is best in both
    search.run(Budget(trials=6))
    assert {r.number for r in search.records if len(r.valid_curve) > 1} == {4, 5}
    assert [r.number for r in search.aims.goals.front(search.records)] == [5]


def test_the_ends_go_on_with_the_winner_and_the_best_score_is_handed_back() -> None:
    search = make(lambda number, rung: 1.0 + number - rung / 1000, BOTH, falling())
    search.run(Budget(trials=6))
    search.evaluator._script = lambda number, rung: {6: 0.1, 7: 5.5}[number]  # type: ignore[attr-defined]
    winner = finish(search, Budget(trials=6)).record
    children = {r.number: r.parent for r in search.memory.records("s") if r.parent is not None}
    assert children == {6: 0, 7: 5}
    assert winner.number == 6
    assert [r.number for r in search.aims.goals.ends(search.records)] == [6, 7]


def test_in_seconds_the_ends_are_finalists() -> None:
    clock = Clock()
    search = make(lambda number, rung: 1.0 + number - rung / 10**6, BOTH, falling(), clock.go(0.5))
    search.run(Budget(trials=6))
    budget = Budget(70.0, clock=clock)
    finish(search, budget)
    parents = [r.parent for r in search.memory.records("s") if r.parent is not None]
    assert {0, 5} <= set(parents)
    assert budget.spent <= 70.0 * FINISH


def test_every_other_trial_is_a_neighbour_of_the_front_once_there_is_one() -> None:
    search = make(lambda number, rung: 1.0 + number, BOTH, depth)
    search.run(Budget(trials=24))
    memory: Any = search.memory
    near = {
        t.number: t.user_attrs[NEIGHBOUR]
        for t in search.study.get_trials(deepcopy=False)
        if NEIGHBOUR in t.user_attrs
    }
    assert 5 <= len(near) <= 8
    records = {record.number: record for record in memory.records("s")}
    for number, parent in near.items():
        assert parent < number
        one, other = records[number].candidate, records[parent].candidate
        assert one != other
        assert sum(one[n] != other[n] for n in one if n in other) == 1, "one choice was moved"
    reasons = {trial: json.loads(why) for what, why, trial in memory.events if what == PROPOSED}
    assert {number: reason["of"] for number, reason in reasons.items()} == near
    number, parent = next(iter(near.items()))
    (told,) = _lines(records[number], reasons[number], "")
    assert f"a neighbour of trial {parent}; the search chose it" in told


def test_objectives_and_times_as_people_write_them() -> None:
    assert parse_objectives("latency, score") == ("score", "latency")
    assert [parse_latency(text) for text in ("5ms", "0.2s", "800us", "5")] == [5.0, 200.0, 0.8, 5.0]
    goals = Goals(("score", "latency"), 500, 2.5)
    assert Goals.of(goals.settings()) == goals
    assert Goals().settings() == {}, "studies of one objective keep what they always kept"


# the command line


@pytest.mark.long
def test_a_search_of_two_objectives_within_a_limit_from_end_to_end(
    metanas: Run, quick: tuple[object, ...], tmp_path: Path
) -> None:
    options = ("--seed", 3, "--controller", "random")
    ran = metanas(*quick, *options, "--objective", "latency,score", "--max-params", 2000, "--json")
    assert ran.code == 0, ran.err
    assert_right(ran.lines[-1]["front"], metanas("leaderboard", "sinusoid", "--json").json)
    *within, fine_tuned = ran.lines[-1]["baselines"]  # the last is too large to be used instead
    mark = "4,353 parameters, over --max-params 2000"
    assert (fine_tuned["name"], fine_tuned["over"]) == ("pooled network, fine-tuned", mark)
    assert "MAML" in {row["name"] for row in within if "over" not in row}
    assert ran.lines[-1]["verdict"]["against"] == within[0]["name"]
    with Image.open(tmp_path / "sinusoid-front.png") as picture:
        assert len(picture.convert("L").getcolors() or []) > 20, "something is drawn"

    again = metanas(*quick, *options, "--trials", 1)  # the same study: it keeps what it is after
    assert again.code == 0, again.err
    assert "Front: what no other trial beats in all of score and latency" in again.out
    for told in (again.out, metanas("verdict", "sinusoid").out, metanas("show", "sinusoid").out):
        assert f"pooled network, fine-tuned ({mark})" in told
    rows = metanas("leaderboard", "sinusoid", "--json").json
    assert max(row["parameters"] for row in rows) <= 2000
    told = metanas("show", "sinusoid", "--json").json
    assert told["objectives"] == ["score", "latency"]
    assert told["settings"]["limits"] == {"parameters": 2000}
    assert_right(told["front"], rows)
    best = min(rows, key=lambda row: row["valid"]["value"])
    assert told["results"][-1]["best"]["trial"] == best["trial"], "the best score within the limits"
    shown = metanas("show", "sinusoid").out
    assert "Limits: --max-params 2000" in shown
    assert all(f"{row['latency']:.3g} ms" in shown for row in told["front"])

    for other, said in (
        (("--objective", "score"), "--objective score,latency, now score"),
        (("--max-params", 3000), "--max-params 2000, now --max-params 3000"),
    ):
        wrong = metanas(*quick, *options, *other)
        assert (wrong.code, said in wrong.err) == (2, True), wrong.err

    assert metanas("report", "sinusoid").code == 0
    page = (tmp_path / "sinusoid.html").read_text()
    assert "What no other trial beats in all of score and latency" in page
    assert f"pooled network, fine-tuned ({mark})" in page
    assert all(f'<data value="{row["latency"]}">' in page for row in told["front"])


def assert_right(front: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    """Checks a front against all trials, one by one."""
    points = {row["trial"]: (row["valid"]["value"], row["adapt_ms"]) for row in rows}

    def beaten(point: tuple[float, float]) -> bool:
        return any(all(a <= b for a, b in zip(o, point, strict=True)) and o != point for o in points.values())

    assert {row["trial"] for row in front} == {n for n, point in points.items() if not beaten(point)}
    assert [row["score"] for row in front] == sorted(row["score"] for row in front)
    assert {row["trial"]: (row["score"], row["latency"]) for row in front}.items() <= points.items()
