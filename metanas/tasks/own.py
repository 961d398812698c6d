"""Families of the user's own: ``module:Class``, a class with one method, ``sample``."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from metanas.tasks import stored
from metanas.tasks.content import digest
from metanas.tasks.family import Limits, Shots, Source, Split, ends
from search_spaces import Signature
from search_spaces.errors import DataError, UnknownNameError
from search_spaces.importing import this_folder_first
from search_spaces.task import Episodes

_SPLITS: tuple[Split, ...] = ("train", "valid", "test")
_TAKEN = {"n_tasks", "ways", "examples", "split", "generator"}
_WAYS = 5
_TRIED, _DRAWN = 4, 3  # tasks drawn to see what they are like, and examples of each
_ALIKE, _ROWS = 32, 8  # test tasks, and examples of each, to see whether they are stored ones
_TIMES = 8  # that as many are drawn of each split, to see that splits share none
_AT_TIMES = "returns which stored task each draw is of at one time, and not at another"
# (T, E·W, F), (T, E·W, O), and (T,) the stored tasks that they are of, if it says so
Drawn = tuple[Tensor, Tensor, Tensor | None]
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
    if source.has_columns or source.test_path or source.splits or source.resizes:
        raise DataError(
            f"{name} makes its own tasks: leave columns, --test-data, --splits and --image-size out"
        )
    module, _, attribute = name.partition(":")
    with this_folder_first():
        try:
            made = getattr(importlib.import_module(module), attribute)(
                *([source.path] if source.path else [])
            )
        except Exception as error:  # whatever their code raises is theirs to mend
            raise DataError(f"cannot make a family of {name}: {_told(error)}") from error
    return Own(name, made, digest(source.path, source.progress) if source.path else None)


class Own:
    """Tasks of a user's class, as a :class:`metanas.tasks.family.Family`.

    Its ``sample`` takes, by these names, ``n_tasks``, ``examples`` and ``generator`` (a
    ``torch.Generator`` on the CPU, the only source of randomness), and may take ``split`` (``"train"``,
    ``"valid"`` or ``"test"``), where tasks or classes are not drawn from a continuum. It returns, as torch
    or NumPy arrays, ``x (n_tasks, examples, features)`` and ``y (n_tasks, examples)`` or ``(…, outputs)``.
    With ``ways`` among its parameters the tasks are classification, and it returns ``x (n_tasks, ways,
    examples, features)`` alone: each class has its own axis. Where it draws from stored tasks it returns,
    last, which of these each draw is of, whole numbers ``(n_tasks,)``, or, of stored classes, ``(n_tasks,
    ways)``: intervals are over them, and no two splits may share one. Attributes it may have: ``features``
    and ``targets``, names of the columns; ``classes``, how many each split has; ``examples``, how many the
    smallest class or task has.

    Args:
        name: ``module:Class``.
        made: An instance of it.
        content: A hash of the data that it was made with; None: of none that are known.

    Raises:
        DataError: If what it draws is not that.
    """

    variants: tuple[str, ...] = ()
    augmentations: tuple[str, ...] = ("none",)
    in_its_own_units = True  # its numbers are not standardised

    def __init__(self, name: str, made: Any, content: str | None = None) -> None:
        self.name, self._made, self._spelt = name.rpartition(":")[2], made, name
        self._content = content
        self._takes = self._parameters()
        self.kind: Literal["regression", "classification"] = (
            "classification" if "ways" in self._takes else "regression"
        )
        classes = self._classes()
        self.limits = Limits(None if classes is None else dict.fromkeys(_SPLITS, classes), self._examples())
        self.independent = "tasks" if classes is None else f"tasks of {classes} classes"
        self._fewest = min(_WAYS, classes or _WAYS)
        (x, y, which), again = (self._first(_TRIED, "train", _DRAWN) for _ in range(2))
        if not _same((x, y, which), again):
            raise self._wrong("draws other tasks from the same generator: draw from generator= alone")
        self._says = {None: "", 1: "cluster", 2: "classes"}[None if which is None else which.ndim]
        said = self._of_stored() if self._says else self._of_others()
        self.notes: tuple[str, ...] = (f"{self.name}: {said}",) if said else ()
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
        low, high = ends(shots)
        device = generator.device
        # theirs runs on the CPU, whatever the device
        seed = int(torch.randint(2**62, (), generator=generator, device=device))
        x, y, which = self._drawn(n_tasks, split, high + queries, ways, torch.Generator().manual_seed(seed))
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
        if (which is None) == bool(self._says):
            raise self._wrong(_AT_TIMES)
        if which is not None:
            named: Any = episodes
            named[self._says] = which.to(device)
        return episodes

    def check(self, ways: int, shots: Shots, queries: int) -> None:
        most = (self.limits.ways or {}).get("train")
        if self.kind == "classification" and most is not None and ways > most:
            raise DataError(f"{ways} ways are more than the {most} classes of {self.name}: take fewer ways")
        asked = queries + ends(shots)[1]
        if self.limits.examples is not None and asked > self.limits.examples:
            raise DataError(
                f"{asked} examples of a {'class' if self.kind == 'classification' else 'task'} are more than "
                f"the {self.limits.examples} that {self.name} has: take fewer --shots or --queries"
            )

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

    def _first(self, n_tasks: int, split: Split, examples: int, seed: int = 0) -> Drawn:
        examples = min(examples, self.limits.examples or examples)
        return self._drawn(n_tasks, split, examples, self._fewest, torch.Generator().manual_seed(seed))

    def _of_stored(self) -> str:
        """Sees to it that no stored task, or class, is a training and a test one; says if they are few."""
        if "split" not in self._takes:
            raise self._wrong(
                "says what is stored, and its sample does not take split: training and test would share it"
            )
        known = {split: torch.cat([*self._seen(split)]) for split in _SPLITS}
        if why := stored.shared(known):
            raise self._wrong(f"{why}: those of different splits have to be different ones")
        if self._says == "classes":
            if self.limits.ways is None:  # else it said how many there are
                self.independent = f"tasks of {len(known['test'].unique())} classes or more"
            return ""
        self.independent = "tasks"
        return stored.too_few(known["test"])

    def _seen(self, split: Split) -> Iterator[Tensor]:
        """Which stored tasks, or classes, some draws are of; a few at a time, whose features may be many."""
        for seed in range(_TIMES):
            *_, which = self._first(_ALIKE, split, _DRAWN, seed)
            if which is None:
                raise self._wrong(_AT_TIMES)
            yield which

    def _of_others(self) -> str:
        """Says it if test tasks look as if they were stored ones."""
        several = self.kind == "classification"
        with suppress(DataError):  # a task has not that many examples, which the search will say
            x, y, _ = self._first(_ALIKE, "test", _ROWS)
            again = stored.comes_again(torch.cat([x, y], -1), x if several else y)
            what, shape = ("classes", "(n_tasks, ways)") if several else ("tasks", "(n_tasks,)")
            return stored.ADVICE.format(what=what, shape=shape) if again else ""
        return ""

    def _examples(self) -> int | None:
        """Of the smallest class or task; None: as many as are asked for."""
        examples = getattr(self._made, "examples", None)
        if examples is not None and (type(examples) is not int or examples < _DRAWN):
            raise self._wrong(
                f"has examples = {examples!r}: it should be how many a task (or class) has, {_DRAWN} or more"
            )
        return examples

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
    ) -> Drawn:
        """Examples in the order of their numbers, class by class."""
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
        parts = 1 if self.kind == "classification" else 2
        found = found if isinstance(found, tuple) else (found,)
        if len(found) not in (parts, parts + 1):
            raise self._wrong(f"should return {'x and y' if parts > 1 else 'x'}; {_HOW}")
        shapes = [(n_tasks,)] if parts > 1 else [(n_tasks,), (n_tasks, ways)]
        which = self._which(found[-1], shapes) if len(found) > parts else None
        if self.kind == "classification":
            x = self._numbers(found[0], "x", (n_tasks, ways, examples), 4).transpose(1, 2).flatten(1, 2)
            return x, torch.eye(ways).repeat(n_tasks, examples, 1), which
        x = self._numbers(found[0], "x", (n_tasks, examples), 3)
        y = self._tensor(found[1], "y")
        return x, self._numbers(y[..., None] if y.ndim == 2 else y, "y", (n_tasks, examples), 3), which

    def _which(self, found: Any, shapes: Sequence[tuple[int, ...]]) -> Tensor:
        which = stored.numbers(found, shapes)
        if which is None:
            asked = " or its classes ".join(map(str, shapes))
            raise self._wrong(
                f"should return, last, which stored task each draw is of: whole numbers {asked}"
            )
        return which

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
            *these, have = tensor.shape[: len(start)]
            lacks = tensor.ndim == dimensions and these == [*start[:-1]] and _DRAWN <= have < start[-1]
            more = f"if there are no more, say so in an attribute: examples = {have}" if lacks else _HOW
            shape = tuple(tensor.shape)
            raise self._wrong(f"returned {what} {shape} where ({asked}, …) was asked for; {more}")
        if not tensor.isfinite().all():
            raise self._wrong(f"drew {what} with NaN or infinite numbers")
        return tensor

    def _wrong(self, why: str) -> DataError:
        return DataError(f"family {self._spelt} {why}".replace("\n", " "))


def _same(one: Drawn, other: Drawn) -> bool:
    return all(
        a is b or (a is not None and b is not None and torch.equal(a, b))
        for a, b in zip(one, other, strict=True)
    )


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isprintable()


def _told(error: Exception) -> str:
    """An error of the user's code, with the line of their file that it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if Path(frame.filename).parent == Path.cwd()]
    where = f" ({Path(theirs[-1].filename).name} line {theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}: {error}{where}"
