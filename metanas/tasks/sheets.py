"""Reads a user's table: CSV, Parquet, NumPy's npz, or a folder that Hugging Face's datasets saved."""

from __future__ import annotations

import csv
import hashlib
import math
import os
import re
import zipfile
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metanas.tasks.columns import Cells, is_missing, plain, typed
from metanas.tasks.headers import csv_file, named, separator, with_point
from search_spaces.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_NUMBER_BYTES = 3 * 8  # of memory that reading a cell takes: as it is parsed, kept, and prepared
_PART = 0.5  # of the free memory that a table may take
_SAMPLE = 2**20  # bytes of a CSV file that tell how long its lines are
_BLOCK = 2**20
_MEMORY = Path("/proc/meminfo")
_INDEX = re.compile(r"__index_level_\d+__")  # what pandas calls an index without a name


@dataclass(frozen=True, eq=False)
class Table:
    """A user's table.

    Attributes:
        path: Of the file or folder.
        columns: Cells ``(N,)`` by name, in the order of the file.
        digest: SHA-256 of the file.
    """

    path: Path
    columns: dict[str, Cells]
    digest: str

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))

    def texts(self, name: str) -> list[str | None]:
        """A column as text: whole numbers without a point, None where missing."""
        cells = self.columns[name]
        if cells.dtype == object:
            return list(cells)
        return [None if np.isnan(value) else plain(value) for value in cells]

    def place(self, row: int) -> str:
        """Where a row stands, for messages."""
        return f"{self.path.name}, row {row + 1} below the header"


def read_table(path: Path, needed: Sequence[str], wanted: Collection[str] | None = None) -> Table:
    """Reads a table whole.

    Args:
        path: ``.csv`` (or ``.tsv``, ``.txt``), ``.parquet``, ``.npz`` with arrays ``x``, ``y`` and
            ``task``, or a folder of Arrow files.
        needed: Columns that it must have; they are read as text, so that 007 stays 007.
        wanted: Of the others, those to read; None: all.

    Raises:
        DataError: If it is missing, broken, empty or larger than memory; or lacks a column.
    """
    if not path.exists():
        raise DataError(f"cannot read {path}: there is no such file")
    readers: dict[str, Callable[..., dict[str, Cells]]] = {".parquet": _read_arrow, ".npz": _read_npz}
    read = _read_arrow if path.is_dir() else readers.get(path.suffix.lower(), _read_csv)
    try:
        columns = read(path, list(dict.fromkeys(needed)), wanted)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    if not columns or not len(next(iter(columns.values()))):
        raise DataError(f"{path} has no rows below its column names: give at least one")
    return Table(path, columns, _digest(path))


