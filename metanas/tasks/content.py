"""What is in a file or folder that a family of one's own was made with, as a hash."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from metanas.tasks.archive import first_visit
from metanas.tasks.family import Progress
from search_spaces.errors import DataError


def digest(path: Path, progress: Progress) -> str | None:
    """SHA-256 of a file, or of names and contents in a folder.

    None where it is neither, only a word to the class, or a folder that we write to ourselves.

    Raises:
        DataError: If it cannot be read.
    """
    if not (path.is_file() or path.is_dir()) or Path.cwd().is_relative_to(path.resolve()):
        return None
    files = sorted(_files(path)) if path.is_dir() else [path]
    total = hashlib.sha256()
    try:
        for done, file in enumerate(files):
            progress(f"reading {path.name}", done, len(files))
            with file.open("rb") as opened:
                here = hashlib.file_digest(opened, "sha256").hexdigest()
            total.update(f"{file.relative_to(path).as_posix()}\0{here}\n".encode())
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror}") from None
    return total.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    """Those in a folder, but for what programs leave behind; links are followed."""
    seen = {str(path.resolve()), *map(str, path.resolve().parents)}
    for folder, inner, names in os.walk(path, followlinks=True):
        shown = (name for name in sorted(inner) if not _is_left_behind(name))
        inner[:] = [name for name in shown if first_visit(os.path.join(folder, name), seen)]
        files = (Path(folder, name) for name in names if not _is_left_behind(name))
        yield from (file for file in files if file.is_file())


def _is_left_behind(name: str) -> bool:
    return name.startswith((".", "__pycache__"))
