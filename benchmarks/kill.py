"""Kills a search at random moments, goes on with it, and checks that nothing that had ended was lost.

    .venv/bin/python benchmarks/kill.py [--json] [--kills 5] [--interrupts 3] [--seed 0]

One study is killed with ``kill -9`` again and again, each time so many trials and a random moment after
the run began, and goes on each time; a last run ends it. Then every trial that any run had told of has
to be in our tables and in Optuna's once, unchanged, and none may be left running. Ctrl-C (SIGINT) and
SIGTERM come after that, on the same study, with the time from the signal to the end of the process.
Exits 1 if anything was lost, changed or left, or if a run took longer than 5 s to end.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import click
import optuna

from storage import Store

METANAS = Path(sys.executable).with_name("metanas")
SEARCH = ("search", "sinusoid", "--study", "kill", "--seed", "1", "--rung", "10", "--json")
MOST_TRIALS, MOST_SECONDS = 8, 1.5  # after which a run is killed, at most
ENDS_WITHIN = 5.0  # seconds


@dataclass
class Study:
    """The study, as all runs so far have told of it.

    Attributes:
        folder: Where its store is.
        options: More of ``metanas search``, the same for every run.
        told: Every trial that a run said has ended, by number.
        problems: Whatever is not as it should be.
    """

    folder: Path
    options: tuple[str, ...] = ()
    told: dict[int, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def start(self, trials: int) -> subprocess.Popen[str]:
        """A run in a process of its own."""
        return subprocess.Popen(
            [str(METANAS), *SEARCH, *self.options, "--trials", str(trials)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def hear(self, text: str) -> int:
        """Takes in what a run printed; a line that was cut off is not told."""
        lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        trials = [found for line in lines if (found := json.loads(line)).get("event") == "trial"]
        for trial in trials:
            if trial["trial"] in self.told:
                self.problems.append(f"trial {trial['trial']} was told of twice")
            self.told[trial["trial"]] = trial
        return len(trials)

    def check(self, ended: bool) -> dict[str, int]:
        """Compares what was told with both tables.

        Args:
            ended: Whether the study has been opened since, so that nothing may be left running.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with Store.open(f"{self.folder}/metanas.db", create=False) as store:
            ours = {record.number: record for record in store.records("kill")}
            assert len(ours) == len(store.records("kill"))
            study = optuna.load_study(study_name="kill", storage=store.optuna)
            theirs = {trial.number: trial for trial in study.get_trials()}
        lost = [number for number in self.told if number not in ours or number not in theirs]
        self.problems += [f"trial {number} is lost" for number in lost]
        changed = 0
        for number in self.told.keys() - set(lost):
            wrong = _differences(self.told[number], ours[number], theirs[number], ended)
            self.problems += [f"trial {number}: {words}" for words in wrong]
            changed += bool(wrong)
        running = [n for n, record in ours.items() if record.state == "running"]
        running += [n for n, trial in theirs.items() if trial.state.name in ("RUNNING", "WAITING")]
        if ended:
            self.problems += [f"trial {number} is left running" for number in set(running)]
        return {"kept": len(self.told) - len(lost), "lost": len(lost), "changed": changed} | {
            "running": len(set(running))
        }


def _differences(told: dict[str, Any], ours: Any, theirs: Any, ended: bool) -> list[str]:
    score = ours.score.value if ours.score else None
    heard = told["valid"]["value"] if told["valid"] else None
    pairs = {
        "its state": (ours.state, told["state"]),
        "its candidate": (dict(ours.candidate), told["candidate"]),
        "its score": (score, heard),
        "its parameters in Optuna": (
            {name: told["candidate"].get(name) for name in theirs.params},
            theirs.params,
        ),
    }
    state = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}[told["state"]]
    if ended:
        pairs["its state in Optuna"] = (theirs.state.name, state)
        if state == "COMPLETE":
            pairs["its value in Optuna"] = (theirs.value, heard)
    return [f"{what} is {is_!r}, was {was!r}" for what, (is_, was) in pairs.items() if is_ != was]


def strike(study: Study, number: signal.Signals, chance: random.Random) -> dict[str, Any]:
    """A run that gets the signal at a random moment; what came of it."""
    trials, delay = chance.randint(1, MOST_TRIALS), chance.uniform(0, MOST_SECONDS)
    process = study.start(trials=200)
    assert process.stdout is not None
    read = _until(process.stdout, trials)
    time.sleep(delay)
    struck = time.monotonic()
    process.send_signal(number)
    rest, said = process.communicate(timeout=60)
    seconds = time.monotonic() - struck
    heard = study.hear(read + rest)
    row = {"signal": number.name, "after": f"{trials} trials + {delay:.2f} s", "told": heard}
    row |= {"seconds": seconds, "exit": process.returncode, **study.check(ended=number != signal.SIGKILL)}
    if number is not signal.SIGKILL:
        study.problems += _badly_ended(process.returncode, said, seconds)
    return row


def _until(out: IO[str], trials: int) -> str:
    """What is told until so many trials have ended, or nothing more is."""
    read = []
    for line in iter(out.readline, ""):
        read.append(line)
        trials -= line.startswith('{"event": "trial"')
        if trials <= 0:
            break
    return "".join(read)


def _badly_ended(code: int, said: str, seconds: float) -> list[str]:
    found = []
    if code != 130:
        found.append(f"exit code {code}, not 130")
    if said.count("\n") != 1 or "To go on: metanas search sinusoid" not in said:
        found.append(f"said {said!r}")
    if seconds > ENDS_WITHIN:
        found.append(f"took {seconds:.1f} s to end")
    return found


def finish(study: Study) -> dict[str, Any]:
    """A run that is left alone to its end."""
    start = time.monotonic()
    process = study.start(trials=2)
    out, said = process.communicate(timeout=300)
    if process.returncode != 0 or said:
        study.problems.append(f"the last run ended with {process.returncode} and said {said!r}")
    row = {"signal": "none", "after": "2 trials", "told": study.hear(out)}
    return row | {"seconds": time.monotonic() - start, "exit": process.returncode, **study.check(ended=True)}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option("--kills", default=5, show_default=True, help="Times that the study is killed.")
@click.option(
    "--interrupts", default=3, show_default=True, help="Times that it gets Ctrl-C; and SIGTERM once."
)
@click.option("--seed", default=0, show_default=True, help="Of the moments.")
def main(as_json: bool, kills: int, interrupts: int, seed: int) -> None:
    """Kills a search at random moments and checks that nothing was lost."""
    chance = random.Random(seed)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder))
        rows += [strike(study, signal.SIGKILL, chance) for _ in range(kills)]
        rows.append(finish(study))
        rows += [strike(study, signal.SIGINT, chance) for _ in range(interrupts)]
        rows += [strike(study, signal.SIGTERM, chance) for _ in range(min(1, interrupts))]
    if as_json:
        click.echo(json.dumps({"rows": rows, "trials": len(study.told), "problems": study.problems}))
    else:
        for row in rows:
            click.echo(
                f"{row['signal']:<8} after {row['after']:<18} told {row['told']:>3}  "
                f"kept in all {row['kept']:>3}  "
                f"lost {row['lost']}  changed {row['changed']}  running {row['running']}  "
                f"ended in {row['seconds']:5.2f} s with {row['exit']}"
            )
        click.echo("\n".join(study.problems) or "nothing lost, nothing changed, nothing left running")
    sys.exit(bool(study.problems))


if __name__ == "__main__":
    main()
