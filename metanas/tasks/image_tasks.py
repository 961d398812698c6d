"""Tasks of images: N-way classification, episodes gathered by index from pixels that never move."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from metanas.tasks.augment import shifted, turned
from metanas.tasks.class_folders import group_of
from metanas.tasks.decoding import Decoded
from metanas.tasks.drawing import Classes, draw, draw_counts
from metanas.tasks.family import Limits, Shots, Split, ends
from metanas.tasks.pictures import standardise
from metanas.tasks.splits import Division
from search_spaces import Signature
from search_spaces.errors import DataError, UnknownNameError
from search_spaces.task import Episodes

SPLITS: tuple[Split, ...] = get_args(Split)
WAYS = 5  # where the user names no number


class Images:
    """Tasks over classes of images, as a :class:`metanas.tasks.family.Family`.

    Rows of an episode are ordered shot by shot: row ``s · ways + w`` shows class ``w``. With a pair of
    shots, the rows behind the mask are further images of the same classes. Pixels are standardised
    per channel by mean and standard deviation of the training classes.

    Augmentations, of training tasks only: with ``rotations`` each class counts as four, turned by 0,
    90, 180 and 270 degrees; with ``rotations+shifts`` each image is also moved by up to two pixels.

    Args:
        data: Decoded images, class after class.
        division: Class name → split; classes without a split are never drawn.

    Attributes:
        classes: Split → names of its classes.
        notes: What the user should know of the data.
    """

    name = "images"
    kind: Literal["regression", "classification"] = "classification"
    variants: tuple[str, ...] = ()
    augmentations: tuple[str, ...] = ("none", "rotations", "rotations+shifts")

    def __init__(self, data: Decoded, division: Division) -> None:
        rows = {s: [i for i, n in enumerate(data.names) if division.splits.get(n) == s] for s in SPLITS}
        self.classes = {split: tuple(data.names[i] for i in rows[split]) for split in SPLITS}
        self.notes = data.notes + division.notes
        self._counts = {split: data.counts[rows[split]].tolist() for split in SPLITS}
        self._tables = {split: _table(data, rows[split]) for split in SPLITS}
        self._pixels = torch.from_numpy(data.pixels)  # (N, C, H, W) uint8
        self.limits = Limits({s: len(self.classes[s]) for s in SPLITS}, self._smallest(SPLITS)[0])
        self.independent = f"tasks of {len(self.classes['test'])} classes"
        self.preprocessing = _preprocessing(self._pixels, self._tables["train"])
        self._origin: dict[str, Any] = {"content": data.digest, "unit": division.unit}
        if data.archives:
            self._origin["archives"] = list(data.archives)

    def signature(self, ways: int | None, shots: int) -> Signature:
        if ways is None:
            ways = max(2, min([WAYS, *(len(names) for names in self.classes.values())]))
        return Signature("classification", tuple(self._pixels.shape[1:]), ways, shots)

    def check(self, ways: int, shots: Shots, queries: int, splits: Sequence[Split] = SPLITS) -> None:
        """Says early what :meth:`sample` would say.

        Raises:
            DataError: If the classes of those splits are too few, or too small, for such tasks.
        """
        low, high = ends(shots)
        if not (ways >= 2 and 1 <= low <= high and queries >= 1):
            asked = f"ways {ways}, shots {shots}, queries {queries}"
            raise DataError(f"a task needs at least 2 ways, 1 shot and 1 query, low shots first, not {asked}")
        for split in splits:
            self._check_split(split, ways, high, queries)

    def sample(
        self,
        n_tasks: int,
        split: Split,
        generator: torch.Generator,
        *,
        shots: Shots,
        ways: int,
        queries: int,
        variant: str | None = None,
        augmentation: str = "none",
    ) -> Episodes:
        self._refuse_unknown(variant, augmentation)
        self.check(ways, shots, queries, [split])
        augmentation = augmentation if split == "train" else "none"
        low, high = ends(shots)
        table, turns = self._tables[split].to(generator.device), _turns(augmentation)
        rows, turn = draw(table, n_tasks, ways, high + queries, generator, turns)  # (T, E, W), (T, W)
        one_hot = torch.eye(ways, device=generator.device)
        episodes: Episodes = {
            "support_x": self._gather(rows[:, :high], turn, augmentation, generator),
            "support_y": one_hot.repeat(n_tasks, high, 1),
            "query_x": self._gather(rows[:, high:], turn, augmentation, generator),
            "query_y": one_hot.repeat(n_tasks, queries, 1),
            "classes": turn * len(table.first) + _class_of(table, rows[:, 0]),
        }
        if not isinstance(shots, int):
            episodes["support_mask"] = draw_counts(low, high, n_tasks, ways, generator)
        return episodes

    def training_classes(self, augmentation: str) -> int:
        """How many there are, turned ones counted."""
        return len(self.classes["train"]) * _turns(augmentation)

    def labelled(
        self, images: int, generator: torch.Generator, augmentation: str = "none"
    ) -> tuple[Tensor, Tensor]:
        """Images of the training classes, drawn with equal probability, and the place of each one's class.

        Returns:
            ``(N, C, H, W)`` float32 and ``(N,)`` int64, on the generator's device.
        """
        table, device = self._tables["train"].to(generator.device), generator.device
        many = self.training_classes(augmentation)
        label = torch.randint(many, (images,), generator=generator, device=device)
        at, turn = label % len(table.first), label // len(table.first)
        places = torch.rand(images, generator=generator, device=device) * table.count[at]
        rows = table.first[at] + places.long().clamp(max=table.count[at] - 1)
        x = self._gather(rows[:, None, None], turn[:, None], augmentation, generator)
        return x[:, 0], label

    def to(self, device: torch.device) -> None:
        self._pixels = self._pixels.to(device)
        self._tables = {split: table.to(device) for split, table in self._tables.items()}

    def facts(self) -> dict[str, Any]:
        division = json.dumps(self.classes, sort_keys=True).encode()
        groups = {s: len({group_of(name) for name in names} - {""}) for s, names in self.classes.items()}
        return {
            "name": self.name,
            **self._origin,
            "division": hashlib.sha256(division).hexdigest(),
            "size": self.preprocessing["size"],
            "channels": self.preprocessing["channels"],
            "classes": {split: len(names) for split, names in self.classes.items()},
            "images": {split: sum(counts) for split, counts in self._counts.items()},
            "groups": groups,
        }

    def _gather(self, rows: Tensor, turn: Tensor, augmentation: str, generator: torch.Generator) -> Tensor:
        """``(T, E, W)`` rows, ``(T, W)`` turns → ``(T, E·W, C, H, W)`` float32 on the generator's device."""
        device = self._pixels.device
        x = self._pixels.index_select(0, rows.flatten().to(device))  # (T·E·W, C, H, W)
        if augmentation != "none":
            x = turned(x, turn[:, None].expand(rows.shape).flatten().to(device))
        if augmentation == "rotations+shifts":
            x = shifted(x, generator)
        x = standardise(x, self.preprocessing).to(generator.device)
        return x.view(len(rows), -1, *x.shape[1:])

    def _smallest(self, splits: Iterable[Split]) -> tuple[int, str]:
        """Images and name of the smallest class."""
        return min(pair for s in splits for pair in zip(self._counts[s], self.classes[s], strict=True))

    def _check_split(self, split: Split, ways: int, shots: int, queries: int) -> None:
        have = len(self.classes[split])
        if ways > have:
            raise DataError(f"{ways} ways are more than the {have} {split} classes: take fewer ways")
        fewest, name = self._smallest([split])
        if shots + queries > fewest:
            raise DataError(
                f"{shots} shots and {queries} queries are more than the {fewest} images of {name} (a {split} "
                "class): fewer shots or queries, or leave out classes that small"
            )

    def _refuse_unknown(self, variant: str | None, augmentation: str) -> None:
        if variant is not None:
            raise UnknownNameError(f"images has no variant {variant!r} (it has none)")
        if augmentation not in self.augmentations:
            known = ", ".join(self.augmentations)
            raise UnknownNameError(f"images has no augmentation {augmentation!r} (known: {known})")


