"""Linear algebra on one thread: matrices are small, and threads that wait for each other spin.

Where anything else uses the cores, a second search or a browser, a proposal would take many times as long.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _libraries() -> ThreadpoolController:
    """Those that are loaded: looking for them takes as long as a proposal of a short search."""
    import scipy.linalg  # noqa: F401  # has a BLAS of its own

    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """A context in which NumPy and SciPy multiply and solve on one thread; torch's are as they were."""
    limited: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limited
