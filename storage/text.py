"""Values on their way into the database: made plain, or refused in words."""

from __future__ import annotations

import json
from typing import Any

from search_spaces.errors import StoreError
from storage.models import NAME_LENGTH


def plain(values: Any, what: str) -> Any:
    """``values`` as JSON gives them back: tuples are lists, names are strings.

    Args:
        values: Anything.
        what: What they are, for the message.

    Raises:
        StoreError: If JSON cannot hold them.
    """
    try:
        return json.loads(json.dumps(values))
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(
            f"{what} should be plain values (text, numbers, lists, mappings): {error}"
        ) from error


def writable(text: str) -> str:
    """``text`` with what no database takes written out: lone surrogates (of odd file names) and NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def check_name(name: str) -> None:
    """Sees to it that a study's name can be typed and printed.

    Raises:
        StoreError: If not.
    """
    if not 0 < len(name) <= NAME_LENGTH or not name.isprintable():
        raise StoreError(
            f"a study's name should be 1 to {NAME_LENGTH} printable characters, not {name[:40]!r}"
        )
