"""From a picture to what a network sees: the one way, for training data and for a learner's user.

Importing this module loads neither torch nor anything of zips and caches.
"""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from search_spaces.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

Pixels = npt.NDArray[np.uint8]

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")  # the only decoders that are let near a file
EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
MAX_FILE_BYTES = 256 * 2**20
_ORIENTATION = 0x0112  # EXIF tag: how the camera was held
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's decoders raise on bytes that are not what they claim to be.
_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    Warning,  # of odd metadata, in a program that makes errors of them
    struct.error,
    zlib.error,
)


def prepare(image: Image.Image, preprocessing: Mapping[str, Any]) -> Tensor:
    """What a learner sees of an image: the same as at training.

    Args:
        image: Of any size and mode; it is left as it is.
        preprocessing: A family's: ``size`` in pixels, ``channels`` (1 or 3), ``mean`` and ``std`` per
            channel, of values in [0, 1].

    Returns:
        ``(channels, size, size)`` float32, standardised.

    Raises:
        DataError: If the image's kind of pixel has no 8-bit meaning.
    """
    import torch

    pixels = to_pixels(image, preprocessing["size"], preprocessing["channels"])
    return standardise(torch.from_numpy(pixels), preprocessing)


def prepare_file(path: Path, preprocessing: Mapping[str, Any]) -> Tensor:
    """:func:`prepare` for an image file.

    Raises:
        DataError: If the file is missing, too large, or not a whole image; it is named.
    """
    import torch

    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise DataError(f"{path} is not an ordinary file: take it out")
        if info.st_size > MAX_FILE_BYTES:
            raise DataError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB: give a smaller image")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    # not under strict_pillow: a program may be here in several threads, and has warnings of its own, which
    # Pillow's are then among
    pixels = decode(data, str(path), preprocessing["size"], preprocessing["channels"])
    return standardise(torch.from_numpy(pixels), preprocessing)


def standardise(pixels: Tensor, preprocessing: Mapping[str, Any]) -> Tensor:
    """Turns 8-bit pixels into what a network sees.

    Args:
        pixels: ``(..., C, H, W)`` uint8.
        preprocessing: Its ``mean`` and ``std``, C numbers each, of values in [0, 1].

    Returns:
        ``(..., C, H, W)`` float32: ``(pixels / 255 - mean) / std``.
    """
    import torch

    mean = torch.tensor(preprocessing["mean"], dtype=torch.float64)
    std = torch.tensor(preprocessing["std"], dtype=torch.float64)
    scale, bias = (t[:, None, None].to(pixels.device, torch.float32) for t in (1 / (255 * std), -mean / std))
    return pixels.to(torch.float32).mul_(scale).add_(bias)


def decode(data: bytes, name: str, size: int, channels: int | None = None) -> Pixels:
    """The image in a file's bytes, as :func:`to_pixels` gives it (of an animation, the first frame).

    Raises:
        DataError: If the bytes are not a whole image of ``FORMATS``, or it has more pixels than
            Pillow's ``MAX_IMAGE_PIXELS``; ``name`` is in the message.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _refuse_bomb(image)
            return to_pixels(image, size, channels)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        most = Image.MAX_IMAGE_PIXELS
        raise DataError(f"{name} has too many pixels (most: {most}): scale it down") from None
    except UnidentifiedImageError:
        raise DataError(f"{name} is not an image that can be read: mend it or take it out") from None
    except _FAULTS as error:
        raise DataError(f"{name} is a broken image ({_one_line(error)}): mend it or take it out") from None
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


def to_pixels(image: Image.Image, size: int, channels: int | None = None) -> Pixels:
    """An image as a square of 8-bit pixels, antialiased, upright, on white where it is transparent.

    Args:
        image: Of any size and mode.
        size: Height and width of the result, in pixels.
        channels: 1 (grey), 3 (RGB), or None for 1 if the image is grey and 3 if not.

    Returns:
        ``(channels, size, size)`` uint8.

    Raises:
        DataError: For floating-point pixels and integers beyond 16 bits.
    """
    image.load()  # TIFF files are turned upright by that, and say so no more
    turn = image.getexif().get(_ORIENTATION, 1)
    image = _eight_bits(image)
    if channels == 1:
        image = image.convert("L")
    # A grey image is repeated only after this, so that it is the same whichever set it comes in.
    image = image.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0)
    if turn in _UPRIGHT:
        image = image.transpose(_UPRIGHT[turn])
    pixels = np.array(image, dtype=np.uint8).reshape(size, size, -1).transpose(2, 0, 1)
    return np.ascontiguousarray(np.repeat(pixels, (channels or len(pixels)) // len(pixels), axis=0))


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Makes Pillow's warning of too many pixels an error, which :func:`decode` explains.

    Its other warnings, of odd metadata, are not shown. To be entered by one thread, around all that decode.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _eight_bits(image: Image.Image) -> Image.Image:
    """The image in mode L or RGB, flattened onto white."""
    if image.mode == "F":
        raise DataError("floating-point pixels have no fixed range: save the images with 8 or 16 bits")
    if image.mode.startswith("I"):
        deep = np.asarray(image)
        if deep.min() < 0 or deep.max() > 0xFFFF:
            raise DataError("pixels beyond 16 bits: save the images with 8 or 16 bits")
        if image.mode == "I" and image.format != "PNG" and deep.max() <= 0xFF:
            return Image.fromarray(deep.astype(np.uint8))  # 8 bits, as arithmetic in NumPy leaves them
        return Image.fromarray((deep >> 8).astype(np.uint8))
    mode, grey = image.mode, image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if grey else "RGB")
    return image.convert("L") if mode in ("P", "PA") and _has_no_colour(image) else image


def _has_no_colour(image: Image.Image) -> bool:
    pixels = np.asarray(image)  # (H, W, 3)
    return bool((pixels == pixels[..., :1]).all())


def _refuse_bomb(image: Image.Image) -> None:
    if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text[:100] if text else type(error).__name__
