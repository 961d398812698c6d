"""Images from folders and zips: formats, names, the cache, and everything that can be wrong with them."""

from __future__ import annotations

import contextlib
import io
import os
import random
import stat
import struct
import subprocess
import sys
import zipfile
import zlib
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metanas.tasks import archive, cache, decoding, pictures
from metanas.tasks.class_folders import list_classes
from metanas.tasks.decoding import Decoded, read_images
from metanas.tasks.family import silent
from metanas.testing.drawings import draw_class, draw_classes, zipped
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


# --- what is found -------------------------------------------------------------------------------


@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("prefix", ["", "images_background/", "x/y/z/"])
def test_classes_at_any_depth(tmp_path: Path, prefix: str, as_zip: bool) -> None:
    folder = draw_classes(tmp_path / "data", [prefix + name for name in NAMES], 3)
    data = read(zipped(folder) if as_zip else folder)
    assert data.names == tuple(NAMES)
    assert data.counts.tolist() == [3, 3, 3, 3]
    assert data.pixels.shape == (12, 1, 8, 8)
    assert data.notes == ()


def test_a_folder_and_its_zip_give_the_same_pixels(tmp_path: Path) -> None:
    folder = draw_classes(tmp_path / "data", NAMES, mode="RGB")
    assert np.array_equal(read(folder).pixels, read(zipped(folder)).pixels)


def test_classes_may_lie_at_different_depths(tmp_path: Path) -> None:
    assert read(draw_classes(tmp_path / "data", ["a", "b/c", "b/d/e"])).names == ("a", "b/c", "b/d/e")


def test_what_is_no_image_of_a_class_is_left_out_and_counted(tmp_path: Path) -> None:
    folder = draw_classes(tmp_path / "data", NAMES)
    for name in ("readme.txt", "a/1/labels.csv", "b/LICENSE", ".DS_Store", "a/1/._0.png", "cover.png"):
        (folder / name).write_bytes(b"?")
    (folder / "__MACOSX/a").mkdir(parents=True)
    (folder / "__MACOSX/a/0.png").write_bytes(b"?")
    data = read(folder)
    assert data.names == tuple(NAMES)
    assert data.notes == (
        "data: left out 3 files that are not images (.csv, no extension, .txt)",
        "data: left out 3 files that are hidden",
        "data: left out 1 files that lie outside the class folders",
    )


@pytest.mark.parametrize("extension", ["png", "PNG", "jpg", "jpeg", "bmp", "gif", "webp", "tif", "tiff"])
def test_formats(tmp_path: Path, extension: str) -> None:
    for name in "abc":
        draw_class(tmp_path / "data" / name, 3, mode="RGB", extension=extension)
    assert read(tmp_path / "data").pixels.shape == (9, 3, 8, 8)


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    draw_classes(tmp_path / "elsewhere", ["c"])
    folder = draw_classes(tmp_path / "data", ["a", "b"])
    (folder / "c").symlink_to(tmp_path / "elsewhere" / "c")
    (folder / "again").symlink_to(folder / "a")
    (folder / "loop").symlink_to(folder)
    assert len(read(folder).names) == 3


def test_zips_made_on_windows(tmp_path: Path) -> None:
    path = write_zip(
        tmp_path / "data.zip", {f"x\\{name}\\{i}.png": png() for name in "abc" for i in range(2)}
    )
    assert read(path).names == ("a", "b", "c")


# --- pixels --------------------------------------------------------------------------------------


def ramp(mode: str) -> Image.Image:
    """Dark to light, left to right, 32 × 16."""
    return Image.fromarray(np.tile(np.linspace(0, 255, 32).astype(np.uint8), (16, 1))).convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I"])
