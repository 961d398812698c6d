"""Pictures in class folders: tasks are drawn from classes that were never seen before."""

from __future__ import annotations

import hashlib

import numpy as np

from metanas.tasks.decoding import Decoded, read_images
from metanas.tasks.family import Family, Source
from metanas.tasks.image_tasks import SPLITS, Images
from metanas.tasks.splits import Division, divide
from search_spaces.errors import DataError


def build(source: Source) -> Family:
    """The images of a zip or folder of class folders (PNG, JPEG, BMP, GIF, WebP, TIFF).

    A class is a folder that directly holds images, at any depth. The level above it is its group
    (of Omniglot: the alphabet) and lies in one split whole. How classes are shared out among the
    splits: :func:`metanas.tasks.splits.divide`.

    Args:
        source: ``path`` is needed; ``test_path``, if given, holds all test classes; ``splits`` is an
            official list for the classes of ``path``.

    Returns:
        An :class:`metanas.tasks.image_tasks.Images`.

    Raises:
        DataError: If anything of it cannot be used.
    """
    if source.has_columns:
        raise DataError(
            "images has no columns: leave --task, --target, --group, --features and --kind out, or take "
            "metanas search table"
        )
    if source.path is None:
        raise DataError("images needs a zip or a folder of class folders: metanas search images PATH")
    own = read_images(source.path, source.image_size, source.cache, source.progress)
    if source.test_path is None:
        return Images(own, divide(own.names, SPLITS, source.splits, str(source.path)))
    other = read_images(source.test_path, source.image_size, source.cache, source.progress)
    _refuse_shared(own, other, source)
    division = divide(own.names, ("train", "valid"), source.splits, str(source.path))
    splits = division.splits | dict.fromkeys(other.names, "test")
    return Images(_joined(own, other), Division(splits, division.unit, division.notes))


def _joined(own: Decoded, other: Decoded) -> Decoded:
    """Both as one, in RGB if either is."""
    channels = max(own.pixels.shape[1], other.pixels.shape[1])
    pixels = [np.repeat(part.pixels, channels // part.pixels.shape[1], axis=1) for part in (own, other)]
    return Decoded(
        names=own.names + other.names,
        counts=np.concatenate([own.counts, other.counts]),
        pixels=np.concatenate(pixels),
        digest=hashlib.sha256(f"{own.digest} {other.digest}".encode()).hexdigest(),
        notes=own.notes + other.notes,
        archives=(own.digest, other.digest),
    )


def _refuse_shared(own: Decoded, other: Decoded, source: Source) -> None:
    """Sees to it that test classes are unseen.

    Raises:
        DataError: If test classes may have been seen in training: a score on them would mislead.
    """
    shared = _shared(own, other)
    if shared:
        raise DataError(
            f"{len(shared)} classes are in both {source.path} and {source.test_path} ({shared[0]} …): "
            "test classes have to be unseen; take them out of one, or rename those that differ"
        )


def _shared(own: Decoded, other: Decoded) -> list[str]:
    """Classes of the one that the other has, too.

    Each leaves out of its names what all of its own classes share: the only group of the one,
    ``birds/robin``, is ``robin`` there and one of several in the other.
    """
    found: set[str] = set()
    for levels in {1 + name.count("/") for name in own.names + other.names}:
        a, b = (_by_tail(part, levels) for part in (own, other))
        found |= {a[tail] for tail in a.keys() & b.keys()}
    return sorted(found)


def _by_tail(part: Decoded, levels: int) -> dict[tuple[str, ...], str]:
    """Classes by the last levels of where they lie, where these have all that tells them apart there."""
    names = [name for name in part.names if name.count("/") < levels]
    return {(*part.root, *name.split("/"))[-levels:]: name for name in names}
