"""Everything that can be wrong with images in folders and zips."""

from __future__ import annotations

import contextlib
import os
import random
import stat
import struct
import zipfile
import zlib
from itertools import chain
from pathlib import Path

import pytest

from metanas.tasks import archive, decoding, pictures
from metanas.tasks.class_folders import list_classes
from metanas.testing.drawings import draw_class, draw_classes, zipped
from search_spaces.errors import DataError
from tests.metanas.image_files import NAMES, good, png, read, refuse, write_zip


def test_a_missing_path(tmp_path: Path) -> None:
    refuse(tmp_path / "none.zip", "does not exist: give a zip or a folder")


def test_no_class_folders(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    refuse(tmp_path / "data", "has no class folders with images")
    (tmp_path / "data/0.png").write_bytes(png())
    refuse(tmp_path / "data", "has no class folders with images")
    refuse(write_zip(tmp_path / "empty.zip", {}), "has no class folders with images")


@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
def test_an_empty_class_folder(tmp_path: Path, as_zip: bool) -> None:
    folder = draw_classes(tmp_path / "data", NAMES)
    (folder / "a/3").mkdir()
    refuse(zipped(folder) if as_zip else folder, "folder .*a/3 of .* is empty")


def test_a_class_with_one_image(tmp_path: Path) -> None:
    folder = draw_classes(tmp_path / "data", NAMES)
    draw_class(folder / "d", 1)
    refuse(folder, "^d has one image in .* needs at least 2")
    draw_class(folder / "e", 1)
    refuse(folder, "^d and 1 more classes have one image")


@pytest.mark.parametrize("size", [0, -1, 5000])
def test_sizes_that_make_no_sense(tmp_path: Path, size: int) -> None:
    with pytest.raises(DataError, match=f"between 1 and 1024 pixels, not {size}"):
        read(tmp_path, size)


def test_more_images_than_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_BYTES", 1000)
    refuse(draw_classes(tmp_path / "data", NAMES), "choose a smaller image size")


@pytest.mark.parametrize("data", [b"", b"hello", b"\x1f\x8b" * 50], ids=["empty", "text", "gzip"])
def test_a_file_that_is_no_zip(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "data.zip").write_bytes(data)
    refuse(tmp_path / "data.zip", "is neither a zip nor a folder")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_zip_that_is_cut_short(tmp_path: Path, share: float) -> None:
    path = write_zip(tmp_path / "data.zip", good())
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    refuse(path, "is a damaged or cut-short zip: fetch it again")


def test_a_damaged_entry_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", good(), zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(b"b/1.png") + 40] ^= 0xFF
    path.write_bytes(data)
    refuse(path, r"b/1\.png in .*data\.zip is damaged")


@pytest.mark.parametrize(
    "name", ["../x.png", "a/../../x.png", "/etc/x.png", "C:/x.png", "c:x.png", "..\\x.png", "\\\\host\\x.png"]
)
def test_entries_outside_the_zip(tmp_path: Path, name: str) -> None:
    path = write_zip(tmp_path / "data.zip", good() | {name: png()})
    refuse(path, "lies outside its folder")
    assert [file.name for file in tmp_path.iterdir()] == ["data.zip"], "nothing is written"


def test_links_in_a_zip(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", good())
    with zipfile.ZipFile(path, "a") as file:
        link = zipfile.ZipInfo("a/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "/etc/passwd")
    refuse(path, "a/link.png', which is a link")


def test_encrypted_zips(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", good())
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    refuse(path, "is encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packing_without_a_bound_on_memory(tmp_path: Path, method: int) -> None:
    refuse(write_zip(tmp_path / "data.zip", good(), method), "in an unusual way")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_come_twice(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", good() | {"a//0.png": png()})
    refuse(path, "holds 'a/0.png' twice")


def test_names_that_cannot_be_printed(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", good() | {"a/\x1b[2J\n.png": png()})
    refuse(path, "give it a name that can be printed")


def test_zip_bombs_are_refused_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 2**20)
    unpacked: list[str] = []
    real = zipfile.ZipFile.read

    def noting(self: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
        unpacked.append(entry.filename)
        return real(self, entry)

    monkeypatch.setattr(zipfile.ZipFile, "read", noting)
    refuse(
        write_zip(tmp_path / "data.zip", good() | {"a/bomb.png": bytes(2**20 + 1)}),
        r"a/bomb\.png in .* is larger than 1 MiB",
    )
    assert "a/bomb.png" not in unpacked


def test_zip_bombs_that_lie_about_their_size(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", good() | {"a/0.png": bytes(50_000_000)})
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 50_000_000), struct.pack("<I", 100)))
    refuse(path, r"a/0\.png in .* is damaged")


def png_of(width: int, height: int) -> bytes:
    """The header of a PNG of that many pixels, with next to nothing behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packed = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 20_000], ids=["Pillow would warn", "Pillow would refuse"])
def test_images_of_too_many_pixels(tmp_path: Path, side: int) -> None:
    path = write_zip(tmp_path / "data.zip", good() | {"c/big.png": png_of(side, side)})
    refuse(path, r"c/big\.png in .* has too many pixels")
    (tmp_path / "big.png").write_bytes(png_of(side, side))
    with pytest.raises(DataError, match="has too many pixels"):
        pictures.prepare_file(tmp_path / "big.png", {"size": 8, "channels": 1, "mean": [0], "std": [1]})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not an image that can be read"),
        (b"GIF, honestly", "is not an image that can be read"),
        (b"%!PS-Adobe-3.0\nquit", "is not an image that can be read"),
        (png()[:60], "is a broken image"),
    ],
    ids=["empty", "text", "another format", "cut short"],
)
def test_broken_images_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    folder = draw_classes(tmp_path / "data", NAMES)
    (folder / "b/1/broken.png").write_bytes(data)
    refuse(folder, f"b/1/broken.png in .* {message}")
    assert not list(tmp_path.glob("cache/*")), "nothing half-done is kept"


def test_a_large_file_or_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = draw_classes(tmp_path / "data", NAMES)
    os.mkfifo(folder / "a/1/pipe.png")
    refuse(folder, "pipe.png is not an ordinary file")
    (folder / "a/1/pipe.png").unlink()
    (folder / "a/1/gone.png").symlink_to(tmp_path / "nowhere")
    refuse(folder, "cannot read .*gone.png: No such file")
    (folder / "a/1/gone.png").unlink()
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 20)
    refuse(folder, "is larger than")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path: Path) -> None:
    folder = draw_classes(tmp_path / "data", NAMES)
    path = zipped(folder)
    for locked in (folder / "a/1/0.png", folder / "a", path):
        locked.chmod(0)
    refuse(path, "cannot read .*: Permission denied")
    refuse(folder, "cannot read .*: Permission denied")
    (folder / "a").chmod(0o700)
    refuse(folder, "cannot read .*0.png: Permission denied")


@pytest.mark.parametrize("extension", ["png", "jpg", "bmp", "gif", "webp", "tif"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of odd metadata
def test_no_bytes_make_the_decoder_fail_otherwise(tmp_path: Path, extension: str) -> None:
    draw_class(tmp_path / "a", 1, size=16, mode="RGB", extension=extension)
    whole = (tmp_path / f"a/0.{extension}").read_bytes()
    source = random.Random(0)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(source.randint(1, 4)):
            data[source.randrange(min(len(data), 120 if source.random() < 0.7 else 10**9))] = (
                source.randrange(256)
            )
        with contextlib.suppress(DataError), pictures.strict_pillow():
            pictures.decode(bytes(data), "file", 8)


def test_no_bytes_make_the_zip_reader_fail_otherwise(tmp_path: Path) -> None:
    whole = write_zip(tmp_path / "whole.zip", good()).read_bytes()
    source, path = random.Random(0), tmp_path / "data.zip"
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(source.randint(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        path.write_bytes(data)
        with contextlib.suppress(DataError), archive.open_archive(path) as opened:
            for name in chain.from_iterable(list_classes(opened).classes.values()):
                opened.read(name)