def test_every_mode_is_the_same_picture(mode: str) -> None:
    image = ramp("L")
    if mode.startswith("I"):
        deep = np.asarray(image).astype(np.uint16 if mode == "I;16" else np.int32) * 257
        image = Image.fromarray(deep)
        assert image.mode == mode
    else:
        image = image.convert(mode)
    pixels = pictures.to_pixels(image, 8)
    assert len(pixels) == (3 if mode in ("RGB", "RGBA", "CMYK", "YCbCr") else 1)
    expected = pictures.to_pixels(ramp("L"), 8, len(pixels)).astype(int)
    assert np.abs(pixels - expected).max() <= (64 if mode == "1" else 3)
    assert pictures.to_pixels(image, 8, 1).shape == (1, 8, 8)
    assert pictures.to_pixels(image, 8, 3).shape == (3, 8, 8)


def test_pixels_without_a_fixed_range_are_refused() -> None:
    with pytest.raises(DataError, match="floating-point pixels"):
        pictures.to_pixels(ramp("F"), 8)
    with pytest.raises(DataError, match="beyond 16 bits"):
        pictures.to_pixels(Image.fromarray(np.full((8, 8), 1 << 20, np.int32)), 8)


def test_what_is_transparent_is_white() -> None:
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 4, 8))
    pixels = pictures.to_pixels(image, 8)
    assert pixels[:, 4, 1].tolist() == [255, 0, 0]
    assert pixels[:, 4, 6].tolist() == [255, 255, 255]


def test_coloured_palettes_are_rgb() -> None:
    image = Image.new("RGB", (8, 8), (200, 30, 30)).quantize(4)
    assert image.mode == "P"
    assert pictures.to_pixels(image, 8).shape == (3, 8, 8)


def test_resizing_is_antialiased() -> None:
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (64, 32)))
    pixels = pictures.to_pixels(stripes, 8)
    assert np.abs(pixels.astype(int) - 127).max() < 12, "every second column would have been 0 or 255"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_upright(orientation: int) -> None:
    upright = Image.effect_noise((8, 8), 90)
    upside = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # what undoes each
    held = upright
    if orientation > 1:
        held = upright.transpose(pictures._UPRIGHT[upside[orientation]])
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    held.save(file, "PNG", exif=exif)
    assert np.array_equal(pictures.decode(file.getvalue(), "x", 8), pictures.to_pixels(upright, 8))


def test_a_learner_sees_what_was_trained_on(tmp_path: Path) -> None:
    for name, mode in {"a": "L", "b": "RGB", "c": "1"}.items():
        draw_class(tmp_path / "data" / name, 2, size=22, mode=mode)
    data = read(tmp_path / "data", 9)
    assert data.pixels.shape == (6, 3, 9, 9), "grey and RGB together are RGB"
    preprocessing = {"size": 9, "channels": 3, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.1, 0.3]}
    trained = pictures.standardise(torch.from_numpy(data.pixels), preprocessing)
    for row, file in enumerate(sorted((tmp_path / "data").rglob("*.png"))):
        with Image.open(file) as image:
            assert torch.equal(pictures.prepare(image, preprocessing), trained[row])
        assert torch.equal(pictures.prepare_file(file, preprocessing), trained[row])
    by_hand = (data.pixels / 255.0 - np.reshape([0.5, 0.4, 0.3], (3, 1, 1))) / np.reshape(
        [0.2, 0.1, 0.3], (3, 1, 1)
    )
    assert trained.dtype == torch.float32
    np.testing.assert_allclose(trained.numpy(), by_hand, atol=1e-5)


def test_preparing_leaves_the_users_image_alone() -> None:
    image = ramp("RGB")
    before = image.tobytes()
    pictures.prepare(image, {"size": 8, "channels": 1, "mean": [0.0], "std": [1.0]})
    assert (image.size, image.mode, image.tobytes()) == ((32, 16), "RGB", before)


def test_a_learners_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"?")
    for name in ("x.png", "none.png"):
        with pytest.raises(DataError, match=name):
            pictures.prepare_file(tmp_path / name, {"size": 8, "channels": 1, "mean": [0], "std": [1]})


def test_pictures_load_neither_torch_nor_zip_machinery() -> None:
    program = (
        "import sys, metanas.tasks.pictures\n"
        "print([m for m in ('torch', 'metanas.tasks.archive', 'metanas.tasks.cache') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


# --- the cache -----------------------------------------------------------------------------------


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


# --- what can be wrong -----------------------------------------------------------------------------


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
