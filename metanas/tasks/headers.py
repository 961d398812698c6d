"""How a user's CSV file is written: what parts its cells, what its columns are called, how numbers look."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from search_spaces.errors import DataError

SEPARATORS = ",;\t"
_COMMA = re.compile(r"([+-]?\d*),(\d+(?:[eE][+-]?\d+)?)")


@contextmanager
def csv_file(path: Path) -> Iterator[TextIO]:
    """A CSV file to read.

    Raises:
        DataError: If what is read of it is no CSV in UTF-8.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as handle:
            yield handle
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text: save it as CSV in UTF-8") from None
    except (csv.Error, ValueError) as error:
        raise DataError(f"{path} is not CSV ({error}): save it as CSV with commas") from None


def separator(line: str, row: str = "") -> str:
    """What parts the cells of a file with this first line: a comma, a semicolon or a tab.

    Args:
        line: The names of the columns.
        row: The line below, which has as many cells; empty: there is none.

    Example:
        >>> separator("machine;load;wear (mm, mean)")
        ';'
        >>> separator("time;force (x, y, z)", "1.5;2")
        ';'
    """
    counts = {mark: _cells(line, mark) for mark in SEPARATORS}
    fitting = [mark for mark in SEPARATORS if 1 < counts[mark] == _cells(row, mark)]
    return max(fitting or SEPARATORS, key=counts.__getitem__)


def _cells(line: str, mark: str) -> int:
    """How many cells a line has, with what is in quotes in one."""
    try:
        return len(next(csv.reader([line], delimiter=mark, skipinitialspace=True), []))
    except csv.Error:
        return 1 + line.count(mark)


def named(names: Sequence[str]) -> list[str]:
    """Names without the spaces around them; those that have none are called by their place.

    The index that pandas and R write before the columns has no name.

    Example:
        >>> named(["", " load", "wear"])
        ['column 1', 'load', 'wear']
    """
    return [name.strip() or f"column {i}" for i, name in enumerate(names, 1)]


def is_nameless(name: str) -> bool:
    """Whether a column had no name; pandas calls those of other files ``Unnamed: 0``, R ``rownames``."""
    return re.fullmatch(r"column \d+|Unnamed: \d+|__index_level_\d+__|rownames|index", name) is not None


def with_point(text: str, parted_by: str) -> str:
    """A number with a decimal comma, as spreadsheets write it where semicolons part the cells.

    Example:
        >>> with_point("-3,25", ";"), with_point("3,25", ","), with_point("a,b", ";")
        ('-3.25', '3,25', 'a,b')
    """
    found = _COMMA.fullmatch(text.strip()) if parted_by == ";" else None
    return f"{found[1]}.{found[2]}" if found else text
