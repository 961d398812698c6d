"""Small class folders of drawn pictures, for tests that need images."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def draw_class(folder: Path, images: int, *, size: int = 8, mode: str = "L", extension: str = "png") -> None:
    """Draws a class: blocks in a pattern of its own, with noise, so that no two images are alike.

    Args:
        folder: To be made; its name and its parent's seed what is drawn.
        images: How many; they are called ``0.png``, ``1.png`` and so on.
        size: Height and width, in pixels.
        mode: Of the images, as Pillow calls it.
        extension: Says what format they are written in.
    """
    folder.mkdir(parents=True)
    generator = np.random.default_rng(list("/".join(folder.parts[-2:]).encode()))
    pattern = np.kron(generator.integers(60, 196, (2, 2, 3)), np.ones((size // 2, size // 2, 1)))
    for index in range(images):
        pixels = pattern + generator.integers(-60, 60, (size, size, 3))
        image = Image.fromarray(pixels.astype(np.uint8))
        image.convert(mode).save(folder / f"{index}.{extension}")


def draw_classes(folder: Path, names: Iterable[str], images: int = 5, *, mode: str = "L") -> Path:
    """Draws class folders.

    Args:
        folder: That they lie in.
        names: Of the classes, like ``"Greek/alpha"``.
        images: A class.
        mode: Of the images, as Pillow calls it.

    Returns:
        ``folder``.
    """
    for name in names:
        draw_class(folder / name, images, mode=mode)
    return folder


def zipped(folder: Path) -> Path:
    """Zips a folder, itself included, beside it.

    Returns:
        Of the zip.
    """
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return path
