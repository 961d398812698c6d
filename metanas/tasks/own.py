"""Families of the user's own: ``module:Class``, a class with one method, ``sample``."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from metanas.tasks.archive import first_visit
from metanas.tasks.family import Limits, Progress, Shots, Source, Split
from search_spaces import Signature
from search_spaces.errors import DataError, UnknownNameError
from search_spaces.importing import this_folder_first
from search_spaces.task import Episodes

_SPLITS: tuple[Split, ...] = ("train", "valid", "test")
_TAKEN = {"n_tasks", "ways", "examples", "split", "generator"}
_WAYS = 5
_TRIED = 4  # tasks drawn to see what they are like
_HOW = (
    "sample(self, n_tasks, examples, generator) returns x (n_tasks, examples, features) and y (n_tasks, "
    "examples); with a parameter ways, classification, it returns x (n_tasks, ways, examples, features)"
)


def load(name: str, source: Source) -> Own:
    """The family of ``module:Class``; the module is looked for in this folder first.

    Args:
        name: ``module:Class``.
        source: Its path, if it has one, is what the class is made with.

    Raises:
        DataError: If it cannot be imported, or its tasks cannot be used; says why.
    """
    if source.has_columns or source.test_path or source.splits:
        raise DataError(f"{name} makes its own tasks: leave columns, --test-data and --splits out")
    module, _, attribute = name.partition(":")
    with this_folder_first():
        try:
            made = getattr(importlib.import_module(module), attribute)(
                *([source.path] if source.path else [])
            )
        except Exception as error:  # whatever their code raises is theirs to mend
            raise DataError(f"cannot make a family of {name}: {_told(error)}") from error
    return Own(name, made, _digest(source.path, source.progress) if source.path else None)


class Own:
    """Tasks of a user's class, as a :class:`metanas.tasks.family.Family`.

    Its ``sample`` takes, by these names, ``n_tasks``, ``examples`` and ``generator`` (a
    ``torch.Generator`` on the CPU, the only source of randomness), and may take ``split`` (``"train"``,
    ``"valid"`` or ``"test"``), where tasks or classes are not drawn from a continuum. It returns, as torch
    or NumPy arrays, ``x (n_tasks, examples, features)`` and ``y (n_tasks, examples)`` or ``(…, outputs)``.
    With ``ways`` among its parameters the tasks are classification, and it returns ``x (n_tasks, ways,
    examples, features)`` alone: each class has its own axis. Attributes it may have: ``features`` and
    ``targets``, names of the columns; ``classes``, how many each split has.

    Args:
        name: ``module:Class``.
        made: An instance of it.
        content: A hash of the data that it was made with; None: of none that are known.

    Raises:
        DataError: If what it draws is not that.
    """

    variants: tuple[str, ...] = ()
    augmentations: tuple[str, ...] = ("none",)
    notes: tuple[str, ...] = ()
    in_its_own_units = True  # its numbers are not standardised

    def __init__(self, name: str, made: Any, content: str | None = None) -> None:
        self.name, self._made, self._spelt = name.rpartition(":")[2], made, name
        self._content = content
        self._takes = self._parameters()
        self.kind: Literal["regression", "classification"] = (
            "classification" if "ways" in self._takes else "regression"
        )
        classes = self._classes()
        self.limits = Limits(None if classes is None else dict.fromkeys(_SPLITS, classes))
        self.independent = "tasks" if classes is None else f"tasks of {classes} classes"
        (x, y), again = (
            self._drawn(_TRIED, "train", 3, min(_WAYS, classes or _WAYS), torch.Generator().manual_seed(0))
            for _ in range(2)
        )
        if not (torch.equal(x, again[0]) and torch.equal(y, again[1])):
            raise self._wrong("draws other tasks from the same generator: draw from generator= alone")
        self._width, self._outputs = x.shape[-1], y.shape[-1]
        targets = self._outputs if self.kind == "regression" else 1  # a class is one column
        known = {"features": self._names("features", "x", self._width)}
        known["targets"] = self._names("targets", "y", targets)
        self.preprocessing: dict[str, Any] = {"kind": "table", **known}

    def signature(self, ways: int | None, shots: int) -> Signature:
        if self.kind == "regression":
            if ways not in (None, self._outputs):
                raise DataError(f"{self.name} is regression: it has no classes, leave --ways out")
            return Signature("regression", (self._width,), self._outputs, shots)
        most = (self.limits.ways or {}).get("train", _WAYS)
        return Signature("classification", (self._width,), ways or max(2, min(_WAYS, most)), shots)

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
            raise UnknownNameError(f"{self.name} has no variant {variant!r} (it has none)")
        self.check(ways, shots, queries)
        low, high = (shots, shots) if isinstance(shots, int) else shots
        device = generator.device
        # theirs runs on the CPU, whatever the device
        seed = int(torch.randint(2**62, (), generator=generator, device=device))
        x, y = self._drawn(n_tasks, split, high + queries, ways, torch.Generator().manual_seed(seed))
        rows = high * (ways if self.kind == "classification" else 1)
        x, y = x.to(device), y.to(device)
        episodes: Episodes = {
            "support_x": x[:, :rows],
            "support_y": y[:, :rows],
            "query_x": x[:, rows:],
            "query_y": y[:, rows:],
        }
        if not isinstance(shots, int):
            count = torch.randint(low, high + 1, (n_tasks, 1), generator=generator, device=device)
            episodes["support_mask"] = torch.arange(rows, device=device) < count * (rows // high)
        return episodes

    def check(self, ways: int, shots: Shots, queries: int) -> None:
        most = (self.limits.ways or {}).get("train")
        if self.kind == "classification" and most is not None and ways > most:
            raise DataError(f"{ways} ways are more than the {most} classes of {self.name}: take fewer ways")

    def to(self, device: torch.device) -> None:
        """Nothing to move: tasks are drawn on the CPU and moved as they are drawn."""

    def facts(self) -> dict[str, Any]:
        try:
            made = type(self._made)
            code = inspect.getsource(inspect.getmodule(made) or made)  # with what stands around the class
        except (OSError, TypeError):
            code = ""
        facts = {"name": self.name, "own": self._spelt, "code": hashlib.sha256(code.encode()).hexdigest()}
        return facts | ({} if self._content is None else {"content": self._content})

    def _classes(self) -> int | None:
        """How many each split has; None: as many as are asked for."""
        classes = getattr(self._made, "classes", None)
        if classes is not None and (type(classes) is not int or classes < 2):
            raise self._wrong(f"has classes = {classes!r}: it should be how many each split has, 2 or more")
        if classes is not None and "split" not in self._takes:
            raise self._wrong(
                "has classes, and its sample does not take split: training and test would be of the same ones"
            )
        return classes

    def _names(self, what: str, letter: str, count: int) -> list[str]:
        """Of columns, as the class has them or numbered."""
        usual = [f"{letter}{i}" if count > 1 else letter for i in range(count)]
        names = getattr(self._made, what, usual)
        if not isinstance(names, (list, tuple)):
            raise self._wrong(f"has {what} = {names!r}: it should be {count} different names")
        names = list(names)
        if len(names) != count or len(set(names)) < count or not all(_is_name(name) for name in names):
            raise self._wrong(f"has {what} = {names}: it should be {count} different names")
        return names

    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        method = getattr(self._made, "sample", None)
        if not callable(method):
            raise self._wrong(f"has no method sample; {_HOW}")
        takes = inspect.signature(method).parameters
        lacking = {"n_tasks", "examples", "generator"} - takes.keys()
        strange = [n for n, p in takes.items() if n not in _TAKEN and p.default is p.empty]
        if lacking or strange:
            what = (
                f"does not take {', '.join(sorted(lacking))}"
                if lacking
                else f"also wants {', '.join(strange)}"
            )
            raise self._wrong(f"has a sample that {what}; {_HOW}")
        return takes

    def _drawn(
        self, n_tasks: int, split: Split, examples: int, ways: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """``(T, E·W, F)`` and ``(T, E·W, O)``, ordered example by example."""
        given = {
            "n_tasks": n_tasks,
            "examples": examples,
            "generator": generator,
            "ways": ways,
            "split": split,
        }
        try:
            found = self._made.sample(**{name: value for name, value in given.items() if name in self._takes})
        except Exception as error:  # whatever their code raises is theirs to mend
            raise self._wrong(f"could not draw tasks: {_told(error)}") from error
        if self.kind == "classification":
            x = self._numbers(found, "x", (n_tasks, ways, examples), 4).transpose(1, 2).flatten(1, 2)
            return x, torch.eye(ways).repeat(n_tasks, examples, 1)
        if not (isinstance(found, tuple) and len(found) == 2):
            raise self._wrong(f"should return x and y; {_HOW}")
        x = self._numbers(found[0], "x", (n_tasks, examples), 3)
        y = self._tensor(found[1], "y")
        return x, self._numbers(y[..., None] if y.ndim == 2 else y, "y", (n_tasks, examples), 3)

    def _tensor(self, found: Any, what: str) -> Tensor:
        try:
            if isinstance(found, np.ndarray):  # of any strides and byte order
                found = np.ascontiguousarray(found, np.float32)
            return torch.as_tensor(found, dtype=torch.float32).detach()
        except Exception:
            raise self._wrong(f"returned {type(found).__name__} as {what}; {_HOW}") from None

    def _numbers(self, found: Any, what: str, start: tuple[int, ...], dimensions: int) -> Tensor:
        tensor = self._tensor(found, what)
        if tensor.ndim != dimensions or tuple(tensor.shape[: len(start)]) != start:
            asked = ", ".join(map(str, start))
            raise self._wrong(
                f"returned {what} {tuple(tensor.shape)} where ({asked}, …) was asked for; {_HOW}"
            )
        if not tensor.isfinite().all():
            raise self._wrong(f"drew {what} with NaN or infinite numbers")
        return tensor

    def _wrong(self, why: str) -> DataError:
        return DataError(f"family {self._spelt} {why}".replace("\n", " "))


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isprintable()


def _digest(path: Path, progress: Progress) -> str | None:
    """SHA-256 of a file, or of names and contents in a folder.

    None where it is neither, only a word to the class, or a folder that we write to ourselves.

    Raises:
        DataError: If it cannot be read.
    """
    if not (path.is_file() or path.is_dir()) or Path.cwd().is_relative_to(path.resolve()):
        return None
    files = sorted(_files(path)) if path.is_dir() else [path]
    total = hashlib.sha256()
    try:
        for done, file in enumerate(files):
            progress(f"reading {path.name}", done, len(files))
            with file.open("rb") as opened:
                here = hashlib.file_digest(opened, "sha256").hexdigest()
            total.update(f"{file.relative_to(path).as_posix()}\0{here}\n".encode())
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror}") from None
    return total.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    """Those in a folder, but for what programs leave behind; links are followed."""
    seen = {str(path.resolve()), *map(str, path.resolve().parents)}
    for folder, inner, names in os.walk(path, followlinks=True):
        shown = (name for name in sorted(inner) if not _is_left_behind(name))
        inner[:] = [name for name in shown if first_visit(os.path.join(folder, name), seen)]
        files = (Path(folder, name) for name in names if not _is_left_behind(name))
        yield from (file for file in files if file.is_file())


def _is_left_behind(name: str) -> bool:
    return name.startswith((".", "__pycache__"))


def _told(error: Exception) -> str:
    """An error of the user's code, with the line of their file that it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if Path(frame.filename).parent == Path.cwd()]
    where = f" ({Path(theirs[-1].filename).name} line {theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}: {error}{where}"
