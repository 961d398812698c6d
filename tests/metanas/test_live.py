"""What a search shows while it runs: at a terminal, in a log, to a machine."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from metanas.budget import Budget
from metanas.cli.live import JsonLines, Lines, Panels, record_words, view_for
from metanas.search import Moment
from search_spaces import Candidate, Record, Score

CANDIDATE = Candidate({"architecture": "mlp", "architecture.mlp.depth": 2, "rule": "ridge"})
BEST = Record("s", 3, CANDIDATE, "complete", "rung 3 of 3", 90, Score("accuracy", 0.975, 0.012, 300, "valid"))
ERROR = Record("s", 4, CANDIDATE, "failed", "diverged: no finite score at meta-step 10")
COUNTS = {"complete": 2, "pruned": 5, "failed": 1}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def moment(doing: str = "rung 2 of 3, trials 5, 6", ended: Record | None = None) -> Moment:
    return Moment(doing, ended, BEST, COUNTS)  # type: ignore[arg-type]


def drawn(view: Panels) -> str:
    console = Console(file=io.StringIO(), width=90)
    console.print(view._draw())
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_panel_says_what_is_done_what_is_best_and_what_is_left() -> None:
    clock = Clock()
    view = Panels(Budget(120.0, clock=clock))
    clock.now = 30.0
    assert "budget  90 s left" in drawn(view)
    view.moment(moment())
    shown = drawn(view)
    for words in (
        "metanas search",
        "trials  2 complete, 5 pruned, 1 failed",
        "now     rung 2 of 3, trials 5, 6",
        "best    trial 3: accuracy 97.50 % ± 1.20 (validation)",
        "mlp (depth 2)",
        "ridge",
        "budget  90 s left",
    ):
        assert words in shown


def test_a_panel_shows_data_being_read() -> None:
    view = Panels(Budget(60.0))
    view.progress("decoding images", 500, 2000)
    assert "decoding images: 500 of 2,000" in drawn(view)
    view.moment(moment())
    assert "decoding" not in drawn(view)


def test_a_panel_without_a_time_says_how_many_trials_were_asked_for() -> None:
    assert "0 s so far, 12 trials asked for" in drawn(Panels(Budget(trials=12)))


def test_a_panel_comes_and_goes(capsys: pytest.CaptureFixture[str]) -> None:
    with Panels(Budget(60.0)) as view:
        view.moment(moment())
        view.note("3 files are no images")
    assert "3 files are no images" in capsys.readouterr().err


def test_a_log_has_a_line_for_every_trial_and_phase(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Lines(Budget(60.0, clock=clock)) as view:
        for doing in ("rung 1 of 3, trial 3", "trial 3 complete", "trial 3 complete"):
            view.moment(moment(doing, BEST if doing == "trial 3 complete" else None))
        clock.now = 7.25
        for _ in range(2):
            view.moment(moment("baseline: MAML"))
        view.note("2 files are no images")
        view.progress("decoding images", 1, 10)
        clock.now = 9.0
        view.progress("decoding images", 10, 10)
        view.progress("drawing", 5, 5)  # it took no time
    out, err = capsys.readouterr()
    words = (
        "trial 3 complete (rung 3 of 3): accuracy 97.50 % ± 1.20 after 90 meta-steps; mlp (depth 2); ridge"
    )
    assert out == ""
    assert err.splitlines() == [
        "   0.0 s  rung 1 of 3, trial 3",
        f"   0.0 s  {words}",
        f"   0.0 s  {words}",
        "   7.2 s  baseline: MAML",
        "   7.2 s  note: 2 files are no images",
        "   9.0 s  decoding images: 10",
    ]


def test_a_machine_reads_objects(capsys: pytest.CaptureFixture[str]) -> None:
    with JsonLines() as view:
        view.moment(moment())
        view.moment(moment("trial 4 failed", ERROR))
        view.progress("decoding images", 1, 1)
        view.note("a note")
    out, err = capsys.readouterr()
    phase, trial, note = map(json.loads, out.splitlines())
    assert phase == {"event": "phase", "text": moment().doing}
    assert (trial["event"], trial["trial"], trial["valid"]) == ("trial", 4, None)
    assert note == {"event": "note", "text": "a note"}
    assert err == ""


def test_a_failed_trial_has_its_reason() -> None:
    words = "trial 4 failed (diverged: no finite score at meta-step 10): no score; mlp (depth 2); ridge"
    assert record_words(ERROR) == words


def test_a_terminal_gets_the_panel_a_log_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(1.0)
    for terminal, kind in ((True, Panels), (False, Lines)):
        monkeypatch.setattr("sys.stderr.isatty", lambda there=terminal: there)
        assert isinstance(view_for(False, budget), kind)
        assert isinstance(view_for(True, budget), JsonLines)
