"""Images in folders and zips, good and bad, as tests of reading them make them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from metanas.tasks.decoding import Decoded, read_images
from metanas.tasks.family import silent
from search_spaces.errors import DataError

NAMES = ["a/1", "a/2", "b/1", "c/1"]


def read(path: Path, size: int = 8) -> Decoded:
    """Without help from what other tests cached."""
    return read_images(path, size, path.parent / "cache", silent)


def refuse(path: Path, message: str, size: int = 8) -> None:
    """Expects one line that says ``message``."""
    with pytest.raises(DataError, match=message) as caught:
        read(path, size)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def png(mode: str = "L", size: tuple[int, int] = (8, 8)) -> bytes:
    file = io.BytesIO()
    Image.effect_noise(size, 60).convert(mode).save(file, "PNG")
    return file.getvalue()


def write_zip(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return path


def good() -> dict[str, bytes]:
    return {f"{name}/{i}.png": png() for name in "abc" for i in range(2)}
