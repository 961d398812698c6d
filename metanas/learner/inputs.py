"""From what a user has to what a network sees: rows of numbers, or images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from metanas.learner import records
from metanas.learner.arrays import as_float, as_numbers, finite
from metanas.tasks.pictures import prepare, prepare_file, standardise
from search_spaces import Signature
from search_spaces.errors import DataError, LearnerFileError

Rows = Any  # a tensor, an array or a list, whose slices are rows too
_LEAST = 1e-6  # standard deviation of pixels in [0, 1]; constant images are given 1
_TOO_NEW = "its inputs are prepared in a way that this metanas does not know: update it"


class Inputs(Protocol):
    """How the examples of one learner become tensors."""

    def rows(self, x: Any, what: str) -> Rows:
        """What the user gave, as something that can be sliced by row.

        Args:
            x: The examples.
            what: They are, for messages: ``"support"`` or ``"query"``.

        Raises:
            DataError: If its shape or its type is not that of the learner's examples.
        """
        ...

    def tensor(self, rows: Rows, first: int, what: str) -> Tensor:
        """What the network sees of some rows.

        Args:
            rows: A slice, of N rows, of what :meth:`rows` gave.
            first: Number of its first row, for messages.
            what: As for :meth:`rows`.

        Returns:
            ``(N, *x)`` float32 on the CPU.

        Raises:
            DataError: If a row cannot be used; its number, from 0, is named.
        """
        ...


def inputs_of(signature: Signature, preprocessing: Mapping[str, Any]) -> Inputs:
    """The inputs that a family's preprocessing describes.

    Kinds: ``table`` (named ``features`` and ``targets``), ``columns`` (``features`` of several kinds and
    a ``target``, with what was learned of each), ``image`` (``size``, ``channels``, ``mean``, ``std``),
    ``array`` (numbers of the signature's input shape, as they are).

    Raises:
        LearnerFileError: If it describes none, or does not fit the signature.
    """
    fields = {
        "array": set(),
        "table": {"features", "targets"},
        "columns": {"features", "target"},
        "image": {"size", "channels", "mean", "std"},
    }
    kind = preprocessing.get("kind")
    if not isinstance(kind, str) or fields.get(kind) != preprocessing.keys() - {"kind"}:
        raise LearnerFileError(_TOO_NEW)
    fits = {
        "array": True,
        "table": _is_table(signature, preprocessing),
        "columns": records.fits(signature, preprocessing),
        "image": _is_image(signature, preprocessing),
    }
    if not fits[kind]:
        raise LearnerFileError(f"its {kind} preprocessing does not fit its signature: export it anew")
    if kind == "columns":
        return records.Records(preprocessing["features"])
    if kind == "image":
        return Images(preprocessing)
    return Numbers(signature.input_shape, tuple(preprocessing.get("features", ())))


def check_inputs(family: str, signature: Signature, preprocessing: Mapping[str, Any]) -> None:
    """Refuses, before anything is trained, a family whose learners could not be written.

    Raises:
        DataError: If its preprocessing is none of the kinds of :func:`inputs_of`.
    """
    try:
        inputs_of(signature, preprocessing)
    except LearnerFileError:
        raise DataError(
            f"family {family}: no learner file can hold its preprocessing, {dict(preprocessing)!r:.80}; "
            'for numbers as they are it is {"kind": "array"}, for named ones '
            '{"kind": "table", "features": […], "targets": […]}'
        ) from None


@dataclass(frozen=True)
class Numbers:
    """Examples that are numbers already: ``(n, *shape)``, or ``(n,)`` for one feature.

    Where features have names, they are found by these in a mapping, rows that are mappings, or a data frame
    that has any of them.
    """

    shape: tuple[int, ...]
    names: tuple[str, ...] = ()

    def rows(self, x: Any, what: str) -> Rows:
        x = records.by_column(x, self.names, what) if self.names else x
        if self.names and (isinstance(x, Mapping) or self._has_names(x)):
            x = self._named(x, what)
        found = as_numbers(x, what)
        if found.ndim == 1 and self.shape == (1,):
            return found[:, None]
        if tuple(found.shape[1:]) != self.shape or found.ndim == 0:
            want = ", ".join(map(str, self.shape))
            raise DataError(
                f"{what} x should have the shape (n, {want}), not {tuple(found.shape)}: one row an example"
            )
        return found

    def tensor(self, rows: Rows, first: int, what: str) -> Tensor:
        return finite(as_float(rows), first, f"{what} x")

    def _has_names(self, x: Any) -> bool:
        """Whether a data frame goes by its names: one column may be called as one likes."""
        columns = list(getattr(x, "columns", ()))
        texts = all(isinstance(name, str) for name in columns)
        return bool(set(self.names) & set(columns)) or (len(self.names) > 1 and bool(columns) and texts)

    def _named(self, x: Any, what: str) -> np.ndarray:
        """``(n, features)``, in the learner's order."""
        records.check_named(x, self.names, what)
        columns = {name: records.listed(x[name], name, what) for name in self.names}
        found = [as_numbers(column, f"{what}: column {name!r}") for name, column in columns.items()]
        if len(sizes := {len(column) for column in found}) > 1:
            raise DataError(f"{what}: columns should be equally long, not {sorted(sizes)}")
        return np.stack([np.asarray(column, np.float64) for column in found], 1)


@dataclass(frozen=True)
class Images:
    """Images: whole-number pixels from 0 to 255, or a list of PIL images or of files of any size.

    Arrays are ``(n, C, H, W)`` or ``(n, H, W)``, resized where they have another size. Floating-point
    pixels are refused: nobody can tell whether they run to 1 or to 255.
    """

    preprocessing: Mapping[str, Any]

    def rows(self, x: Any, what: str) -> Rows:
        if isinstance(x, (Image.Image, str, os.PathLike)):
            raise DataError(f"{what} x should be a list of images, even of one: [image]")
        kind = getattr(getattr(x, "dtype", None), "kind", None)
        x = x.tolist() if kind in ("O", "U") else x  # a column of paths
        if isinstance(x, Sequence) and all(isinstance(item, (Image.Image, str, os.PathLike)) for item in x):
            return list(x)
        found = as_numbers(x, what)
        if isinstance(found, Tensor):
            found = found.cpu().numpy()
        if found.dtype.kind not in "iu":
            raise DataError(
                f"{what} images should have whole-number pixels from 0 to 255 (uint8), not {found.dtype}"
            )
        found = found[:, None] if found.ndim == 3 else found
        if found.ndim != 4 or found.shape[1] not in (1, 3) or 0 in found.shape[1:]:
            raise DataError(f"{what} images should be (n, H, W) or (n, 1 or 3, H, W), not {found.shape}")
        return found

    def tensor(self, rows: Rows, first: int, what: str) -> Tensor:
        if isinstance(rows, np.ndarray):
            self._check_range(rows, what)
            side = self.preprocessing["size"]
            if rows.shape[1:] == (self.preprocessing["channels"], side, side):
                return standardise(torch.from_numpy(rows.astype(np.uint8, order="C")), self.preprocessing)
            rows = [_picture(row) for row in rows.astype(np.uint8)]
        return torch.stack([self._one(row, f"image {first + i} of the {what}") for i, row in enumerate(rows)])

    def _one(self, image: Image.Image | str | os.PathLike[str], name: str) -> Tensor:
        if not isinstance(image, Image.Image):
            return prepare_file(Path(image), self.preprocessing)
        try:
            return prepare(image, self.preprocessing)
        except (DataError, OSError, ValueError) as error:
            raise DataError(f"{name}: {error}") from None

    def _check_range(self, rows: np.ndarray, what: str) -> None:
        low, high = int(rows.min()), int(rows.max())
        if low < 0 or high > 255 or high == 1:
            raise DataError(f"{what} images have pixels from {low} to {high}; they should run from 0 to 255")


def _picture(pixels: np.ndarray) -> Image.Image:
    """``(C, H, W)`` uint8 to an image."""
    return Image.fromarray(np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)))


def _is_table(signature: Signature, preprocessing: Mapping[str, Any]) -> bool:
    outputs = signature.outputs if signature.kind == "regression" else 1
    wanted = {"features": signature.input_shape, "targets": (outputs,)}
    return all(
        _are_names(preprocessing.get(name)) and (len(preprocessing[name]),) == n for name, n in wanted.items()
    )


def _are_names(names: object) -> bool:
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        return False
    return len(set(names)) == len(names) and all(name.isprintable() for name in names)


def _is_image(signature: Signature, preprocessing: Mapping[str, Any]) -> bool:
    size, channels = preprocessing.get("size"), preprocessing.get("channels")
    if type(size) is not int or type(channels) is not int or channels not in (1, 3):
        return False
    if signature.input_shape != (channels, size, size):
        return False
    mean, std = preprocessing["mean"], preprocessing["std"]
    return all(_are_numbers(v, channels) for v in (mean, std)) and all(value > _LEAST for value in std)


def _are_numbers(values: object, count: int) -> bool:
    if not isinstance(values, (list, tuple)) or len(values) != count:
        return False
    return all(type(value) in (int, float) and abs(value) <= 1 for value in values)