def _class_of(table: Classes, rows: Tensor) -> Tensor:
    """The place of the class that each row is of."""
    return torch.searchsorted(table.first, rows.contiguous(), right=True) - 1


def _turns(augmentation: str) -> int:
    return 1 if augmentation == "none" else 4


def _table(data: Decoded, rows: list[int]) -> Classes:
    counts, first = data.counts[rows], (np.cumsum(data.counts) - data.counts)[rows]
    return Classes(torch.from_numpy(first), torch.from_numpy(counts), int(counts.max()))


def _preprocessing(pixels: Tensor, train: Classes) -> dict[str, Any]:
    """Mean and standard deviation of values in [0, 1], exact: from how often each grey level occurs."""
    channels, size = pixels.shape[1:3]
    levels = torch.arange(256, dtype=torch.float64) / 255
    seen = torch.zeros(channels, 256, dtype=torch.float64)
    for first, count in zip(train.first.tolist(), train.count.tolist(), strict=True):
        for channel in range(channels):
            seen[channel] += torch.bincount(pixels[first : first + count, channel].flatten(), minlength=256)
    share = seen / seen.sum(1, keepdim=True)
    mean = share @ levels
    std = (share @ levels**2 - mean**2).clamp(min=0).sqrt()
    std[std < 1 / 255] = 1.0  # images that are all alike: nothing to scale
    return {"kind": "image", "size": size, "channels": channels, "mean": mean.tolist(), "std": std.tolist()}
