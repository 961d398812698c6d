"""Arrays that took long to make, kept on disk by the content that they were made from."""

from __future__ import annotations

import os
import sys
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from metanas.atomic import replacing

Arrays = Mapping[str, npt.NDArray[Any]]


def cache_folder(chosen: Path | None) -> Path | None:
    """The folder to cache in: the chosen one, else ``METANAS_CACHE``, else the platform's; None if none."""
    if chosen:
        return chosen
    if own := os.environ.get("METANAS_CACHE"):
        return Path(own).expanduser()
    try:
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "metanas"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "metanas"
    except RuntimeError:  # no home
        return None


def load(folder: Path | None, key: str) -> dict[str, npt.NDArray[Any]] | None:
    """What :func:`save` kept under ``key``; None if there is nothing, or nothing whole."""
    if folder is None:
        return None
    try:
        # Opened here: np.load leaves a file open that turns out to be broken.
        with (folder / f"{key}.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error):
        return None


def save(folder: Path | None, key: str, arrays: Arrays) -> bool:
    """Keeps the arrays under ``key``; readers see all of them or none, whoever else writes.

    Returns:
        False if the folder cannot be written, which costs time but is no error.
    """
    if folder is None:
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / f"{key}.npz") as file:
            np.savez(file, **dict(arrays))  # type: ignore[arg-type]  # no array is called allow_pickle
        return True
    except OSError:  # most likely no room
        return False
