"""Work that Ctrl-C must not cut in two."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# the last: a terminal that is closed, or its connection lost; not on Windows
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_AGAIN = 0.05  # seconds


@contextmanager
def undisturbed() -> Iterator[None]:
    """Puts off Ctrl-C, SIGTERM and SIGHUP to the end of what is within, which should be short."""
    if threading.current_thread() is not threading.main_thread():  # signals come to the main thread only
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    # what is ignored stays so: only the first that comes is heeded
    ours = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}
    for number in ours:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
        if came:
            _heed(came[0])


def insist() -> None:
    """Has Ctrl-C come again where it was lost, and SIGTERM be one, and SIGHUP unless it is ignored (nohup).

    A KeyboardInterrupt that meets the callback of a weak reference is printed as ignored, and that is all.
    """
    for number in _SIGNALS[1:]:
        if number == signal.SIGTERM or signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    if not isinstance(sys.unraisablehook, _Insisting):
        sys.unraisablehook = _Insisting(sys.unraisablehook)


class _Insisting:
    def __init__(self, usual: Callable[[sys.UnraisableHookArgs], object]) -> None:
        self._usual = usual

    def __call__(self, lost: sys.UnraisableHookArgs) -> None:
        if lost.exc_type is KeyboardInterrupt:  # not from here, where it would be lost again
            threading.Timer(_AGAIN, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            self._usual(lost)


def _heed(number: int) -> None:
    handler = signal.getsignal(number)
    if callable(handler):
        handler(number, None)  # here and now; raised anew it may come within somebody's callback
    else:
        signal.raise_signal(number)