def _check_names(path: Path, names: Sequence[str], needed: Sequence[str], wanted: Any) -> list[str]:
    """The columns to read."""
    for name in [*needed, *(wanted or ())]:
        if name not in names:
            shown = ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
            near = get_close_matches(name, names, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise DataError(f"{path} has no column {name!r}{meant} (it has {shown})")
    return [name for name in names if wanted is None or name in needed or name in wanted]


def _read_csv(path: Path, needed: list[str], wanted: Collection[str] | None) -> dict[str, Cells]:
    import pandas as pd

    parted_by, names = _header(path)
    kept = _check_names(path, names, needed, wanted)
    _check_room(path, _rows_of_csv(path), len(kept))
    _check_cells(path, parted_by, len(names))
    try:
        frame = pd.read_csv(
            path,
            sep=parted_by,
            header=0,
            names=names,
            usecols=kept,
            dtype=dict.fromkeys(needed, str),
            skipinitialspace=True,
            low_memory=False,
            encoding="utf-8-sig",
            on_bad_lines="error",
            index_col=False,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise DataError(
            f"{path} is not CSV ({str(error).strip()[:120]}): save it as CSV with commas"
        ) from None
    return _cells(frame, needed, path, parted_by)


def _header(path: Path) -> tuple[str, list[str]]:
    """The separator, and the names of the columns."""
    with csv_file(path) as handle:
        line = handle.readline(_SAMPLE)
        if not line.strip():
            raise DataError(f"{path} is empty: it needs a line of column names, and rows")
        parted_by = separator(line, handle.readline(_SAMPLE))
        names = named(next(csv.reader([line], delimiter=parted_by, skipinitialspace=True)))
    if any(names.count(name) > 1 for name in names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path} has the column name {twice!r} twice: give each column its own")
    return parted_by, names


def _check_cells(path: Path, parted_by: str, columns: int) -> None:
    """Sees to it that every line has as many cells as there are columns: pandas drops what is too much."""
    with csv_file(path) as handle:
        reader = csv.reader(handle, delimiter=parted_by, skipinitialspace=True)
        for row in reader:
            if row and len(row) != columns:
                where = f"{path}, line {reader.line_num}"
                raise DataError(f"{where}: {len(row)} cells for {columns} columns")


def _rows_of_csv(path: Path) -> int:
    size = path.stat().st_size
    with open(path, "rb") as handle:
        sample = handle.read(_SAMPLE)
    return max(1, round(size * max(1, sample.count(b"\n")) / max(1, len(sample))))


def _check_room(path: Path, rows: int, columns: int) -> None:
    """Says what fits, before memory is taken.

    Raises:
        DataError: If the table does not.
    """
    need, free = rows * columns * _NUMBER_BYTES, free_memory() * _PART
    if need > free:
        fit = max(1, int(free / (rows * _NUMBER_BYTES)))
        raise DataError(
            f"{path} has about {rows:,} rows of {columns:,} columns, which need {need / 1e9:.1f} GB of "
            f"memory where {free / 1e9:.1f} may be used: about {fit:,} columns fit; name those you need "
            "with --features"
        )


def free_memory() -> float:
    """Bytes: with what the system keeps of files there, and gives up when asked, where it says so."""
    with suppress(OSError, ValueError, IndexError):  # Linux alone has it
        for line in _MEMORY.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError):  # not known there
        return float("inf")


def _read_npz(path: Path, needed: list[str], wanted: Collection[str] | None) -> dict[str, Cells]:
    try:
        _check_room(path, *_shape_of_x(path))
        # opened here, since numpy leaves a broken file open
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, AttributeError) as error:
        raise DataError(f"{path} is no npz file of plain arrays ({str(error)[:80]})") from None
    x = arrays.pop("x", None)
    if x is None:
        raise DataError(f"{path} has no array 'x' (it has {', '.join(arrays) or 'none'})")
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2:
        raise DataError(f"{path}: x should be (rows, features), not {x.shape}")
    names = ["x"] if x.shape[1] == 1 else [f"x{i}" for i in range(x.shape[1])]
    columns = dict(zip(names, x.T, strict=True)) | arrays
    kept = _check_names(path, list(columns), needed, wanted)
    for name in kept:
        if columns[name].shape != (len(x),):
            raise DataError(
                f"{path}: {name} should be ({len(x)},), one a row of x, not {columns[name].shape}"
            )
    return {name: _array_cells(columns[name], name in needed) for name in kept}


def _shape_of_x(path: Path) -> tuple[int, int]:
    """Rows and columns of the array ``x`` of an npz file, by its header; none where there is no ``x``."""
    with zipfile.ZipFile(path) as archive:
        if "x.npy" not in archive.namelist():
            return 0, 0
        with archive.open("x.npy") as handle:
            version = np.lib.format.read_magic(handle)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape = read(handle)[0]
    return (shape[0], math.prod(shape[1:])) if shape else (1, 1)


def _array_cells(array: np.ndarray, as_text: bool) -> Cells:
    if array.dtype.kind in "fiu" and not as_text:
        numbers = array.astype(np.float64)
        return np.where(np.isfinite(numbers), numbers, np.nan)
    values = array.tolist()
    found = np.full(len(values), None, dtype=object)
    for row, value in enumerate(values):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
        text = plain(value) if is_number else str(value)
        found[row] = None if is_missing(text) else text
    return found


