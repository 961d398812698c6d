"""A CSV file with a header, read whole; whatever is wrong with a cell is said with its line and column."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metanas.tasks.columns import as_number, is_missing
from metanas.tasks.headers import csv_file, named, separator, with_point
from search_spaces.errors import DataError


@dataclass(frozen=True)
class Sheet:
    """Named columns of text.

    Attributes:
        path: Of the file.
        columns: Names, each once.
        rows: Cells, without the spaces around them; as many a row as there are columns.
        lines: Of the file, where each row ends.
    """

    path: Path
    columns: list[str]
    rows: list[list[str]]
    lines: list[int]

    def texts(self, column: str) -> list[str]:
        """The cells of a column.

        Raises:
            DataError: If one is empty, or says that nothing is known.
        """
        at = self.columns.index(column)
        for row, line in zip(self.rows, self.lines, strict=True):
            if is_missing(row[at]):
                what = f"{row[at]!r}, which says nothing" if row[at] else "empty"
                raise DataError(f"{self._place(line, column)} is {what}: fill it in or leave the row out")
        return [row[at] for row in self.rows]

    def cells(self, column: str) -> list[str | None]:
        """The cells of a column, None where one is empty."""
        at = self.columns.index(column)
        return [row[at] or None for row in self.rows]

    def numbers(self, columns: Sequence[str]) -> np.ndarray:
        """``(rows, columns)`` float64.

        Raises:
            DataError: If a cell is empty, no number or not finite.
        """
        cells = [self.texts(column) for column in columns]  # column after column
        return np.array([self._column(name, texts) for name, texts in zip(columns, cells, strict=True)]).T

    def check(self, column: str, read: Callable[[str], float | None], what: str) -> None:
        """Refuses a cell that is not empty and cannot be read.

        Raises:
            DataError: If there is one.
        """
        at = self.columns.index(column)
        for row, line in zip(self.rows, self.lines, strict=True):
            if not is_missing(row[at]) and read(row[at]) is None:
                raise DataError(f"{self._place(line, column)} is {row[at][:40]!r}, not {what}")

    def having(self, column: str) -> Sheet:
        """The rows of which something is known in that column."""
        at = self.columns.index(column)
        known = zip(self.rows, self.lines, strict=True)
        kept = [(row, line) for row, line in known if not is_missing(row[at])]
        return Sheet(self.path, self.columns, [row for row, _ in kept], [line for _, line in kept])

    def _column(self, name: str, texts: Sequence[str]) -> list[float]:
        return [self._number(text, line, name) for text, line in zip(texts, self.lines, strict=True)]

    def _number(self, text: str, line: int, column: str) -> float:
        value = as_number(text)
        if value is None:
            hint = ": write it with a decimal point" if text.count(",") == 1 else ""
            raise DataError(f"{self._place(line, column)} is {text[:40]!r}, not a finite number{hint}")
        return value

    def _place(self, line: int, column: str) -> str:
        return f"{self.path}, line {line}: column {column!r}"


def read_sheet(path: Path) -> Sheet:
    """Reads a CSV file: UTF-8, names in its first line; empty lines are skipped.

    Commas, semicolons or tabs part the cells, as in the table that a learner was trained on.

    Raises:
        DataError: If it is missing, no such file, or has no rows.
    """
    try:
        with csv_file(path) as handle:
            parted_by = separator(handle.readline(), handle.readline())
            handle.seek(0)
            reader = csv.reader(handle, delimiter=parted_by, strict=True, skipinitialspace=True)
            found = [
                (reader.line_num, [with_point(cell.strip(), parted_by) for cell in row])
                for row in reader
                if any(map(str.strip, row))
            ]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    if not found:
        raise DataError(f"{path} is empty: it needs a line of column names, and rows")
    sheet = Sheet(path, named(found[0][1]), [row for _, row in found[1:]], [line for line, _ in found[1:]])
    _check(sheet)
    return sheet


def _check(sheet: Sheet) -> None:
    names = sheet.columns
    twice = [name for name in names if names.count(name) > 1]
    if twice and all(as_number(name) is not None for name in names):
        raise DataError(f"{sheet.path} has numbers in its first line: name the columns there")
    if twice:
        raise DataError(f"{sheet.path} has the column name {twice[0]!r} twice: give each column its own")
    if not sheet.rows:
        raise DataError(f"{sheet.path} has no rows below its column names: give at least one")
    for row, line in zip(sheet.rows, sheet.lines, strict=True):
        if len(row) != len(names):
            raise DataError(f"{sheet.path}, line {line}: {len(row)} cells for {len(names)} columns")
