"""Folders and zips of files, read one file at a time; nothing is ever extracted to disk."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from metanas.tasks.family import Progress
from metanas.tasks.pictures import MAX_FILE_BYTES
from search_spaces.errors import DataError

# Others can unfold without a bound on memory, whatever size the entry declares.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_FAULTS = (zipfile.BadZipFile, OSError, RuntimeError, ValueError, EOFError, zlib.error)
_BLOCK = 2**22


class Archive(Protocol):
    """What a folder and a zip have in common; reading is safe from several threads.

    Attributes:
        path: Where it is.
        files: Names of its files, relative, with forward slashes, sorted.
        folders: Likewise of the folders that it names (a zip need not name any).
    """

    path: Path
    files: tuple[str, ...]
    folders: tuple[str, ...]

    def read(self, name: str) -> bytes:
        """The content of one of ``files``.

        Raises:
            DataError: If the file is too large, damaged or gone.
        """
        ...

    def digest(self, names: Sequence[str], progress: Progress) -> str:
        """SHA-256, in hexadecimal, that changes whenever the content of those files does."""
        ...


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Opens a zip or a folder for reading.

    Raises:
        DataError: If ``path`` is missing, neither a folder nor a whole zip, or a zip with an entry that
            lies outside it, is a link, is encrypted or is packed in an unbounded way.
    """
    if path.is_dir():
        yield Folder(path)
    elif path.exists():
        with _opened(path) as archive:
            yield Zip(path, archive)
    else:
        raise DataError(f"{path} does not exist: give a zip or a folder of class folders")


class Folder:
    """A folder on disk. Links are followed, each real folder once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        files: list[str] = []
        folders: list[str] = []
        real = path.resolve()
        seen = {str(real), *map(str, real.parents)}
        for folder, inner, names in os.walk(path, followlinks=True, onerror=_refuse):
            # Pruning `inner` in place is how os.walk is told where not to go.
            inner[:] = [name for name in sorted(inner) if first_visit(os.path.join(folder, name), seen)]
            prefix = Path(folder).relative_to(path)
            files += [(prefix / name).as_posix() for name in names]
            folders += [(prefix / name).as_posix() for name in inner]
        self.files, self.folders = tuple(sorted(files)), tuple(sorted(folders))

    def read(self, name: str) -> bytes:
        path = self.path / name
        try:
            info = path.stat()
            if not stat.S_ISREG(info.st_mode):
                raise DataError(f"{path} is not an ordinary file: take it out")
            _refuse_large(str(path), info.st_size)
            return path.read_bytes()
        except OSError as error:
            raise _unreadable(error) from None

    def digest(self, names: Sequence[str], progress: Progress) -> str:
        # Contents, not dates: a copied or restored folder can keep its dates and differ in its files.
        total = hashlib.sha256()
        for done, name in enumerate(names):
            progress(f"reading {self.path.name}", done, len(names))
            total.update(f"{name}\0{hashlib.sha256(self.read(name)).hexdigest()}\n".encode())
        return total.hexdigest()


class Zip:
    """A zip file, looked through for entries that could do harm before any is read."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        self._entries: dict[str, zipfile.ZipInfo] = {}
        folders: set[str] = set()
        for entry in archive.infolist():
            name = _safe_name(path, entry)
            if entry.filename.endswith(("/", "\\")):
                folders.add(name)
            elif name in self._entries:
                raise DataError(f"{path} holds {name!r} twice: make the zip anew")
            else:
                self._entries[name] = entry
        self.files, self.folders = tuple(sorted(self._entries)), tuple(sorted(folders))

    def read(self, name: str) -> bytes:
        entry, where = self._entries[name], f"{name} in {self.path}"
        _refuse_large(where, entry.file_size)
        try:
            return self._archive.read(entry)  # stops at the size it declares, then compares checksums
        except _FAULTS:
            raise DataError(f"{where} is damaged: fetch or make the zip again") from None

    def digest(self, names: Sequence[str], progress: Progress) -> str:
        """Of the zip's own bytes."""
        total, size = hashlib.sha256(), self.path.stat().st_size
        with self.path.open("rb") as file:
            while block := file.read(_BLOCK):
                total.update(block)
                progress(f"reading {self.path.name}", file.tell() >> 20, size >> 20)
        return total.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with path.open("rb") as file:
            begins_as_zip = file.read(2) == b"PK"
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise _unreadable(error) from None
    except _FAULTS:
        what = "a damaged or cut-short zip: fetch it again" if begins_as_zip else "neither a zip nor a folder"
        raise DataError(f"{path} is {what}") from None
    with archive:
        yield archive


def _safe_name(path: Path, entry: zipfile.ZipInfo) -> str:
    """The entry's name, normalised.

    Raises:
        DataError: If the entry would lie outside the zip's folder, is a link, or cannot be read safely.
    """
    name = entry.filename.replace("\\", "/")  # as some Windows programs write it
    parts = name.split("/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in parts:
        raise DataError(f"{path} holds {entry.filename!r}, which lies outside its folder: make the zip anew")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise DataError(f"{path} holds {name!r}, which is a link: put the file itself into the zip")
    if entry.flag_bits & 1:
        raise DataError(f"{path} is encrypted: unpack it and give the folder")
    if entry.compress_type not in _METHODS:
        raise DataError(f"{path} packs {name!r} in an unusual way: make the zip anew, with plain deflate")
    return "/".join(part for part in parts if part not in ("", "."))


def first_visit(folder: str, seen: set[str]) -> bool:
    """Whether a folder is a new one, by whatever name: links may lead in circles."""
    real = os.path.realpath(folder)
    new = real not in seen
    seen.add(real)
    return new


def _refuse_large(name: str, size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise DataError(f"{name} is larger than {MAX_FILE_BYTES >> 20} MiB: give a smaller image")


def _unreadable(error: OSError) -> DataError:
    return DataError(f"cannot read {error.filename}: {error.strerror or type(error).__name__}")


def _refuse(error: OSError) -> None:
    raise _unreadable(error) from None
