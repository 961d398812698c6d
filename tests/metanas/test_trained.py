"""Baselines that are trained: hand-set learners, pooled networks, features of a classifier."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metanas.classifier import AllClasses, Features, Labelled
from metanas.evaluator import Evaluator, Job, Outcome, Setting
from metanas.hand_set import hand_set
from metanas.legs import Leg
from metanas.tasks.families import images, sinusoid, table
from metanas.tasks.family import Family, Source
from metanas.testing.drawings import draw_classes
from metanas.testing.tables import labelled, rows, write
from metanas.trained import FineTuned, MetaLearner, Trained
from metanas.training import Checkpoint
from metanas.verdict import Rival
from search_spaces import Candidate, Score, Signature, catalogue
from search_spaces.errors import EvaluationError

CPU = torch.device("cpu")
PICTURES = ["MAML", "Prototypical networks", "features of a classifier"]


def evaluator_of(family: Family, ways: int | None = None, shots: int = 5, valid_tasks: int = 6) -> Evaluator:
    signature = family.signature(ways, shots)
    setting = Setting(signature.outputs, shots, 3)
    return Evaluator(family, signature, setting, CPU, execution="vmap", valid_tasks=valid_tasks)


@pytest.fixture(scope="module")
def curves() -> Evaluator:
    return evaluator_of(sinusoid.build(Source()))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    """Of 12 classes of 4 images: fewer than the papers' training tasks ask for."""
    folder = draw_classes(tmp_path_factory.mktemp("few") / "data", map(str, range(12)), images=4)
    return evaluator_of(images.build(Source(folder, image_size=16)), ways=2, shots=1)


def trained(evaluator: Evaluator, name: str) -> Trained:
    return next(one for one in hand_set(evaluator) if one.name == name)


def run(one: Trained, evaluator: Evaluator, steps: int = 5, tasks: int = 4) -> list[Rival]:
    return one.run(evaluator, evaluator.tasks(tasks, "test"), steps, lambda: math.inf, 0)


def test_all_train_and_are_scored_on_any_tasks(curves: Evaluator, pictures: Evaluator) -> None:
    assert [one.name for one in hand_set(curves)] == ["MAML", "pooled network, fine-tuned"]
    assert [one.name for one in hand_set(pictures)] == PICTURES
    for evaluator in (curves, pictures):
        test = evaluator.tasks(4, "test")
        for rival in (rival for one in hand_set(evaluator) for rival in run(one, evaluator)):
            assert rival.test.shape == (4,)
            assert np.isfinite(rival.test).all()
            assert math.isfinite(rival.valid)
            assert rival.on is not None
            np.testing.assert_allclose(rival.on(test), rival.test, rtol=1e-5)
            assert rival.costs is not None
            costs = rival.costs()
            assert (costs.adapt_ms or 0) > 0
            assert (costs.parameters or 0) > 1000, "all of these are networks"
            if rival.name == "MAML" and evaluator is curves:
                assert costs.parameters == 1 * 40 + 40 + 40 * 40 + 40 + 40 + 1


def test_settings_are_those_of_the_papers_where_there_is_room(curves: Evaluator) -> None:
    class Plenty:
        kind, augmentations = "classification", ("none", "rotations")
        limits, preprocessing = curves.family.limits, {}

    signature = Signature("classification", (1, 28, 28), 5, 1)
    evaluator: Any = type("Plenty", (), {"signature": signature, "family": Plenty(), "valid": {}})
    maml, prototypes = hand_set(evaluator)
    assert isinstance(maml, MetaLearner)
    assert isinstance(prototypes, MetaLearner)
    outer = catalogue.settings(prototypes.candidate, signature)
    assert (outer.ways, outer.queries, outer.augmentation) == (20, 5, "rotations")
    assert (maml.candidate["architecture.conv.width"], maml.candidate["rule.gradient.rate"]) == (32, 0.4)
    own = prototypes.candidate
    assert (own["architecture.conv.width"], own["architecture.conv.depth"]) == (64, 4)


def test_tasks_of_few_rows_are_trained_on_with_as_many_shots_as_they_have(tmp_path: Path) -> None:
    """Ten rows are 5 shots and 5 queries: not 10 shots, as MAML would like."""
    path = write(tmp_path / "t.csv", rows(machines=40, each=10))
    evaluator = evaluator_of(table.build(Source(path, task="machine", target="wear", shots=5)))
    for one in hand_set(evaluator):
        assert run(one, evaluator)[0].test.size


def test_what_cannot_be_scored_says_why(curves: Evaluator) -> None:
    maml = trained(curves, "MAML")
    assert isinstance(maml, MetaLearner)
    broken = replace(maml, candidate=Candidate(dict(maml.candidate) | {"rule": "unheard-of"}))
    with pytest.raises(EvaluationError, match=r"baseline MAML could not be scored \(error: no rule called"):
        run(broken, curves)
    with pytest.raises(EvaluationError, match="no time was left for it"):
        broken.run(curves, curves.valid, 5, lambda: 0.0, 0)


