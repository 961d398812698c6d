"""All images of an archive as one array: decoded in parallel once, then read from the cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from metanas.tasks import cache
from metanas.tasks.archive import Archive, open_archive
from metanas.tasks.class_folders import list_classes
from metanas.tasks.family import Progress
from metanas.tasks.pictures import Pixels, decode, strict_pillow
from search_spaces.errors import DataError

VERSION = 2  # of the cached form; to be raised whenever pictures.to_pixels gives other pixels
MAX_SIZE = 1024
MAX_BYTES = 16 * 2**30
_THREADS = 8  # at most; each may hold an image of MAX_IMAGE_PIXELS
_CHUNK = 32  # images; small, so that Ctrl-C and a broken image end the work soon


@dataclass(frozen=True)
class Decoded:
    """The images of an archive.

    Attributes:
        names: Of its K classes, sorted.
        counts: ``(K,)`` int64: images of each class, at least 2.
        pixels: ``(N, C, H, W)`` uint8, class after class.
        digest: SHA-256 of the archive's content.
        notes: What was left out, for the user.
        archives: Digests of those that were joined to it; none: it is of one.
        root: The archive's own name, and the folders that all classes share.
    """

    names: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    pixels: Pixels
    digest: str
    notes: tuple[str, ...]
    archives: tuple[str, ...] = ()
    root: tuple[str, ...] = ()


def read_images(path: Path, size: int, cache_path: Path | None, progress: Progress) -> Decoded:
    """Reads a zip or folder of class folders.

    Args:
        path: Of the zip or folder.
        size: Height and width that images are resized to, in pixels.
        cache_path: Where to keep the decoded images; None: see :func:`cache.cache_folder`.
        progress: Told of every few images.

    Returns:
        Grey (C = 1) if all images are, else RGB (C = 3).

    Raises:
        DataError: If anything in it cannot be used; the file or class is named.
    """
    if not 1 <= size <= MAX_SIZE:
        raise DataError(f"the image size should be between 1 and {MAX_SIZE} pixels, not {size}")
    with open_archive(path) as archive:
        listing = list_classes(archive)
        files = [name for names in listing.classes.values() for name in names]
        _refuse_many(path, len(files), size)
        digest = archive.digest(files, progress)
        folder, key = cache.cache_folder(cache_path), f"images-{digest}-{size}-v{VERSION}"
        counts = np.array([len(names) for names in listing.classes.values()], dtype=np.int64)
        class_of = np.repeat(np.arange(len(counts)), counts)
        pixels = _from_cache(cache.load(folder, key) or {}, class_of, size)
        notes = listing.notes
        if pixels is None:
            pixels = decode_all(archive, files, size, progress)
            if not cache.save(folder, key, {"pixels": pixels, "class_of": class_of}):
                notes += (f"{path.name} is decoded anew each time: cannot write to the cache {folder}",)
    root = (path.resolve().stem, *listing.root)
    return Decoded(tuple(listing.classes), counts, pixels, digest, notes, root=root)


def decode_all(archive: Archive, files: Sequence[str], size: int, progress: Progress) -> Pixels:
    """Decodes images in threads.

    Threads, because Pillow lets go of Python's lock while it decodes large images, and a small one takes
    60 µs, less than it takes to hand it to a process (which would also run the user's script again).

    Returns:
        ``(N, C, H, W)`` uint8, in the order of ``files``; C = 1 if all are grey, else 3.

    Raises:
        DataError: If a file is not a whole image; the first such one is named.
    """

    def work(names: Sequence[str]) -> list[Pixels]:
        return [decode(archive.read(name), f"{name} in {archive.path}", size) for name in names]

    images: list[Pixels] = []
    pool = ThreadPoolExecutor(max_workers=min(_THREADS, os.cpu_count() or 1))
    try:
        with strict_pillow():
            for part in pool.map(work, [files[i : i + _CHUNK] for i in range(0, len(files), _CHUNK)]):
                images += part
                progress("decoding images", len(images), len(files))
    finally:
        pool.shutdown(cancel_futures=True)
    channels = max(len(image) for image in images)
    pixels = np.empty((len(images), channels, size, size), dtype=np.uint8)
    for row, image in zip(pixels, images, strict=True):
        row[:] = image  # a grey image among coloured ones is repeated, as pictures.to_pixels does it
    return pixels


def _from_cache(arrays: cache.Arrays, class_of: npt.NDArray[np.int64], size: int) -> Pixels | None:
    """The cached pixels, if they are what should have been cached."""
    pixels = arrays.get("pixels")
    if pixels is None or pixels.dtype != np.uint8 or not np.array_equal(arrays.get("class_of", ()), class_of):
        return None
    return pixels if pixels.shape in [(len(class_of), channels, size, size) for channels in (1, 3)] else None


def _refuse_many(path: Path, count: int, size: int) -> None:
    need = 3 * count * size * size
    if need > MAX_BYTES:
        raise DataError(
            f"the {count} images of {path} take {need / 2**30:.0f} GiB at {size} pixels "
            f"(most: {MAX_BYTES >> 30}): choose a smaller image size, or take fewer images"
        )
