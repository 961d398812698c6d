"""Who runs a trial, and whether that process still lives.

An owner is ``host:pid:started``. A pid is used again after its process has ended, so its start
time stands beside it; pids of two containers on one machine mean different processes, so the
host names its pid namespace, and two machines may have one name, so it names the machine's own
number, as a hash. These come from Linux: elsewhere they are left out, and a process that took over
a dead one's pid passes for it until it ends too.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

_MACHINE = Path("/etc/machine-id")
SILENCE = timedelta(hours=1)
"""How long a process that we cannot ask may go without a sign of life before it counts as dead."""


def me() -> str:
    """The owner that this process is."""
    return f"{_host()}:{os.getpid()}:{_started(os.getpid())}"


def alive(owner: str, touched: datetime, at: datetime) -> bool:
    """Whether a process lives: asked of this machine, else judged by its last sign of life.

    Args:
        owner: Of the process, as its :func:`me` gave it.
        touched: Its last sign of life.
        at: The present moment.
    """
    host, pid, started = owner.rsplit(":", 2)
    if host != _host() or not _can_ask():
        return at - touched <= SILENCE
    return _runs(int(pid)) and _started(int(pid)) == started


def _host() -> str:
    """This machine."""
    name, parts = socket.gethostname()[:200], []
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid")[5:-1])
    with suppress(OSError):  # which is not to be told as it is: see machine-id(5)
        parts.append(hashlib.sha256(_MACHINE.read_bytes()).hexdigest()[:12])
    return f"{name}[{' '.join(parts)}]" if parts else name


def _can_ask() -> bool:
    # On Windows os.kill(pid, 0) is no question: it interrupts the process.
    return sys.platform != "win32"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, so it is there
        return True
    return _stat(pid)[:1] not in (["Z"], ["X"])  # a dead child that its parent has not yet waited for


def _started(pid: int) -> str:
    return "".join(_stat(pid)[19:20])


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/<pid>/stat`` from the third (the state) on; none where there is no such file."""
    try:
        # The second field is the program's name in brackets, and may hold spaces and brackets itself.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
