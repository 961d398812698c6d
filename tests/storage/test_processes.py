"""Several processes at one store: nothing lost, nothing half written."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import optuna
from sqlalchemy import text

from storage import Store

Program = Callable[[str], "subprocess.Popen[str]"]


def run(programs: list[subprocess.Popen[str]]) -> list[str]:
    """Lets all go at once, when all have said that they are ready; what they said after that."""
    said = []
    for process in programs:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in programs:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in programs:
        out, _ = process.communicate(timeout=100)
        assert process.returncode == 0
        said.append(out)
    return said


READY = "import optuna\nsay('ready')\nsys.stdin.readline()\n"


def test_many_make_the_store_at_once(url: str, program: Program) -> None:
    # `store` is another one, opened before; the race is for the new database's tables.
    fresh = url.replace("runs.db", "fresh.db")
    body = READY + (
        f"with Store.open({fresh!r}) as new:\n    new.save_study('pumps', {{}})\n    new.optuna\n"
    )
    run([program(body) for _ in range(3)])
    with Store.open(fresh, create=False) as store:
        assert [summary.name for summary in store.studies()] == ["pumps"]
        assert store.optuna.get_all_studies() == []


def test_many_write_at_once(store: Store, program: Program) -> None:
    body = READY + (
        "for n in range(int(START), int(START) + 20):\n"
        "    record = Record('pumps', n, Candidate({'n': n % 4}))\n"
        "    store.start(record)\n"
        "    store.put(bytes([n % 4]), 'weights')\n"
        "    store.log('pumps', 'did', trial=n)\n"
        "    say(store.look('pumps'))\n"
    )
    said = run([program(body.replace("START", f"'{start}'")) for start in (0, 100, 200)])
    looks = [int(line) for out in said for line in out.split()]
    assert sorted(looks) == list(range(1, 61))  # no look counted twice, none forgotten
    assert [one.number for one in store.records("pumps")] == [*range(20), *range(100, 120), *range(200, 220)]
    assert len(store.events("pumps")) == 60
    with store.session() as session:
        assert session.execute(text("SELECT count(*) FROM metanas_candidate")).scalar() == 4
        assert session.execute(text("SELECT count(*) FROM metanas_artifact")).scalar() == 4


def test_many_ask_optuna_at_once(store: Store, program: Program) -> None:
    optuna.create_study(storage=store.optuna, study_name="pumps")
    body = (
        "import optuna\n"
        "optuna.logging.set_verbosity(optuna.logging.WARNING)\n"
        "study = optuna.load_study(storage=store.optuna, study_name='pumps')\n"
        + READY
        + "for _ in range(6):\n"
        "    trial = study.ask()\n"
        "    store.start(Record('pumps', trial.number, Candidate({'x': trial.suggest_float('x', 0, 1)})))\n"
        "    study.tell(trial, 1.0)\n"
    )
    run([program(body) for _ in range(2)])
    assert [one.number for one in store.records("pumps")] == list(range(12))


def test_killed_within_a_transaction_nothing_is_left_of_it(store: Store, program: Program) -> None:
    store.save_study("tanks", {})
    body = (
        "from storage import trials\n"
        "from sqlalchemy import text\n"
        "with store.session(writes=True) as session:\n"
        "    trials.start(session, Record('pumps', 0, Candidate({'rule': 'ridge'})))\n"
        "    session.flush()\n"
        "    say(session.execute(text('SELECT count(*) FROM metanas_trial')).scalar())\n"
        "    die()\n"
    )
    with program(body) as process:
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (-9, "1\n")  # it was written there
    assert store.records("pumps") == []
    with store.session() as session:
        assert session.execute(text("SELECT count(*) FROM metanas_candidate")).scalar() == 0
    store.look("pumps")  # and the dead one's lock is gone


def test_killed_while_the_tables_are_made_the_next_one_makes_them(url: str, program: Program) -> None:
    fresh = url.replace("runs.db", "fresh.db")
    body = (
        "from sqlalchemy import event, Engine\n"
        "def watch(connection, cursor, statement, *_):\n"
        "    if 'CREATE TABLE metanas_trial' in statement: die()\n"
        "event.listen(Engine, 'before_cursor_execute', watch)\n"
        f"Store.open({fresh!r})\n"
    )
    with program(body) as process:
        process.communicate(timeout=60)
    if fresh != url:
        assert process.returncode == -9
    with Store.open(fresh) as store:
        store.save_study("pumps", {})
        assert store.records("pumps") == []


def test_what_is_enqueued_is_asked_for_once(store: Store, program: Program) -> None:
    study = optuna.create_study(storage=store.optuna, study_name="pumps")
    for x in range(12):
        study.enqueue_trial({"x": x})
    body = (
        "import optuna\n"
        "optuna.logging.set_verbosity(optuna.logging.WARNING)\n"
        "study = optuna.load_study(storage=store.optuna, study_name='pumps')\n"
        + READY
        + "for _ in range(4):\n"
        "    trial = study.ask()\n"
        "    store.start(Record('pumps', trial.number, Candidate({'x': trial.suggest_int('x', 0, 99)})))\n"
        "    study.tell(trial, 1.0)\n"
    )
    run([program(body) for _ in range(3)])
    assert [one.candidate["x"] for one in store.records("pumps")] == list(range(12))
    assert {trial.state.name for trial in study.trials} == {"COMPLETE"}


def test_a_trial_ends_once(store: Store, program: Program) -> None:
    study = optuna.create_study(storage=store.optuna, study_name="pumps")
    for _ in range(20):
        study.ask()
    body = (
        "import optuna\n"
        "optuna.logging.set_verbosity(optuna.logging.WARNING)\n"
        "study = optuna.load_study(storage=store.optuna, study_name='pumps')\n"
        + READY
        + "for number in range(20):\n"
        "    try:\n"
        "        study.tell(number, VALUE)\n"
        "    except (optuna.exceptions.UpdateFinishedTrialError, ValueError):\n"
        "        continue\n"
        "    say(number)\n"
    )
    said = run([program(body.replace("VALUE", value)) for value in ("0.0", "1.0", "2.0")])
    ended = {int(number): float(value) for value, out in enumerate(said) for number in out.split()}
    assert sum(len(out.split()) for out in said) == len(ended) == 20  # each was told by one
    assert {trial.number: trial.value for trial in study.trials} == ended
