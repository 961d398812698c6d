"""A sealed zip: plain enough for any unzip, and no byte of it can change unnoticed.

Members are stored as they are, so that equal content gives equal bytes with every version of zlib and
no member can unfold to more than the file holds. The zip's comment, the last bytes of the file, is the
SHA-256 of everything before it: checked before anything else is looked at.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from metanas.atomic import replacing
from search_spaces.errors import LearnerFileError

MANIFEST = "manifest.json"
SMALL, LARGE = 2**24, 2**30  # bytes: of the manifest and the card, of anything else
_MOST = LARGE + 2 * SMALL + 2**20  # bytes of the whole file
_MEMBERS = 16
_MARK = b"metanas sha256 "
SEAL = len(_MARK) + 64
_END = 22  # bytes of the zip's last record, before its comment
_BLOCK = 2**20
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can state
_DAMAGED = "it is cut short or damaged: copy it again, or export it anew"
_ALTERED = "it was altered after it was written: export it anew"
# what zipfile raises on bytes that are not what they claim to be
_FAULTS = (zipfile.BadZipFile, OSError, RuntimeError, ValueError, EOFError, LookupError, OverflowError)


def write(path: Path, members: Mapping[str, bytes]) -> None:
    """Writes the members; equal members give equal bytes.

    Raises:
        LearnerFileError: If the file cannot be written, or could not be read again for its size.
    """
    for name, data in members.items():
        _check_size(name, len(data))
    try:
        with replacing(path) as handle:
            with zipfile.ZipFile(handle, "w") as archive:
                for name, data in members.items():
                    archive.writestr(_entry(name), data)
                archive.comment = _MARK.ljust(SEAL, b"0")
            end = handle.tell() - SEAL
            right = seal(handle, end)
            handle.seek(end)
            handle.write(right)
    except OSError as error:
        raise LearnerFileError(f"it cannot be written ({error.strerror}): choose another place") from None


def read(path: Path) -> dict[str, bytes]:
    """The members, as they were written.

    Raises:
        LearnerFileError: If the file is missing, foreign, cut short, altered or larger than allowed.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise LearnerFileError("it is not a file: name a .metanas file")
        with open(path, "rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            _check_seal(handle, size)
            return _members(handle, size)
    except OSError as error:
        raise LearnerFileError(f"it cannot be read ({error.strerror}): is the path right?") from None
    except ValueError:  # of a path that no file can have
        raise LearnerFileError("it cannot be read: is the path right?") from None


def seal(handle: BinaryIO, end: int) -> bytes:
    """What the last bytes of a file should be, given those before ``end``; SEAL of them."""
    digest = hashlib.sha256()
    handle.seek(0)
    while block := handle.read(min(_BLOCK, end - handle.tell())):
        digest.update(block)
    return _MARK + digest.hexdigest().encode()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _LONG_AGO)
    entry.create_system, entry.external_attr = 3, 0o644 << 16  # the same on every system
    return entry


def _check_seal(handle: BinaryIO, size: int) -> None:
    handle.seek(0)
    if handle.read(4) != b"PK\x03\x04":
        raise LearnerFileError("it is not a learner file: name one that metanas wrote")
    if size > _MOST:
        raise LearnerFileError(
            f"it is larger than a learner can be ({_MOST >> 20} MiB): it is not one of ours"
        )
    handle.seek(max(0, size - SEAL))
    found = handle.read()
    if not found.startswith(_MARK):
        foreign = zipfile.is_zipfile(handle)
        raise LearnerFileError(
            "is a zip, but not one that metanas wrote: export it anew" if foreign else _DAMAGED
        )
    if found != seal(handle, size - SEAL):
        raise LearnerFileError(_ALTERED)


def _members(handle: BinaryIO, size: int) -> dict[str, bytes]:
    _check_directory(handle, size - SEAL - _END)
    try:
        with zipfile.ZipFile(handle) as archive:
            entries = archive.infolist()
            _check(entries, size)
            return {entry.filename: archive.read(entry) for entry in entries}
    except _FAULTS:
        raise LearnerFileError(_DAMAGED) from None


def _check_directory(handle: BinaryIO, end: int) -> None:
    """Sees to it that zipfile reads a short list of members, whatever the file claims."""
    handle.seek(max(0, end - 20))
    before, last = handle.read(20), handle.read(_END)
    count, length = int.from_bytes(last[10:12], "little"), int.from_bytes(last[12:16], "little")
    # the mark before it would send zipfile to another, larger list
    if not last.startswith(b"PK\x05\x06") or before.startswith(b"PK\x06\x07"):
        raise LearnerFileError(_DAMAGED)
    if count > _MEMBERS or length > SMALL:
        raise LearnerFileError(f"it holds more than {_MEMBERS} members: it is not one of ours")


def _check(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Names and sizes, before memory is taken."""
    names = [entry.filename for entry in entries]
    if MANIFEST not in names:
        raise LearnerFileError(f"it is a zip, but not a learner: it has no {MANIFEST}")
    for entry in entries:
        if not _is_plain(entry.filename) or names.count(entry.filename) > 1:
            raise LearnerFileError(
                f"has a member {entry.filename!a}, twice or outside of it: do not trust it"
            )
        if (
            entry.compress_type != zipfile.ZIP_STORED
            or entry.flag_bits & 1
            or entry.file_size != entry.compress_size
        ):
            raise LearnerFileError(f"it has a packed member {entry.filename}: export it anew")
        _check_size(entry.filename, entry.file_size)
    if sum(entry.file_size for entry in entries) > size:
        raise LearnerFileError("it claims more than it holds: do not trust it")


def _check_size(name: str, size: int) -> None:
    if size > (SMALL if name.endswith((".json", ".md")) else LARGE):
        raise LearnerFileError(f"it has a member {name} of {size:,} bytes: too large")


def _is_plain(name: str) -> bool:
    return (
        name.isascii()
        and name.isprintable()
        and not set(name) & set("/\\:")
        and name.strip(". ") == name != ""
    )