def _read_arrow(path: Path, needed: list[str], wanted: Collection[str] | None) -> dict[str, Cells]:
    """A Parquet file, or the Arrow files that ``Dataset.save_to_disk`` leaves in a folder."""
    if find_spec("pyarrow") is None:
        raise DataError(f"{path.name} needs pyarrow, which is not installed: pip install 'metanas[arrow]'")
    import pyarrow as pa
    import pyarrow.parquet as pq

    asked = {*needed, *(wanted or ())}
    try:
        if path.is_dir():
            files = _arrow_files(path)
            if not files:
                raise DataError(f"{path} is a folder without Arrow files: is it what save_to_disk wrote?")
            tables = []
            for file in files:
                with pa.memory_map(str(file)) as source:
                    tables.append(pa.ipc.open_stream(source).read_all())
            tables = [table.rename_columns(_stripped(path, table.column_names)) for table in tables]
            kept = _check_names(path, tables[0].column_names, needed, wanted)
            for table, file in zip(tables, files, strict=True):
                if lacking := set(kept) - set(table.column_names):
                    raise DataError(f"{file} lacks the column {min(lacking)!r}, which {files[0].name} has")
            _check_room(path, sum(len(table) for table in tables), len(kept))
            read = pa.concat_tables([table.select(kept) for table in tables])
        else:
            meta = pq.read_metadata(path)
            spelt = meta.schema.to_arrow_schema().names
            raw = dict(zip(_stripped(path, spelt), spelt, strict=True))
            kept = _check_names(path, list(raw), needed, wanted)
            _check_room(path, meta.num_rows, len(kept))
            read = pq.read_table(path, columns=[raw[name] for name in kept])
            read = read.rename_columns(_stripped(path, read.column_names))
        for at, field in enumerate(read.schema):  # whole numbers that name something stay what they are
            if field.name in needed and pa.types.is_integer(field.type):
                read = read.set_column(at, field.name, read.column(at).cast(pa.string()))
        frame = read.to_pandas(ignore_metadata=True)  # else what was an index is no column
        nameless = [name for name in frame.columns if _INDEX.fullmatch(str(name)) and name not in asked]
        numbering = [name for name in nameless if frame[name].dtype.kind in "iu"]
        frame = frame.drop(columns=numbering)  # of the rows, in whatever order they are now
    except pa.ArrowException as error:
        raise DataError(f"{path} cannot be read as Parquet or Arrow ({str(error)[:80]})") from None
    return _cells(frame, needed, path)


def _stripped(path: Path, names: Sequence[str]) -> list[str]:
    """Names of columns without the space around them, each once."""
    found = [str(name).strip() for name in names]
    if twice := [name for name in found if found.count(name) > 1]:
        raise DataError(f"{path} has two columns {twice[0]!r}: rename one")
    return found


def _arrow_files(folder: Path) -> list[Path]:
    """Those of the data: beside them may lie what was computed of them since."""
    return sorted(file for file in folder.rglob("*.arrow") if not file.name.startswith("cache-"))


def _cells(frame: pd.DataFrame, needed: list[str], path: Path, parted_by: str = ",") -> dict[str, Cells]:
    frame = frame.rename(columns=lambda name: str(name).strip())
    return {name: _series_cells(name, frame[name], name in needed, path, parted_by) for name in frame.columns}


def _series_cells(name: str, series: pd.Series, as_text: bool, path: Path, parted_by: str) -> Cells:
    kind = series.dtype.kind
    if kind in "fiu" and not as_text:
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.where(np.isfinite(values), values, np.nan)
    texts = [
        None if missing else with_point(_text(value), parted_by)
        for value, missing in zip(series, series.isna(), strict=True)
    ]
    if not as_text:
        return typed(name, texts, lambda row: f"{path.name}, row {row + 1} below the header")
    found = np.full(len(texts), None, dtype=object)
    found[:] = [None if text is None or is_missing(text) else text.strip() for text in texts]
    return found


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # no float holds every serial number
    if isinstance(value, float):
        return plain(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for file in _arrow_files(path) if path.is_dir() else [path]:
        with open(file, "rb") as handle:
            while block := handle.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
