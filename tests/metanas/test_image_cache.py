"""The cache of decoded images."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from metanas.tasks import cache, decoding
from metanas.tasks.decoding import read_images
from metanas.testing.drawings import draw_classes, zipped
from tests.metanas.image_files import NAMES, read


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that images were decoded."""
    calls: list[int] = []
    real = decoding.decode_all

    def counting(*arguments: object) -> object:
        calls.append(1)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(decoding, "decode_all", counting)
    return calls


@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
def test_images_are_decoded_once(tmp_path: Path, decoded: list[int], as_zip: bool) -> None:
    folder = draw_classes(tmp_path / "data", NAMES)
    path = zipped(folder) if as_zip else folder
    first, second = read(path), read(path)
    assert len(decoded) == 1
    assert np.array_equal(first.pixels, second.pixels)
    assert (first.names, first.digest) == (second.names, second.digest)
    read(path, 10)
    assert len(decoded) == 2, "another size is another cache"


def test_the_cache_goes_by_content_not_by_date(tmp_path: Path, decoded: list[int]) -> None:
    folder = draw_classes(tmp_path / "data", NAMES)
    first, file = read(folder), folder / "a/1/0.png"
    before = file.stat()
    other = bytearray(file.read_bytes())
    file.write_bytes((folder / "a/1/1.png").read_bytes().ljust(len(other), b"\0")[: len(other)])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    second = read(folder)
    assert first.digest != second.digest
    assert len(decoded) == 2
    folder.rename(tmp_path / "moved")
    read(tmp_path / "moved")
    assert len(decoded) == 2, "the same content elsewhere need not be decoded again"


def spoil(file: Path, how: str) -> None:
    data = bytearray(file.read_bytes())
    if how == "cut short":
        file.write_bytes(data[: len(data) // 2])
    elif how == "one bit":
        data[len(data) // 3] ^= 1
        file.write_bytes(data)
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "pickled":
        np.savez(file, pixels=np.array([{}], dtype=object), class_of=np.zeros(1, int))
    elif how == "another shape":
        np.savez(file, pixels=np.zeros((3, 1, 8, 8), np.uint8), class_of=np.zeros(3, int))
    elif how == "other classes":
        arrays = dict(np.load(file))
        np.savez(file, **{**arrays, "class_of": arrays["class_of"][::-1]})


@pytest.mark.parametrize(
    "how", ["cut short", "one bit", "empty", "pickled", "another shape", "other classes"]
)
def test_a_damaged_cache_is_made_anew(tmp_path: Path, decoded: list[int], how: str) -> None:
    folder = draw_classes(tmp_path / "data", NAMES)
    first = read(folder)
    (file,) = (tmp_path / "cache").iterdir()
    spoil(file, how)
    assert np.array_equal(read(folder).pixels, first.pixels)
    assert len(decoded) == 2
    read(folder)
    assert len(decoded) == 2, "it is whole again"


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    folder = draw_classes(tmp_path / "data", NAMES)
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert read(folder).notes == (
        f"data is decoded anew each time: cannot write to the cache {tmp_path}/cache",
    )


def test_no_room_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert read(draw_classes(tmp_path / "data", NAMES)).notes
    assert not list((tmp_path / "cache").iterdir())


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("METANAS_CACHE", "~/mine")
    assert cache.cache_folder(Path("chosen")) == Path("chosen")
    assert cache.cache_folder(None) == tmp_path / "mine"
    monkeypatch.delenv("METANAS_CACHE")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.cache_folder(None) == tmp_path / "Library/Caches/metanas"
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache.cache_folder(None) == tmp_path / ".cache/metanas"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_folder(None) == tmp_path / "xdg/metanas"


def test_two_processes_share_a_cache(tmp_path: Path) -> None:
    """Both decode, write and read at once, again and again; neither ever sees half a file."""
    program = (
        "import sys, numpy as np; from pathlib import Path; from metanas.tasks import cache\n"
        "for turn in range(60):\n"
        "    cache.save(Path(sys.argv[1]), 'k', {'x': np.full(200_000, int(sys.argv[2]), np.uint8)})\n"
        "    x = cache.load(Path(sys.argv[1]), 'k')['x']\n"
        "    assert len(x) == 200_000 and (x == x[0]).all()\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), n]) for n in "12"]
    assert [process.wait(timeout=100) for process in both] == [0, 0]
    assert [file.name for file in tmp_path.iterdir()] == ["k.npz"]


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    folder = draw_classes(tmp_path / "data", NAMES, 20)
    read_images(folder, 8, tmp_path / "cache", lambda *what: told.append(what))
    assert ("decoding images", 80, 80) in told
    assert all(done <= total for _, done, total in told)
