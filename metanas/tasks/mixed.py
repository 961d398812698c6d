"""Several families as one: each task is drawn from one of them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Any, Literal

import torch
from torch import Tensor

from metanas.tasks.family import Family, Limits, Shots, Split
from search_spaces import Signature
from search_spaces.errors import DataError, UnknownNameError
from search_spaces.task import Episodes

_LEAVE = "leave --mix out, and each has a learner of its own"


class Mixed:
    """Tasks of several families with one signature, as a :class:`metanas.tasks.family.Family`.

    In training each family is as likely as another; validation and test take one after the other, so
    that each comes equally often. Images are all standardised as the first family's are: a new task
    does not say which family it is of.

    Args:
        families: By what they are called; at least one.

    Raises:
        DataError: If their tasks, or how these are prepared, are not alike.
    """

    variants: tuple[str, ...] = ()

    def __init__(self, families: Mapping[str, Family]) -> None:
        self.families = dict(families)
        self._parts = tuple(families.values())
        first = self._parts[0]
        self.name = " + ".join(families)
        self.kind: Literal["regression", "classification"] = first.kind
        for name, family in families.items():
            self._refuse_unlike(name, family)
        self._refuse_seen()
        self.preprocessing: dict[str, Any] = first.preprocessing
        shared = [a for a in first.augmentations if all(a in part.augmentations for part in self._parts)]
        self.augmentations: tuple[str, ...] = tuple(shared)
        self.limits = _limits([part.limits for part in self._parts])
        self.in_its_own_units = any(getattr(part, "in_its_own_units", False) for part in self._parts)
        self.independent = self._independent()
        self.notes = tuple(f"{name}: {note}" for name, part in families.items() for note in part.notes)

    def signature(self, ways: int | None, shots: int) -> Signature:
        if ways is None and self.limits.ways is not None:  # what the poorest can give
            ways = min(part.signature(None, shots).outputs for part in self._parts)
        found = {name: part.signature(ways, shots) for name, part in self.families.items()}
        (first, signature), *others = found.items()
        for name, other in others:
            if other != signature:
                raise DataError(
                    f"--mix needs tasks of one shape: {first} has inputs {_size(signature)}, "
                    f"{name} {_size(other)}: {_LEAVE}"
                )
        return signature

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
        if variant is not None:
            raise UnknownNameError(f"a mix has no variant {variant!r} (it has none)")
        drawn, places = [], []
        which = self._which(n_tasks, split, generator)
        for i, part in enumerate(self._parts):
            here = (which == i).nonzero().flatten()
            if len(here):
                asked: dict[str, Any] = {"shots": shots, "ways": ways, "queries": queries}
                drawn.append(part.sample(len(here), split, generator, **asked, augmentation=augmentation))
                places.append(here)
        order = torch.cat(places).argsort().to(generator.device)
        return {name: tensor[order] for name, tensor in _joined(drawn, split).items()}  # type: ignore[return-value]

    def check(self, ways: int, shots: Shots, queries: int) -> None:
        for name, part in self.families.items():
            try:
                part.check(ways, shots, queries)
            except DataError as error:
                raise DataError(f"{name}: {error}") from None

    def to(self, device: torch.device) -> None:
        for part in self._parts:
            part.to(device)

    def facts(self) -> dict[str, Any]:
        return {"name": self.name, "mixed": [part.facts() for part in self._parts]}

    def training_classes(self, augmentation: str) -> int:
        """Of images: how many there are in all, turned ones counted."""
        parts: Any = self._parts
        return sum(part.training_classes(augmentation) for part in parts)

    def labelled(
        self, images: int, generator: torch.Generator, augmentation: str = "none"
    ) -> tuple[Tensor, Tensor]:
        """Images of the training classes, each family as likely as another, and the places of their classes.

        Returns:
            ``(N, C, H, W)`` float32 and ``(N,)`` int64, on the generator's device.
        """
        which, first, drawn = self._which(images, "train", generator), 0, []
        parts: Any = self._parts
        for i, part in enumerate(parts):
            if many := int((which == i).sum()):
                x, label = part.labelled(many, generator, augmentation)
                drawn.append((x, label + first))
            first += part.training_classes(augmentation)
        x, label = (torch.cat(found) for found in zip(*drawn, strict=True))
        order = which.argsort(stable=True).argsort().to(x.device)  # in the order of the draws
        return x[order], label[order]

    def _independent(self) -> str:
        """What scores are of."""
        parts = [getattr(part, "independent", "tasks") for part in self._parts]
        images: list[Any] = [part for part in self._parts if hasattr(part, "classes")]
        if len(images) == len(parts):
            return f"tasks of {len({name for part in images for name in part.classes['test']})} classes"
        return "groups" if "groups" in parts else "tasks"

    def _which(self, n_tasks: int, split: Split, generator: torch.Generator) -> Tensor:
        """The family of each task ``(T,)``, on the CPU."""
        if split != "train":
            return torch.arange(n_tasks) % len(self._parts)
        size = (n_tasks,)
        return torch.randint(len(self._parts), size, generator=generator, device=generator.device).cpu()

    def _refuse_seen(self) -> None:
        """Sees to it that no family's test classes are training or validation classes of another."""
        known = {name: part.classes for name, part in self.families.items() if hasattr(part, "classes")}
        for (name, own), (other, theirs) in permutations(known.items(), 2):
            shared = sorted(set(own["test"]) & {*theirs["train"], *theirs["valid"]})
            if shared:
                raise DataError(
                    f"--mix: {len(shared)} test classes of {name} are training or validation classes of "
                    f"{other} ({shared[0]} …): they have to be unseen; rename those that differ, or {_LEAVE}"
                )

    def _refuse_unlike(self, name: str, family: Family) -> None:
        (named, first), given = next(iter(self.families.items())), family.preprocessing
        if family.kind != first.kind:
            raise DataError(
                f"--mix needs tasks of one kind: {named} is {first.kind}, {name} {family.kind}: {_LEAVE}"
            )
        if getattr(family, "folds", ()):
            raise DataError(
                f"{name} has too few tasks to be mixed: each of them would be a test one once; {_LEAVE}"
            )
        if given.get("kind") == first.preprocessing.get("kind") == "image":
            if _pixels(given) != _pixels(first.preprocessing):
                raise DataError(
                    f"--mix needs images of one size, all grey or all colour: {named} and {name} differ"
                )
            family.preprocessing = first.preprocessing
        elif given != first.preprocessing:
            raise DataError(
                f"--mix needs examples that are prepared alike; {named} and {name} are not: put the rows of "
                f"tables with the same columns into one table, or {_LEAVE}"
            )


