"""Files that commands write: their names, and whether they can be."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from search_spaces.errors import DataError


def output_path(name: str, ending: str) -> Path:
    """``STUDY.ending`` in this folder; characters that a file name cannot have become underscores."""
    safe = "".join(c if c.isalnum() or c in "-_. " else "_" for c in name)
    return Path(f"{safe}{ending}")


def check_writable(path: Path) -> None:
    """Checks that a file can be written there; a DataError if it could not."""
    try:
        with suppress(FileNotFoundError):
            os.stat(path)  # says of a name that it is too long, which is_dir keeps to itself since 3.14
        if path.is_dir():
            raise DataError(f"cannot write {path}: it is a folder")
        if not path.parent.is_dir():
            raise DataError(f"cannot write {path}: there is no folder {path.parent}")
    except OSError as error:  # the name is too long
        raise DataError(f"cannot write {path.name[:40]}…: {error.strerror}") from None
    if not os.access(path.parent, os.W_OK):
        raise DataError(f"cannot write {path}: go to a folder that you may write to")