def test_fine_tuning_learns_what_is_a_tasks_own(tmp_path: Path) -> None:
    """Machines differ in level and slope: the pooled network knows neither, twenty of its steps both."""
    path = write(tmp_path / "t.csv", rows(machines=60, each=20))
    source = Source(path, task="machine", target="wear", shots=5, features=("load",))
    evaluator = evaluator_of(table.build(source), valid_tasks=50)
    one = trained(evaluator, "pooled network, fine-tuned")
    assert isinstance(one, FineTuned)
    (tuned,) = run(one, evaluator, steps=200, tasks=60)
    (plain,) = run(_without(one), evaluator, steps=200, tasks=60)
    assert tuned.test.mean() < 0.8 * plain.test.mean()


def _without(one: FineTuned) -> Trained:
    """The same network as it is."""
    return MetaLearner(one.name, one.settings[0])


def test_classes_that_mean_the_same_in_each_task_are_fine_tuned_to(tmp_path: Path) -> None:
    source = Source(labelled(tmp_path / "t.csv", 40), task="machine", target="state", shots=3)
    evaluator = evaluator_of(table.build(source), shots=3)
    (rival,) = run(trained(evaluator, "pooled network, fine-tuned"), evaluator)
    assert ((rival.test >= 0) & (rival.test <= 1)).all()


class TestClassifier:
    def test_every_image_comes_with_its_class(self, pictures: Evaluator) -> None:
        family = pictures.family
        assert isinstance(family, Labelled)
        many = family.training_classes("none")
        assert family.training_classes("rotations") == 4 * many
        generator = torch.Generator().manual_seed(0)
        x, label = family.labelled(400, generator)
        assert set(label.tolist()) == set(range(many))
        same = [x[label == k].flatten(1) for k in range(many)]
        assert all(len(group.unique(dim=0)) == 4 for group in same), "four images a class"
        whole = torch.cat([group.unique(dim=0) for group in same])
        assert len(whole.unique(dim=0)) == 4 * many, "no image is of two classes"

    def test_turned_images_are_classes_of_their_own(self, pictures: Evaluator) -> None:
        family = pictures.family
        assert isinstance(family, Labelled)
        x, label = family.labelled(600, torch.Generator().manual_seed(0), "rotations")
        many = family.training_classes("none")
        upright, turned = ({tuple(i.flatten().tolist()) for i in x[label // many == t]} for t in (0, 1))
        assert upright
        assert turned == {tuple(torch.tensor(i).view(16, 16).rot90().flatten().tolist()) for i in upright}

    def test_batches_are_queries_without_support(self, pictures: Evaluator) -> None:
        family = pictures.family
        assert isinstance(family, Labelled)
        drawn = AllClasses(family).sample(
            3, "train", torch.Generator().manual_seed(0), shots=0, ways=1, queries=7
        )
        assert drawn["query_x"].shape == (3, 7, 1, 16, 16)
        assert drawn["query_y"].sum(-1).eq(1).all()
        assert drawn["support_x"].shape[1] == 0

    def test_its_features_tell_new_classes_apart(self, tmp_path: Path) -> None:
        """Far better than chance on classes that it never saw, within so many steps."""
        folder = draw_classes(tmp_path / "data", map(str, range(40)), images=12)
        evaluator = evaluator_of(images.build(Source(folder, image_size=8)), ways=5, shots=1, valid_tasks=20)
        one = trained(evaluator, "features of a classifier")
        assert isinstance(one, Features)
        centroid, logistic = run(one, evaluator, steps=40, tasks=60)
        assert centroid.name == "nearest centroid on features of a classifier"
        assert logistic.name == "logistic regression on features of a classifier"
        assert min(centroid.test.mean(), logistic.test.mean()) > 0.6, "chance is 0.2"


@pytest.mark.long
def test_test_tasks_choose_nothing(curves: Evaluator, pictures: Evaluator) -> None:
    """Whatever they are: the same learner with the same settings, and its score on the validation tasks."""
    for evaluator in (curves, pictures):
        test = evaluator.tasks(4, "test")
        other = {**test, "query_y": test["query_y"].flip(-1, 1) + 5, "query_x": 0 * test["query_x"]}
        for one in hand_set(evaluator):
            for here, there in zip(
                *(one.run(evaluator, e, 5, lambda: math.inf, 0) for e in (test, other)), strict=True
            ):
                assert here.valid == there.valid
                assert here.on is not None
                assert here.valid == pytest.approx(float(here.on(evaluator.valid).mean()), rel=1e-5)


def test_the_leg_that_is_best_in_validation_is_kept(
    curves: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    maml = trained(curves, "MAML")
    assert isinstance(maml, MetaLearner)
    start = Checkpoint.start(curves.engine(maml.candidate).program, 0, CPU)
    outcomes = [
        Outcome(Job(maml.candidate, 0), "scored", checkpoint=replace(start, average=start.average + value),
                score=Score("mse", value, 0.1, 6, "valid"))
        for value in (0.5, 0.2, 0.9)
    ]  # fmt: skip
    monkeypatch.setattr("metanas.trained.in_legs", lambda *_: [Leg(1, 3, o) for o in outcomes])
    (rival,) = run(maml, curves)
    assert rival.valid == 0.2
    best = outcomes[1].checkpoint
    assert best is not None
    there = curves.task_scores(maml.candidate, best, curves.tasks(4, "test"))
    np.testing.assert_array_equal(rival.test, there)