def _pixels(preprocessing: Mapping[str, Any]) -> tuple[Any, ...]:
    return preprocessing.get("size"), preprocessing.get("channels")


def _size(signature: Signature) -> str:
    inputs = " × ".join(map(str, signature.input_shape))
    return f"{inputs} and outputs {signature.outputs}"


def _limits(limits: list[Limits]) -> Limits:
    """What all can give."""
    ways = [known.ways for known in limits if known.ways is not None]
    examples = [known.examples for known in limits if known.examples is not None]
    splits = ways[0].keys() if ways else ()
    fewest = {split: min(known[split] for known in ways) for split in splits}
    return Limits(fewest or None, min(examples, default=None))


def _joined(parts: list[Episodes], split: Split) -> dict[str, Tensor]:
    """One after the other; those without masks and clusters get ones that hide and join nothing."""
    names = dict.fromkeys(name for part in parts for name in part)
    found: dict[str, Tensor] = {}
    for name in names:
        if name == "cluster":
            found[name] = _clusters(parts, split != "train")
        elif name == "classes":
            if all(name in part for part in parts):
                found[name] = _classes(parts)
        else:
            found[name] = torch.cat([_tensor(part, name) for part in parts])
    return found


def _tensor(part: Episodes, name: str) -> Tensor:
    if name in part:
        found: Tensor = part[name]  # type: ignore[literal-required]
        return found
    rows = part["support_x"] if name == "support_mask" else part["query_x"]
    return torch.ones(rows.shape[:2], dtype=torch.bool, device=rows.device)


def _classes(parts: list[Episodes]) -> Tensor:
    """``(T, W)``: those of one part are none of another's."""
    own, start = [part["classes"] for part in parts], 0
    for i, classes in enumerate(own):
        own[i] = classes + start
        start = int(own[i].max()) + 1
    return torch.cat(own)


def _clusters(parts: list[Episodes], equal: bool) -> Tensor:
    """``(T,)``: those of one part are none of another's.

    For scores, as many of each part, several put together where it has more: so each counts as much.
    """
    own = [part.get("cluster", torch.arange(len(part["support_x"]))) for part in parts]
    places = [clusters.unique(return_inverse=True)[1] for clusters in own]
    many = [int(place.max()) + 1 for place in places]
    most = min(many) if equal else max(many)
    device = parts[0]["support_x"].device
    return torch.cat([place.to(device) % most + i * most for i, place in enumerate(places)])
