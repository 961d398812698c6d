"""Rows of a table: each value of one of its columns is a task."""

from __future__ import annotations

from metanas.tasks.family import FEWEST_TASKS, Family, Source
from metanas.tasks.splits import divide, units
from metanas.tasks.table_tasks import SPLITS, Tables, crossed
from metanas.tasks.task_table import read_tasks
from search_spaces.errors import DataError

_SHARE = 0.2  # of the tasks, or groups, for validation and for test each
FEW = 48  # tasks, or groups, below which a split leaves fewer for the test than a verdict needs
_SMALL = 30  # tasks, below which all of them are wanted for whatever a verdict then says


def build(source: Source) -> Family:
    """The rows of a CSV or Parquet file, an npz file or a folder of Arrow files.

    Each value of the column ``source.task`` is one task: predict ``source.target`` from
    ``source.features``. Features may be numbers, categories, booleans, ISO dates, and missing.

    Args:
        source: ``path``, ``task`` and ``target`` are needed; the column ``group``, if given, is what
            tasks belong to and lies in one split whole; ``splits`` may list tasks or groups.

    Raises:
        DataError: If the table cannot be used; file, row and column are named.
    """
    if source.test_path is not None:
        raise DataError("table has its test tasks in the same file: say which with --splits, not --test-data")
    if source.resizes:
        raise DataError("table has no images: leave --image-size out")
    table = read_tasks(source)
    whole = len(units(table.tasks))
    if source.splits is None and (FEWEST_TASKS <= whole < FEW or len(table.tasks) < _SMALL):
        return crossed(table)
    where = str(source.path)
    division = divide(
        table.tasks, SPLITS, source.splits, where, share=_SHARE, folders=False, small=table.small
    )
    return Tables(table, division)
