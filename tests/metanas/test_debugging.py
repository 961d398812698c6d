"""What is the matter with a meta-gradient: the diagnosis, its picture, and the command."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from metanas.cli import debug
from metanas.debugging import Diagnosis, diagnose, until_broken
from metanas.engine import Engine, Program
from metanas.engine.program import at
from metanas.report.gradients import figure, png
from metanas.tasks import own
from metanas.tasks.families import table
from metanas.tasks.family import Source
from metanas.tasks.table_tasks import Tables
from metanas.testing.learners import REGRESSION, candidate, forged, written
from metanas.testing.rules import several
from metanas.testing.tables import COLUMNS, rows, write
from metanas.training import Checkpoint, scheduled, train
from search_spaces import Candidate, Signature
from search_spaces.architectures import mlp
from search_spaces.errors import DataError
from search_spaces.outer import Outer
from search_spaces.rules import chain, ridge
from search_spaces.rules.descent import Descent
from search_spaces.rules.interface import Rule
from search_spaces.task import Episodes, Tensors

Run = Callable[..., Any]
CURVES = Signature("regression", (2,), 1, 4)
OUTER = Outer(1e-3, "constant", 0.0, 4, 1, 4, 4, "none")


def composed(**changes: Any) -> Descent:
    network = mlp.build({"depth": 1, "width_1": 5, "activation": "tanh", "norm": "none"}, CURVES)
    usual = {"steps": 2, "order": "second", "loss": "last", "scope": "all", "step_size": "fixed", "rate": 0.1}
    rule = chain.build({**usual, **changes}, network, CURVES)
    assert isinstance(rule, Descent)
    return rule


def diagnosis(rule: Rule) -> Diagnosis:
    meta, buffers, episodes, keys = several(rule, 1, 3)
    single = {name: value.float() if value.is_floating_point() else value for name, value in episodes.items()}  # type: ignore[attr-defined]
    return diagnose(Program.of(rule), meta[0].float(), buffers[0].float(), at(single, 0), keys[0])  # type: ignore[arg-type]


def test_a_sound_rule_has_nothing_the_matter() -> None:
    found = diagnosis(composed())
    assert all(fine for fine, _ in found.findings())
    assert found.difference is not None
    assert found.difference < 1e-6
    assert found.used == found.difference
    assert list(found.orders) == ["network.layer0", "head"]
    assert all(0.3 < cosine < 0.9999 for cosine, _ in found.orders.values())
    assert found.leak < 1e-5


def test_first_order_is_the_part_that_it_leaves_out() -> None:
    found = diagnosis(composed(order="first"))
    assert found.difference is not None
    assert found.used is not None
    assert found.difference < 1e-6
    assert found.used > 0.01
    assert any("leaves out a part" in what for _, what in found.findings())


def test_reptile_has_no_slopes_to_compare() -> None:
    found = diagnosis(composed(loss="distance", order="first"))
    assert (found.difference, found.used, found.coupling, found.orders) == (None, None, None, {})
    assert len(found.gradients) == 2


def test_a_rule_that_looks_at_other_queries_is_caught() -> None:
    class Peeking(Descent):
        def predict(self, meta: Tensors, buffers: Tensors, adapted: Tensors, x: Tensor) -> Tensor:
            found = super().predict(meta, buffers, adapted, x)
            return found - 0.5 * found.mean(0)

    rule = composed()
    found = diagnosis(Peeking(**{name: getattr(rule, name) for name in rule.__dataclass_fields__}))
    wrong = [what for fine, what in found.findings() if not fine]
    assert found.leak > 0.01
    assert found.coupling is not None
    assert found.coupling > 0.01
    assert len(wrong) == 1
    assert wrong[0].endswith("transductive")


class Breaking:
    """Tasks of which those of meta-step 29 have a target that is not finite."""

    def sample(self, n_tasks: int, split: str, generator: torch.Generator, **others: Any) -> Episodes:
        x, y = (torch.randn(n_tasks, 4, columns, generator=generator) for columns in (2, 1))
        y = y.clone()
        y[29 * OUTER.tasks] = torch.nan
        return {"support_x": x, "support_y": y, "query_x": x, "query_y": torch.zeros_like(y)}


def test_meta_training_stops_before_the_step_that_breaks_it() -> None:
    program = Program.of(composed())
    engine = Engine(program, torch.device("cpu"), "vmap")
    start = Checkpoint.start(program, 0, engine.device)
    family: Any = Breaking()
    now, broken = until_broken(engine, family, OUTER, start, 60)
    assert (now.step, broken) == (29, True)
    now, broken = until_broken(engine, family, OUTER, start, 20)
    assert (now.step, broken) == (20, False)


def test_a_trial_is_retraced_with_the_schedules_of_its_search() -> None:
    """Which go to its last rung, however few meta-steps are looked at."""
    program, outer = Program.of(composed()), replace(OUTER, schedule="cosine")
    engine = Engine(program, torch.device("cpu"), "vmap")
    start = Checkpoint.start(program, 0, engine.device)
    family: Any = Breaking()
    then = train(engine, family, [outer], [start], 20, scheduled(200)).checkpoints[0]
    now, _ = until_broken(engine, family, outer, start, 20, horizon=200)
    assert torch.equal(now.meta, then.meta)
    other, _ = until_broken(engine, family, outer, start, 20)
    assert not torch.equal(other.meta, then.meta)


def test_the_picture_shows_norms_and_marks_what_is_not_finite() -> None:
    found = diagnosis(composed(steps=3))
    drawn = figure("trial 3", "a rule", found)
    assert [panel.get_label() for panel in drawn.axes] == ["gradients", "meta_gradients", "orders", "losses"]
    cells = [text.get_text() for text in drawn.axes[0].texts]
    assert len(cells) == 3 * 2
    assert float(cells[0]) == pytest.approx(found.gradients[0][0], rel=0.06)
    broken = replace(found, gradients=[[float("nan")] * 2, *found.gradients[1:]], began="task 0: something")
    assert [text.get_text() for text in figure("x", "y", broken).axes[0].texts].count("NaN") == 2
    with Image.open(io.BytesIO(png("trial 3", "a rule", broken))) as image:
        assert image.size == (1500, 900)


def test_the_picture_of_a_rule_without_inner_steps() -> None:
    network = mlp.build({"depth": 1, "width_1": 5, "activation": "tanh", "norm": "none"}, CURVES)
    drawn = figure("x", "y", diagnosis(ridge.build({"strength": 0.1}, network, CURVES)))
    assert [text.get_text() for text in drawn.axes[0].texts] == ["no inner steps"]
    assert len(drawn.axes[1].texts) == 2


# The command.


@pytest.fixture
def folder(tmp_path: Path, searched: Any) -> Path:
    """A copy of what a search left."""
    for path in searched.folder.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


def test_a_trial_is_looked_at_at_its_weights(metanas: Run, folder: Path) -> None:
    ran = metanas("debug", "sinusoid", "0", "--tasks", "2", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["looked_at"] == f"At its weights of meta-step {ran.json['meta_step']}"
    assert ran.json["began"] is None
    assert len(ran.json["meta_gradients"]) == 1
    assert len(ran.json["meta_gradients"][0]) == len(ran.json["layers"])
    assert all(finding["fine"] for finding in ran.json["findings"])
    with Image.open(folder / ran.json["picture"]) as image:
        assert image.size == (1500, 900)
    shown = metanas("debug", "sinusoid", "0", "--tasks", "2").out
    assert "\nok  all numbers are finite\n" in shown
    assert shown.endswith("\nSaved sinusoid 0-debug.png\n")


@pytest.mark.parametrize(
    ("step", "horizon", "parent", "part"),
    [(10, 90, None, 1 / 9), (90, 90, None, 1.0), (5, 90, 3, 1.0), (0, None, None, 1.0)],
)
def test_a_trial_is_looked_at_as_far_as_it_got(
    step: int, horizon: int | None, parent: int | None, part: float
) -> None:
    """A rule may be of first order in its first third; one that went on from another was annealed."""
    weights = torch.zeros(1), torch.zeros(0)
    looked = debug._Looked(
        "s 0", Candidate({}), Signature("regression", (1,), 1, 5), {}, 0, step, weights, horizon, parent
    )
    assert debug._progress(looked, None, 0) == pytest.approx(part)


def test_a_trial_is_meta_trained_anew(metanas: Run, folder: Path) -> None:
    ran = metanas("debug", "sinusoid", "0", "--meta-steps", "3", "--tasks", "2", "--json")
    assert ran.json["looked_at"] == "Meta-trained anew for 3 meta-steps, all of them finite"
    assert ran.json["meta_step"] == 3
    later = metanas("debug", "sinusoid", "4", "--meta-steps", "3")
    assert (later.code, later.err.count("\n")) == (2, 1)
    assert "sinusoid 4 went on from the weights of trial" in later.err


def test_a_learner_file_is_looked_at_too(metanas: Run, folder: Path) -> None:
    ran = metanas("debug", "sinusoid.metanas", "-o", "it.png", "--tasks", "2", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert (ran.json["looked_at"], ran.json["meta_step"]) == ("At its weights", None)
    assert (folder / "it.png").is_file()


def test_what_is_missing_is_said_in_one_line(metanas: Run, folder: Path) -> None:
    for words, why in (
        (("sinusoid", "99"), "99"),
        (("nothing",), "no study"),
        (("other.metanas",), "learner file other.metanas"),
        (("sinusoid.metanas", "7"), "is a learner file, which has no trial 7"),
    ):
        ran = metanas("debug", *words)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert why in ran.err


def test_data_that_families_read_have_to_be_named() -> None:
    with pytest.raises(DataError, match="--data PATH"):
        debug._family({"name": "images", "size": 28}, CURVES, Source())
    with pytest.raises(DataError, match="--data FILE --task COLUMN"):
        debug._family({"name": "table", "target": "y", "features": ["x"]}, CURVES, Source(Path("t.csv")))
    with pytest.raises(DataError, match="a mix of families"):
        debug._family({"name": "a + b", "mixed": []}, CURVES, Source())


@pytest.mark.parametrize("facts", [{"own": "strangers_code:Family"}, {"name": "strangers_code:Family"}])
def test_code_that_a_file_names_does_not_run(
    facts: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A learner file may be anyone's: it must not choose what is imported, or what is called on the data."""
    (tmp_path / "strangers_code.py").write_text("open('it_ran', 'w').close()")
    monkeypatch.chdir(tmp_path)
    for named in (None, "mine:Family"):
        with pytest.raises(DataError, match="strangers_code:Family"):
            debug._family(facts, CURVES, Source(tmp_path), named)
    assert not (tmp_path / "it_ran").exists()


