"""Linear algebra on one thread: matrices are small, and threads that wait for each other spin.

Where anything else uses the cores, a second search or a browser, a proposal would take many times as long.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from importlib import import_module
from typing import Any

from threadpoolctl import ThreadpoolController


def one_thread(module: str, api: str | None = None) -> AbstractContextManager[Any]:
    """A context in which what a module computes with takes one thread.

    Args:
        module: Such as ``scipy.linalg``, loaded first: it may have libraries of its own.
        api: ``"blas"``: linear algebra alone, torch's threads stay as they are; None: OpenMP, too.
    """
    limited: AbstractContextManager[Any] = _libraries(module).limit(limits=1, user_api=api)
    return limited


@cache
def _libraries(module: str) -> ThreadpoolController:
    """Those that are loaded: looking for them takes as long as a proposal, or a hundred baselines' fits."""
    import_module(module)
    return ThreadpoolController()
