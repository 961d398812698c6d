"""Signs of life that do not wait for what a process is at: a leg of a long training takes hours."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from search_spaces.errors import StoreError
from storage.owner import SILENCE

EVERY = SILENCE.total_seconds() / 6
"""Seconds from one to the next: several may be lost before a process counts as dead."""


class Signs(threading.Thread):
    """Gives them until it is stopped; what the database refuses may succeed the next time.

    Args:
        give: Writes one.
    """

    def __init__(self, give: Callable[[], None]) -> None:
        super().__init__(name="metanas: signs of life", daemon=True)
        self._give = give
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(EVERY):
            with suppress(StoreError):
                self._give()

    def stop(self) -> None:
        """Returns when the last one is written."""
        self._over.set()
        self.join()
