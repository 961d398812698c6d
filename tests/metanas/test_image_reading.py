"""Images from folders and zips: what is found, formats, names, pixels."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metanas.tasks import pictures
from metanas.testing.drawings import draw_class, draw_classes, zipped
from search_spaces.errors import DataError
from tests.metanas.image_files import NAMES, png, read, write_zip

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


def test_eight_bits_in_wide_integers_are_not_black() -> None:
    """What is left of an 8-bit picture after arithmetic in NumPy."""
    wide = Image.fromarray(np.asarray(ramp("L")).astype(np.int32))
    assert wide.mode == "I"
    np.testing.assert_array_equal(pictures.to_pixels(wide, 8), pictures.to_pixels(ramp("L"), 8))


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


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])  # which Pillow turns as it reads
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_upright(orientation: int, kind: str) -> None:
    upright = Image.effect_noise((8, 8), 90)
    upside = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # what undoes each
    held = upright
    if orientation > 1:
        held = upright.transpose(pictures._UPRIGHT[upside[orientation]])
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    held.save(file, kind, exif=exif)
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
