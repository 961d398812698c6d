"""Adapting to a task that lies in folders of images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from metanas.learner.learner import Learner
from metanas.learner.tables import PREDICTION, PROBABILITY, Answers, predictions
from metanas.tasks.archive import first_visit
from metanas.tasks.pictures import EXTENSIONS, strict_pillow
from search_spaces.errors import DataError

_BLOCK = 256  # images read at once


def adapt_folders(learner: Learner, support_path: Path, query_path: Path) -> Answers:
    """Learns from class folders of images and predicts the images of another folder.

    Args:
        learner: Whose examples are images, to be told apart.
        support_path: A folder of class folders; a class is a folder that directly holds images, and is
            called by its path below ``support_path``.
        query_path: An image, or a folder with images at any depth.

    Returns:
        Rows ``path, prediction, probability``, sorted by path.

    Raises:
        DataError: If there are no images or classes, or one cannot be read; it is named.
    """
    if learner.manifest.preprocessing["kind"] != "image" or learner.signature.kind != "classification":
        raise DataError("this learner does not tell images apart: give two CSV files")
    if support_path.is_file():
        raise DataError(f"{support_path} is a file: give a folder of class folders")
    examples = _images(support_path)
    if outside := [path for path in examples if path.parent == support_path]:
        raise DataError(f"{outside[0]} lies in no class folder: give each class of {support_path} its own")
    labels = [path.parent.relative_to(support_path).as_posix() for path in examples]
    rows: list[list[Any]] = []
    with strict_pillow():
        model = learner.adapt(examples, labels)
        queries = _images(query_path)
        for first in range(0, len(queries), _BLOCK):
            block = queries[first : first + _BLOCK]
            found = zip(*predictions(model, block, len(block)).values(), strict=True)
            rows += [[str(path), *more] for path, more in zip(block, found, strict=True)]
    return Answers(["path", PREDICTION, PROBABILITY], rows, len(examples))


def _images(path: Path) -> list[Path]:
    """The images at or below a path, sorted; hidden ones, and files that are no images, are left out."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path} does not exist: give a folder of images")
    found, seen = [], {str(path.resolve()), *map(str, path.resolve().parents)}
    for folder, inner, names in os.walk(path, followlinks=True, onerror=_refuse):
        # pruning `inner` in place is how os.walk is told where not to go
        shown = (name for name in sorted(inner) if not _is_hidden(name))
        inner[:] = [name for name in shown if first_visit(os.path.join(folder, name), seen)]
        found += [Path(folder, name) for name in sorted(names) if _is_image(name)]
    if not found:
        raise DataError(f"{path} holds no images ({', '.join(sorted(EXTENSIONS))}): put some into it")
    return sorted(found)


def _is_hidden(name: str) -> bool:
    """Whether it is something that a system put there rather than a user."""
    return name.startswith(".") or name == "__MACOSX"


def _is_image(name: str) -> bool:
    return not _is_hidden(name) and Path(name).suffix.lower() in EXTENSIONS


def _refuse(error: OSError) -> None:
    raise DataError(f"cannot read {error.filename}: {error.strerror}")
