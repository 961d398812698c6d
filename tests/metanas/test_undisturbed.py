"""Ctrl-C and SIGTERM wait for what must not be cut in two."""

from __future__ import annotations

import os
import signal
import sys
import threading
import weakref
from collections.abc import Iterator

import pytest

from metanas.undisturbed import insist, undisturbed


@pytest.fixture(autouse=True)
def _term_is_ctrl_c() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_closed_terminal_ends_a_search_unless_it_was_to_go_on() -> None:
    """With nohup it is ignored, and stays so."""
    before = signal.getsignal(signal.SIGHUP)
    try:
        for was, then in ((signal.SIG_DFL, signal.default_int_handler), (signal.SIG_IGN, signal.SIG_IGN)):
            signal.signal(signal.SIGHUP, was)
            insist()
            assert signal.getsignal(signal.SIGHUP) == then
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_comes_at_the_end(number: signal.Signals) -> None:
    done = []

    def work() -> None:
        with undisturbed():
            os.kill(os.getpid(), number)
            done.append("all of it")

    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["all of it"]
    assert handlers == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


def test_what_is_ignored_hides_nothing() -> None:
    """With nohup a terminal that is closed is no signal, and one that comes after it is."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def work() -> None:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_many_are_one() -> None:
    def work() -> None:
        with undisturbed():
            for _ in range(3):
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        work()


def test_one_within_another_waits_for_the_outer() -> None:
    done = []

    def work() -> None:
        with undisturbed():
            with undisturbed():
                signal.raise_signal(signal.SIGINT)
            done.append("the outer")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["the outer"]


def test_an_error_within_is_not_lost() -> None:
    with pytest.raises(ZeroDivisionError), undisturbed():
        1 / 0  # noqa: B018


def test_in_another_thread_it_does_nothing() -> None:
    errors: list[Exception] = []

    def work() -> None:
        try:
            with undisturbed():
                pass
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert errors == []


class Held:
    """Something whose end is noticed."""


def test_what_was_lost_in_a_callback_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As SQLAlchemy's: whatever is raised in a weak reference's callback goes no further."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    insist()
    insist()  # every command of a process says it
    held: list[Held] = [Held()]
    reference = weakref.ref(held[0], lambda _: signal.raise_signal(signal.SIGINT))

    def let_go() -> None:
        held.clear()
        threading.Event().wait(60)

    with pytest.raises(KeyboardInterrupt):
        let_go()
    assert reference() is None


def test_other_losses_are_told_of_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[type] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(lost.exc_type))
    insist()
    held: list[Held] = [Held()]
    reference = weakref.ref(held[0], lambda _: 1 / 0)
    held.clear()
    assert told == [ZeroDivisionError]
    assert reference() is None
