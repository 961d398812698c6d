"""Replays with a policy and without: one that does not help is left out of the snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import optuna
import pytest

from controllers.learned import fitting, judging, replaying
from controllers.learned.categories import Categories
from controllers.learned.codes import Codes
from controllers.learned.fitting import Told
from controllers.learned.kernel import Data
from controllers.learned.policy import Policy, shapes
from controllers.learned.pool import Among
from controllers.learned.proposing import Proposals, Proposer
from controllers.learned.snapshot import Snapshot
from metanas.testing.controllers import objective, toy_space
from search_spaces import Candidate, Space
from search_spaces.errors import DataError
from tests.controllers.learned.test_learned import records

optuna.logging.set_verbosity(optuna.logging.WARNING)
STUDIES = {f"study {seed}": records(f"study {seed}", 28, seed) for seed in range(5)}


def leaning(better: bool) -> Policy:
    """One that proposes little but one kind of candidates, that of the best or of the worst."""
    home = Categories(Codes(toy_space()))
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes(home, 0, 1).items()}
    best = {"rule": "ridge", "width": 64, "rate": 0.01, "norm": "group", "rule.strength": 0.1}
    worst = {"rule": "gradient", "width": 256, "rate": 0.9, "norm": "none", "rule.steps": 10}
    row = home.codes.rows([Candidate(best if better else worst)])
    arrays["out_bias"] = 3 * home.of(row)[0].astype(np.float32)
    return Policy(arrays, {})


@pytest.fixture(scope="module")
def told() -> list[Told]:
    return fitting.told(toy_space(), STUDIES)


@pytest.fixture(scope="module")
def tables() -> list[replaying.Recorded]:
    found = [replaying.recorded(toy_space(), name, rows) for name, rows in STUDIES.items()]
    return [table for table in found if table is not None]


@pytest.mark.long
def test_a_planted_bad_policy_is_left_out_and_a_good_one_kept(
    tables: list[replaying.Recorded], told: list[Told]
) -> None:
    asked: list[set[str]] = []

    def teach(better: bool) -> judging.Teach:
        def taught(space: Space, studies: Sequence[Told]) -> Policy:
            asked.append({study.name for study in studies})
            return leaning(better)

        return taught

    def knowing_nothing(space: Space, studies: Sequence[Told]) -> Snapshot:
        snapshot = fitting.fit(space, studies)
        return replace(snapshot, prior=0 * snapshot.prior)

    others = {f"study {seed}": records(f"study {seed}", 28, seed) for seed in range(5, 14)}
    found = [replaying.recorded(toy_space(), name, rows) for name, rows in others.items()]
    more = [*tables, *(table for table in found if table is not None)]
    good = judging.judged(toy_space(), more, told, knowing_nothing, teach(True))
    assert asked[-1] == STUDIES.keys()
    assert [STUDIES.keys() - names for names in asked[:-1]] == [{name} for name in STUDIES]
    bad = judging.judged(toy_space(), more, told, knowing_nothing, teach(False))
    assert (good.snapshot.policy is not None, bad.snapshot.policy) == (True, None)
    assert good.policy.mean > bad.policy.mean
    assert bad.policy.high < 0 < good.gain.low
    assert good.policy.without == bad.policy.without, "the same snapshots"


def test_one_that_proposes_nothing_valid_is_left_out(
    tables: list[replaying.Recorded], told: list[Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Codes, "legal", lambda self, rows: np.zeros(len(rows), dtype=bool))
    assert not judging._proposes(toy_space(), replace(fitting.fit(toy_space(), told), policy=leaning(True)))


def test_part_of_what_is_left_is_compared_and_a_policy_says_which(tables: list[replaying.Recorded]) -> None:
    codes, rng = Codes(toy_space()), np.random.default_rng(0)
    rows = codes.rows([record.candidate for record in tables[0].records])
    pool = Among(codes, lambda x: Data(x, x, x, x), rows, 0.25)
    policy = Proposer(leaning(True), Categories(codes), codes, {}).after(rows[:0], np.zeros(0))

    def mean(policy: Proposals | None) -> float:
        found = [pool._some(rows, rng, policy) for _ in range(200)]
        assert {len({row.tobytes() for row in some}) for some in found} == {7}
        return float(np.mean([objective(codes.candidate(row)) for some in found for row in some]))

    assert mean(policy) < 0.8 * mean(None)


def useless(space: Space, studies: Sequence[Told]) -> Policy:
    """A policy that is left out, so that the rest of a snapshot is judged."""
    return leaning(False)


def flipped(space: Space, studies: Sequence[Told]) -> Snapshot:
    snapshot = fitting.fit(space, studies)
    return replace(snapshot, prior=-snapshot.prior)


def test_what_studies_have_in_common_is_a_gain_and_a_planted_bad_snapshot_is_none(
    tables: list[replaying.Recorded], told: list[Told]
) -> None:
    left = []

    def fit(space: Space, studies: Sequence[Told]) -> Snapshot:
        left.append({one.name for one in told} - {one.name for one in studies})
        return fitting.fit(space, studies)

    gain = judging.judged(toy_space(), tables, told, fit, useless).gain
    assert gain.is_clear
    assert gain.low < gain.mean < gain.high
    assert gain.by_study.keys() == STUDIES.keys()
    assert left == [*({name} for name in STUDIES), set()], "each without its own, the last of all"
    bad = judging.judged(toy_space(), tables, told, flipped, useless).gain
    assert bad.mean < 0
    assert not bad.is_clear
    assert bad.without == gain.without


def test_parts_of_one_search_are_left_out_together(
    tables: list[replaying.Recorded], told: list[Told]
) -> None:
    seen, taught = [], list[set[str]]()

    def fit(space: Space, studies: Sequence[Told]) -> Snapshot:
        seen.append(len(studies))
        return replace(fitting.fit(space, studies))

    def teach(space: Space, studies: Sequence[Told]) -> Policy:
        taught.append(STUDIES.keys() - {study.name for study in studies})
        return useless(space, studies)

    together = {"study 0": "whole", "study 1": "whole"}
    few = [replace(table, records=table.records[:16], ranks=table.ranks[:16]) for table in tables]
    with pytest.raises(DataError, match="there is 4"):  # five tables, of which two are of one search
        judging.judged(toy_space(), few, told, fit, useless, together)
    more = [*few, replace(few[0], study="another")]
    gain = judging.judged(toy_space(), more, told, fit, teach, together).gain
    assert taught == [{"study 0", "study 1"}, {"study 2"}, {"study 3"}, {"study 4"}, set(), set()]
    assert seen == [3, 3, 4, 4, 4, 5, 5]
    assert list(gain.by_study) == ["whole", *list(STUDIES)[2:], "another"], "one figure each"


def test_few_studies_judge_nothing(tables: list[replaying.Recorded], told: list[Told]) -> None:
    with pytest.raises(DataError, match="it takes 5 studies"):
        judging.judged(toy_space(), tables[:4], told, teach=useless)
