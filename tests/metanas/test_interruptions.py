"""A search that is killed or interrupted loses no trial that had ended, and goes on."""

from __future__ import annotations

import importlib.util
import json
import random
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import optuna
import pytest

from metanas.cli import search as command
from metanas.cli.options import STORE, store_words
from metanas.evaluator import Evaluator
from metanas.search import Searching
from search_spaces.errors import LearnerFileError, StoreError
from storage import Store

Run = Callable[..., Any]
KILL = Path(__file__).resolve().parents[2] / "benchmarks/kill.py"


@pytest.fixture(scope="module")
def kill() -> Iterator[ModuleType]:
    """The benchmark that kills searches."""
    spec = importlib.util.spec_from_file_location("kill_benchmark", KILL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        yield module


@pytest.mark.long
def test_a_search_killed_and_interrupted_goes_on_with_every_trial_once(
    kill: ModuleType, metanas: Run, quick: Sequence[object], tmp_path: Path
) -> None:
    options = ("--space", "closed-form", "--execution", "vmap")
    study, chance = kill.Study(tmp_path, options), random.Random(342)  # that waits for few trials
    killed = kill.strike(study, signal.SIGKILL, chance)
    assert (killed["exit"], killed["lost"], killed["changed"]) == (-9, 0, 0)
    assert killed["told"] > 0
    interrupted = kill.strike(study, signal.SIGINT, chance)
    assert (interrupted["exit"], interrupted["running"]) == (130, 0)
    ended = metanas(*kill.SEARCH, *options, "--trials", 1)
    assert (ended.code, ended.err) == (0, "")
    study.hear(ended.out)
    assert study.check(ended=True) == {"kept": len(study.told), "lost": 0, "changed": 0, "running": 0}
    assert [problem for problem in study.problems if "s to end" not in problem] == []
    with Store.open(f"{tmp_path}/metanas.db") as store:
        untold = [record.reason for record in store.records("kill") if record.number not in study.told]
    # what the killed run was at, and the one trial that it had kept and not yet told
    assert sum(reason != "interrupted" for reason in untold) <= 1, untold


@pytest.mark.long
def test_ctrl_c_where_it_ends_what_the_search_is_piped_to_as_well(kill: ModuleType, tmp_path: Path) -> None:
    """``metanas search … 2>&1 | tee log``: every running trial is kept, and the exit is that of Ctrl-C."""
    with subprocess.Popen(
        [str(kill.METANAS), *kill.SEARCH, "--space", "closed-form", "--trials", "40"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as search:
        assert search.stdout is not None
        assert any(line.startswith(b'{"event": "trial"') for line in search.stdout)
        search.send_signal(signal.SIGSTOP)
        search.send_signal(signal.SIGINT)
        search.stdout.close()
        search.send_signal(signal.SIGCONT)
        assert search.wait(60) == 130
    with Store.open(f"{tmp_path}/metanas.db", create=False) as store:
        records = store.records("kill")
    assert [record.number for record in records if record.state == "running"] == []
    assert "interrupted" in {record.reason for record in records}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_five_kills_at_random_moments_lose_nothing() -> None:
    done = subprocess.run([sys.executable, str(KILL), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert [row["signal"] for row in found["rows"]].count("SIGKILL") == 5
    assert found["problems"] == []


def test_the_verdict_is_kept_where_the_learner_cannot_be(
    metanas: Run, quick: Sequence[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise LearnerFileError("it cannot be written: choose another place")

    monkeypatch.setattr("metanas.cli.search.save_learner", full)
    ran = metanas(*quick, "--json")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    (result,) = metanas("show", "sinusoid", "--json").json["results"]
    assert result["verdict"]["sentence"]


def test_a_verdict_that_cannot_be_kept_is_told(
    metanas: Run, quick: Sequence[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full at the end of a day's search must not have it looked at the test tasks again."""

    def full(*_: object) -> None:
        raise StoreError("the disk is full; make room and run the command again")

    monkeypatch.setattr("metanas.cli.search.save_learner", full)
    monkeypatch.setattr(Store, "save_result", full)
    ran = metanas(*quick, "--json")
    told, last = ran.err.splitlines()
    assert ran.code == 2
    assert told.startswith("a verdict that cannot be kept: ")
    assert "mean squared error" in told
    assert "the disk is full" in last


def test_ctrl_c_while_the_learner_is_written_ends_a_reader_that_has_gone(
    metanas: Run, quick: Sequence[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``metanas search … 2>&1 | tee log``: the verdict cannot be told, and the exit is that of Ctrl-C."""

    def press(*_: object) -> None:
        def gone(*_: object, **__: object) -> None:
            raise BrokenPipeError

        monkeypatch.setattr("metanas.cli.search.click.echo", gone)
        monkeypatch.setattr("metanas.cli.search._silence", lambda: None)
        raise KeyboardInterrupt

    monkeypatch.setattr("metanas.cli.search.save_picture", press)
    assert metanas(*quick, "--json").code == 130


class TestAtAGivenMoment:
    """In this process: the signal comes when the third trial is trained, or wherever a test says."""

    @pytest.fixture(params=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
    def number(self, request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may be run with nohup
        yield signal.Signals(request.param)
        signal.signal(signal.SIGHUP, before)

    def test_what_ran_is_kept_and_the_way_on_is_said(
        self,
        metanas: Run,
        tmp_path: Path,
        quick: Sequence[object],
        number: signal.Signals,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        train, calls = Evaluator._train_and_score, []

        def press(self: Evaluator, *arguments: Any) -> Any:
            calls.append(arguments)
            if len(calls) == 3:
                signal.raise_signal(number)
            return train(self, *arguments)

        monkeypatch.setattr(Evaluator, "_train_and_score", press)
        ran = metanas(*quick, "--trials", 4, "--study", "my study", "--controller", "random", "--json")
        assert ran.code == 130
        again = "metanas search sinusoid --trials 2 --rung 3 --space closed-form --execution vmap"
        assert ran.err == (
            "stopped; 2 scored trials of study my study are kept. To go on: "
            f"{again} --trials 4 --study 'my study' --controller random --json\n"
        )
        ended = {line["trial"]: (line["state"], line["reason"]) for line in ran.lines if "trial" in line}
        assert ended == {n: ("pruned" if n < 2 else "failed", "interrupted") for n in range(4)}
        trials = optuna.load_study(study_name="my study", storage=f"sqlite:///{tmp_path}/metanas.db").trials
        assert ["interrupted" in trial.user_attrs for trial in trials] == [False, False, True, True]
        (study,) = metanas("study", "list", "--json").json
        assert {state: study[state] for state in ("complete", "pruned", "failed", "running")} == {
            "complete": 0,
            "pruned": 2,
            "failed": 2,
            "running": 0,
        }
        assert metanas("export", "my study").code == 0  # what was scored has weights

    def test_while_the_winner_goes_on(
        self, metanas: Run, quick: Sequence[object], number: signal.Signals, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def press(self: Searching[Any], *_: Any) -> None:
            if len(self.running) == 1 and self.running[0].record.parent is not None:
                signal.raise_signal(number)

        advance = Searching.advance
        monkeypatch.setattr(Searching, "advance", lambda *a: (advance(*a), press(*a))[0])
        ran = metanas(*quick, "--json")
        assert ran.code == 130
        assert ran.err.startswith("stopped; 3 scored trials of study sinusoid are kept. To go on: metanas")
        child = ran.lines[-1]
        assert (child["state"], child["reason"]) == ("pruned", "interrupted")
        assert child["parent"] is not None

    def test_while_the_learner_is_written(
        self, metanas: Run, quick: Sequence[object], number: signal.Signals, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("metanas.cli.search.save_picture", lambda *_: signal.raise_signal(number))
        ran = metanas(*quick, "--json")
        verdict, stopped = ran.err.splitlines()
        assert (ran.code, "To go on: metanas search sinusoid" in stopped) == (130, True)
        (result,) = metanas("show", "sinusoid", "--json").json["results"]  # the verdict was known
        assert verdict == f"a verdict that is kept: {result['verdict']['sentence']}"
        assert result["looks"] == 1

    def test_before_the_study_is_there(
        self, metanas: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
    ) -> None:
        monkeypatch.setattr("metanas.cli.wiring.load_family", lambda *_: signal.raise_signal(number))
        ran = metanas("search", "sinusoid")
        assert (ran.code, ran.out, ran.err.strip()) == (130, "", "")
        assert list(tmp_path.iterdir()) == []


def test_what_is_to_be_typed_next_has_no_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Terminals are shared and logged; the user knows the password, or has it in the environment."""

    def stopped() -> Any:
        raise KeyboardInterrupt

    words = ["search", "sinusoid", "--store", "postgresql://me:secret@db/x", "--study", "a b"]
    monkeypatch.setattr(sys, "argv", ["metanas", *words])
    view: Any = SimpleNamespace(__exit__=lambda *_: None)
    search: Any = SimpleNamespace(name="a b", records=[])
    with pytest.raises(SystemExit, match="130"):
        command._run(search, view, stopped)
    told = capsys.readouterr().err
    assert "secret" not in told
    assert "metanas search sinusoid --store 'postgresql://me:***@db/x' --study 'a b'" in told


def test_commands_name_a_store_unless_it_is_found_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METANAS_STORE", raising=False)
    assert store_words(STORE) == ""
    assert store_words("sqlite:///my searches.db") == " --store 'sqlite:///my searches.db'"
    hidden = "postgresql+psycopg://me:***@db/x"
    assert store_words(hidden) == f" --store '{hidden}'"
    monkeypatch.setenv("METANAS_STORE", "postgresql://me:secret@db/x")
    assert store_words(hidden) == "", "the environment tells it, password and all"
    other = "postgresql+psycopg://me:***@elsewhere/x"
    for store in (STORE, other):
        assert store_words(store) == f" --store {shlex.quote(store)}", "without it the first would be meant"
    for usual in ("searches.db", "sqlite:///searches.db"):
        monkeypatch.setenv("METANAS_STORE", usual)
        assert store_words("sqlite:///searches.db") == ""
    monkeypatch.setenv("METANAS_STORE", "mysql://x/y")
    assert store_words(STORE) == f" --store {STORE}"
