"""The tasks that a table makes: how they are divided, drawn and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from metanas.tasks.families.table import FEW
from metanas.tasks.family import FEWEST_TASKS
from metanas.tasks.table_tasks import SPLITS
from metanas.testing.tables import labelled, rows, write
from tests.metanas.tabled import built, draw


def test_only_training_tasks_set_the_scale(tmp_path: Path) -> None:
    lines = rows()
    family = built(write(tmp_path / "t.csv", lines))
    train = [line for line in lines if line[2] in family.members["train"]]
    target = np.array([float(line[6]) for line in train])
    assert family.preprocessing["target"]["mean"] == pytest.approx(target.mean())
    assert family.preprocessing["target"]["std"] == pytest.approx(target.std())
    # what test tasks hold changes nothing
    for line in lines:
        if line[2] in family.members["test"]:
            line[6] = "1000"
    again = built(write(tmp_path / "u.csv", lines))
    assert again.preprocessing == family.preprocessing


def test_targets_and_features_belong_together(tmp_path: Path) -> None:
    """Every row of an episode is a row of one task of the split, load and wear side by side."""
    lines = rows()
    family = built(write(tmp_path / "t.csv", lines), features=("load",))
    load, target = family.preprocessing["features"][0], family.preprocessing["target"]
    where = {(round(float(line[3]), 3), round(float(line[6]), 3)): line[2] for line in lines}
    for split in SPLITS:
        episodes = draw(family, split)
        x = torch.cat([episodes["support_x"], episodes["query_x"]], 1)[..., 0] * load["std"] + load["mean"]
        y = (
            torch.cat([episodes["support_y"], episodes["query_y"]], 1)[..., 0] * target["std"]
            + target["mean"]
        )
        for task in range(len(x)):
            pairs = zip(x[task].tolist(), y[task].tolist(), strict=True)
            owners = [where[round(a, 3), round(b, 3)] for a, b in pairs]
            assert len(set(owners)) == 1
            assert owners[0] in family.members[split]


def test_no_row_is_support_and_query(tmp_path: Path) -> None:
    family = built(write(tmp_path / "t.csv", rows(each=9)), features=("load",))
    episodes = draw(family, tasks=40)
    x = torch.cat([episodes["support_x"], episodes["query_x"]], 1)[..., 0]
    assert all(len(set(task.tolist())) == 9 for task in x)


def test_small_tasks_are_masked_and_smaller_ones_left_out(tmp_path: Path) -> None:
    lines = rows(each=12)
    few = [line for line in lines if line[2] != "m00"]
    few += [line for line in lines if line[2] == "m00"][:6]  # 5 shots + 2 queries need 7
    few = [
        line for line in few if line[2] != "m01" or line[0] % 12 < 9
    ]  # 9 rows: masked where more are asked for
    family = built(write(tmp_path / "t.csv", few))
    assert "left out 1 of 24 tasks: fewer than 5 shots + 2 queries" in family.notes
    assert all("m00" not in names for names in family.members.values())
    split = next(split for split in SPLITS if "m01" in family.members[split])
    episodes = draw(family, split, tasks=64, queries=7)
    counts = set(episodes["query_mask"].sum(1).tolist())
    assert counts == {3, 7} or counts == {4, 7}
    assert "support_mask" not in episodes


def test_pairs_of_shots_leave_queries(tmp_path: Path) -> None:
    family = built(write(tmp_path / "t.csv", rows(each=9)))
    episodes = draw(family, shots=(2, 12), queries=5, tasks=64)
    shots, queries = episodes["support_mask"].sum(1), episodes["query_mask"].sum(1)
    assert set(shots.tolist()) <= set(range(2, 8)), "two rows are kept for queries"
    assert (queries >= 2).all()
    assert (shots + queries <= 9).all()


def test_valid_and_test_take_every_task_equally_often(tmp_path: Path) -> None:
    family = built(write(tmp_path / "t.csv", rows(machines=40)))
    have = len(family.members["test"])
    counts = draw(family, "test", tasks=3 * have)["cluster"].bincount()
    assert counts.tolist() == [3] * have


def test_groups_stay_whole(tmp_path: Path) -> None:
    family = built(write(tmp_path / "t.csv", rows(machines=40, sites=10)), group="site")
    sites = {split: {name.partition("/")[0] for name in family.members[split]} for split in SPLITS}
    assert not sites["train"] & sites["test"]
    assert not sites["train"] & sites["valid"]
    clusters = draw(family, "test", tasks=64)["cluster"]
    assert len(clusters.unique()) == len(sites["test"]), "an interval is taken over groups"
    assert family.independent == "groups"
    assert built(write(tmp_path / "u.csv", rows(machines=40, sites=10))).independent == "tasks"


def test_few_groups_are_each_a_test_one_once_however_many_tasks_they_have(tmp_path: Path) -> None:
    """One split of them would test too few for any verdict."""
    family = built(write(tmp_path / "t.csv", rows(machines=60, sites=10)), group="site")
    folds = [family, *family.folds]
    tested = [{name.partition("/")[0] for name in fold.members["test"]} for fold in folds]
    assert sorted(site for sites in tested for site in sites) == [f"site {i}" for i in range(10)]
    assert "10 groups are few: each is a test one once, in 5 searches" in family.notes


def test_of_fewer_groups_than_a_verdict_needs_there_is_one_split(tmp_path: Path) -> None:
    """All of them would be too few, and the search would be done five times for it."""
    family = built(write(tmp_path / "t.csv", rows(machines=60, sites=FEWEST_TASKS - 1)), group="site")
    assert not family.folds


def test_the_learner_that_is_handed_back_learns_from_the_largest_group(tmp_path: Path) -> None:
    lines = rows(machines=60, sites=12)
    for large in (f"site {i}" for i in range(12)):
        own = [[*line] for line in lines]
        for line in own:
            if int(line[2][1:]) >= 36:
                line[1] = large
        family = built(write(tmp_path / "t.csv", own), group="site")
        assert family.folds
        assert any(name.startswith(f"{large}/") for name in family.members["train"])


def test_a_split_leaves_as_many_for_the_test_as_a_verdict_needs(tmp_path: Path) -> None:
    whole = built(write(tmp_path / "t.csv", rows(machines=FEW)))
    assert not whole.folds
    assert len(whole.members["test"]) >= FEWEST_TASKS
    assert len(built(write(tmp_path / "few.csv", rows(machines=FEW - 1))).folds) == 4


def test_the_first_few_test_tasks_are_of_all_groups(tmp_path: Path) -> None:
    """Of many tasks a verdict sees a part, which should not be what comes first in the alphabet."""
    family = built(write(tmp_path / "t.csv", rows(machines=240, sites=60)), group="site")
    have = len({name.partition("/")[0] for name in family.members["test"]})
    assert len(draw(family, "test", tasks=have)["cluster"].unique()) == have
    alone = built(write(tmp_path / "u.csv", rows(machines=200)))
    assert list(alone.members["test"]) != sorted(alone.members["test"])


def test_groups_of_a_list_are_what_an_interval_is_taken_over(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", rows(machines=40, sites=2))
    listed = [f"m{i:02},{'train' if i < 20 else 'valid' if i < 30 else 'test'}" for i in range(40)]
    names = [f"site {i % 2}/{line}" for i, line in enumerate(listed)]
    (tmp_path / "splits.csv").write_text("\n".join(["class,split", *names]))
    family = built(path, group="site", splits=tmp_path / "splits.csv")
    assert len(draw(family, "test", tasks=64)["cluster"].unique()) == 2


def test_tasks_of_several_groups_are_several(tmp_path: Path) -> None:
    lines = rows(machines=40, sites=10)
    for line in lines:
        line[2] = f"m{int(line[2][1:]) // 10}"
    family = built(write(tmp_path / "t.csv", lines), group="site")
    assert family.tasks == 40
    assert "4 values of machine are in several values of site: each pair is a task of its own" in family.notes


def test_folds_test_every_task_once(tmp_path: Path) -> None:
    family = built(write(tmp_path / "t.csv", rows()))
    folds = [family, *family.folds]
    assert len(folds) == 5
    tested = [name for fold in folds for name in fold.members["test"]]
    assert sorted(tested) == sorted(name for names in family.members.values() for name in names)
    for fold in folds:
        assert not set(fold.members["test"]) & set(fold.members["train"])
        assert fold.members["valid"]


def test_classes(tmp_path: Path) -> None:
    family = built(labelled(tmp_path / "t.csv"), target="state", shots=2)
    assert family.kind == "classification"
    assert family.signature(None, 2).outputs == 2
    episodes = draw(family, shots=2, ways=2, queries=3, tasks=32)
    assert (episodes["support_y"].sum(1) == 2).all(), "two shots of each class"
    assert family.preprocessing["target"]["classes"] == ["fine", "worn"]
    assert family.limits.ways == {"train": 2, "valid": 2, "test": 2}, (
        "no training on more classes than there are"
    )


def test_tasks_with_too_few_classes_are_counted(tmp_path: Path) -> None:
    """Most machines never broke: of three classes they have two."""
    lines = []
    for machine in range(60):
        for row in range(15):
            state = ("fine", "worn", "broken")[row % (3 if machine % 4 == 0 else 2)]
            lines.append([f"m{machine:02}", row + 0.5 * machine, state])
    family = built(write(tmp_path / "t.csv", lines, ["machine", "load", "state"]), target="state", shots=1)
    said = (
        "left out 45 of 60 tasks: fewer than 3 classes of 1 shots + 2 queries (--ways 2 takes more of them)"
    )
    assert family.told(3, 1)[-1] == said
    assert family.told(2, 1) == family.notes


def test_rows_without_a_task_are_told(tmp_path: Path) -> None:
    lines = rows(machines=40)
    lines[0][2] = "NA"
    assert "left out 1 rows without machine" in built(write(tmp_path / "t.csv", lines)).notes


def test_ones_and_zeros_with_a_point_are_classes(tmp_path: Path) -> None:
    """As pandas writes them where a cell was empty."""
    lines = rows(machines=40)
    for number, line in enumerate(lines):
        line[6] = ("0.0", "1.0")[number % 2]
    assert built(write(tmp_path / "t.csv", lines), shots=1).kind == "classification"


def test_classes_stand_in_their_order_and_small_ones_are_never_drawn(tmp_path: Path) -> None:
    """A learner with a row of its head for each class knows them by their places."""
    lines = [
        [f"m{machine:02}", code + 0.001 * row, state]
        for machine in range(60)
        for code, (state, rows) in enumerate((("a", 9), ("b", 9), ("few", 4), ("z", 9)))
        for row in range(rows)
    ]
    path = write(tmp_path / "t.csv", lines, ["machine", "load", "state"])
    family = built(path, target="state", shots=3)
    known = family.preprocessing["features"][0]
    for split in SPLITS:
        episodes = draw(family, split, shots=3, ways=3, queries=2)
        assert "support_mask" not in episodes
        for part in ("support", "query"):
            code = (episodes[f"{part}_x"][..., 0] * known["std"] + known["mean"] + 0.01).int()
            place = torch.tensor([0, 1, -1, 2])[code]
            assert torch.equal(episodes[f"{part}_y"].argmax(-1), place)
