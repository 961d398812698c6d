"""Which files of an archive are the images of which class."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from metanas.tasks.archive import Archive
from metanas.tasks.pictures import EXTENSIONS
from search_spaces.errors import DataError


@dataclass(frozen=True)
class Listing:
    """What an archive holds.

    Attributes:
        classes: Name of each class, sorted → its files, sorted. The folders that all classes share
            are left out of the names: ``Greek/character01``.
        notes: What was left out, for the user.
        root: The folders that all classes share, from the top.
    """

    classes: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]
    root: tuple[str, ...]


def list_classes(archive: Archive) -> Listing:
    """Finds the class folders, at any depth: a class is a folder that directly holds images.

    Raises:
        DataError: If there is no class, a class has one image, or a folder is empty.
    """
    visible = [name for name in archive.files if not _is_hidden(name)]
    images = [name for name in visible if PurePosixPath(name).suffix.lower() in EXTENSIONS]
    _refuse_unprintable(archive, images)
    in_classes = [name for name in images if "/" in name]
    if not in_classes:
        raise DataError(f"{archive.path} has no class folders with images: give each class its own")
    _refuse_empty(archive, visible)
    folders: dict[str, list[str]] = defaultdict(list)
    for name in in_classes:
        folders[name.rpartition("/")[0]].append(name)
    _refuse_single(archive, folders)
    shared = _shared_depth(folders)
    classes = {
        "/".join(folder.split("/")[shared:]): tuple(sorted(files)) for folder, files in folders.items()
    }
    root = tuple(next(iter(folders)).split("/")[:shared])
    return Listing(dict(sorted(classes.items())), _notes(archive, visible, images, len(in_classes)), root)


def group_of(name: str) -> str:
    """The level above a class: ``"Greek"`` for ``"Greek/character01"``, ``""`` where there is none."""
    return name.rpartition("/")[0]


def _shared_depth(folders: Iterable[str]) -> int:
    """How many leading folders all classes' parents share."""
    parents = [folder.split("/")[:-1] for folder in folders]
    depth = 0
    for level in zip(*parents, strict=False):
        if len(set(level)) > 1:
            break
        depth += 1
    return depth


def _is_hidden(name: str) -> bool:
    """Whether it is something that a system put there rather than a user."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _notes(archive: Archive, visible: Sequence[str], images: Sequence[str], used: int) -> tuple[str, ...]:
    others = set(visible) - set(images)
    kinds = Counter(PurePosixPath(name).suffix.lower() or "no extension" for name in sorted(others))
    counts = {
        "that are not images (" + ", ".join(kind for kind, _ in kinds.most_common(3)) + ")": kinds.total(),
        "that are hidden": len(archive.files) - len(visible),
        "that lie outside the class folders": len(images) - used,
    }
    return tuple(f"{archive.path.name}: left out {n} files {why}" for why, n in counts.items() if n)


def _refuse_single(archive: Archive, folders: dict[str, list[str]]) -> None:
    single = sorted(folder for folder, names in folders.items() if len(names) == 1)
    if single:
        more = f" and {len(single) - 1} more classes have" if len(single) > 1 else " has"
        raise DataError(
            f"{single[0]}{more} one image in {archive.path}: a class needs at least 2, "
            "one to learn from and one to be scored on; add images or take the folder out"
        )


def _refuse_empty(archive: Archive, visible: Iterable[str]) -> None:
    full = {str(parent) for name in visible for parent in PurePosixPath(name).parents}
    empty = [folder for folder in archive.folders if folder not in full and not _is_hidden(folder)]
    if empty:
        raise DataError(f"folder {empty[0]} of {archive.path} is empty: put images into it or take it out")


def _refuse_unprintable(archive: Archive, images: Iterable[str]) -> None:
    for name in images:
        if not name.isprintable():
            raise DataError(f"{archive.path} holds {name!a}: give it a name that can be printed")