def test_a_family_of_ones_own_is_named() -> None:
    facts = own.load("tests.metanas.own:Lines", Source()).facts()
    found = debug._family(facts, CURVES, Source(), "tests.metanas.own:Lines")
    assert found.facts() == facts
    with pytest.raises(DataError, match=r"not on tests\.metanas\.own:Spots"):
        debug._family(facts, CURVES, Source(), "tests.metanas.own:Spots")


@pytest.mark.parametrize(
    "family",
    [None, "table", [], {}, {"name": 3}, {"name": "images", "size": "9"}, {"name": "table", "target": "y"}],
)
def test_a_file_that_does_not_say_what_it_was_trained_on(metanas: Run, tmp_path: Path, family: Any) -> None:
    good = written(tmp_path, candidate("mlp", "gradient"), REGRESSION)

    def change(values: dict[str, Any]) -> None:
        values["provenance"] = {"family": family, "seed": "abc"}

    ran = metanas("debug", str(forged(good, tmp_path / "forged.metanas", change)))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "does not say what it was trained on" in ran.err


def test_a_table_is_divided_and_understood_as_it_was_for_the_search(tmp_path: Path) -> None:
    """Numbers that were taken for classes; groups that were kept whole; the fold that was searched."""
    lines, wear = rows(machines=60, sites=10), COLUMNS.index("wear")
    for number, line in enumerate(lines):
        line[wear] = number % 2
    path = write(tmp_path / "t.csv", lines)
    asked = Source(path, task="machine", target="wear", group="site", shots=2, kind="regression")
    searched = table.build(asked)
    assert isinstance(searched, Tables)
    signature = searched.signature(None, 2)
    named = Source(path, task="machine", group="site")
    for fold in (searched, *searched.folds):
        again = debug._family(fold.facts(), signature, named)
        assert (again.facts(), again.kind) == (fold.facts(), "regression")
    with pytest.raises(DataError, match="divided in another way: name data, --group"):
        debug._family(searched.facts(), signature, Source(path, task="machine"))
