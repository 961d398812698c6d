"""Which classes are for training, which for choosing and which for the final test."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from metanas.tasks.class_folders import group_of
from metanas.tasks.family import Split
from search_spaces.errors import DataError

Assignment = dict[str, Split]

SLASH = "∕"  # of a name, which is no level of it
SHARE = 0.15  # of the units, for valid and for test each
ENOUGH = 5  # classes that valid and test should have, so that 5-way tasks can be drawn from them
FEW_GROUPS = 3  # fewer groups than this cannot be shared out, so classes are
_WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "valid",
    "valid": "valid",
    "validation": "valid",
    "dev": "valid",
    "development": "valid",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}


@dataclass(frozen=True)
class Division:
    """How the classes of a folder were shared out.

    Attributes:
        splits: Class name → its split. Classes that belong to none are missing.
        unit: What was kept whole: ``"group"``, ``"class"``, ``"file"`` (as a list says) or
            ``"folder"`` (as top folders called train, valid, test say).
        notes: For the user.
    """

    splits: Assignment
    unit: str
    notes: tuple[str, ...] = ()


def divide(
    names: Sequence[str],
    wanted: Sequence[Split],
    listed: Path | None,
    where: str,
    *,
    share: float = SHARE,
    folders: bool = True,
    small: Sequence[str] = (),
) -> Division:
    """Shares classes out among splits.

    An official list comes first, then top folders called ``train``, ``valid`` and ``test``, then
    :func:`by_hash`. Where a list has no validation class, they are taken from its training ones.

    Args:
        names: Of all classes.
        wanted: Splits to fill: with or without ``"test"``, which may have its own data.
        listed: File with the official list.
        where: What to call the data in messages.
        share: Of the units, for valid and for test each.
        folders: Whether the top of a name is a folder's, which may name a split.
        small: Other classes that there are, which a list may name: too small to be used.

    Raises:
        DataError: If the list cannot be used or there are too few classes.
    """
    given = read_list(listed, names, small) if listed else by_folder(names) if folders else None
    if given is None:
        unit = "group" if has_groups(names) else "class"
        return Division(by_hash(names, wanted, where, share), unit)
    for split in set(given.values()) - set(wanted):
        raise DataError(f"{listed or where} has {split} classes, and so has --test-data: give one of them")
    train = [name for name, split in given.items() if split == "train"]
    if "valid" in wanted and "valid" not in given.values():
        given |= by_hash(train, ("train", "valid"), f"the training part of {where}", share)
    for split in wanted:
        if split not in given.values():
            raise DataError(f"{listed or where} has no {split} classes: add some")
    left = len(names) - len(given)
    notes = (f"{where}: left out {left} classes that {listed} does not name",) if left else ()
    return Division(given, "file" if listed else "folder", notes)


def by_hash(names: Sequence[str], wanted: Sequence[Split], where: str, share: float = SHARE) -> Assignment:
    """Shares units out by the hash of their names, so that no random state has a say.

    A unit is a group, or a class where there are fewer than three groups. Test and valid take
    units in the order of their hashes until each has its share of them and, where the number of
    classes allows, five classes; train has the rest, and always the unit of most classes.

    Raises:
        DataError: If there are fewer classes than splits.
    """
    if len(names) < len(wanted):
        raise DataError(
            f"{where} has {len(names)} classes: at least {len(wanted)} are needed, "
            f"one each for {', '.join(wanted)}, and many more to learn from"
        )
    members_of = units(names)
    order = sorted(members_of, key=by_chance)
    order.append(order.pop(order.index(max(order, key=lambda unit: len(members_of[unit])))))
    result: Assignment = {}
    enough = min(ENOUGH, len(names) // len(wanted))
    few = max(1, int(share * len(members_of) + 0.5))
    others = [split for split in wanted if split != "train"]
    while others:
        split, taken = others.pop(), 0
        members: list[str] = []
        # One unit is left for each split still to come, train among them.
        while len(order) > len(others) + 1 and (taken < few or len(members) < enough):
            members += members_of[order.pop(0)]
            taken += 1
        result |= dict.fromkeys(members, split)
    return result | dict.fromkeys([name for unit in order for name in members_of[unit]], "train")


def dealt(names: Sequence[str], parts: int, unit: str) -> list[list[str]]:
    """Deals units out in the order of their hashes: parts of which none has a unit more than another."""
    members_of = units(names) if unit == "group" else {name: [name] for name in names}
    order = sorted(members_of, key=by_chance)
    return [[name for unit in order[i::parts] for name in members_of[unit]] for i in range(parts)]


def by_chance(name: str) -> tuple[bytes, str]:
    """Sorts by hashes: an order that says nothing of what is named, and is the same everywhere."""
    return hashlib.sha256(name.encode()).digest(), name


def by_folder(names: Sequence[str]) -> Assignment | None:
    """The split that each class's top folder names, if all top folders are called after splits.

    Raises:
        DataError: If a class is in two splits, or a top folder beside those of splits is called otherwise.
    """
    tops = {name.partition("/")[0] for name in names}
    if len(tops) < 2 or not all("/" in name for name in names):
        return None
    others = sorted(top for top in tops if top.lower() not in _WORDS)
    if others:
        known = sorted(tops.difference(others))
        if len({_WORDS[top.lower()] for top in known}) > 1:
            raise DataError(
                f"folder {others[0]!r} lies beside {_some(known)}, which are called after splits: call it "
                "train, valid or test, take it out, or say with --splits what is what"
            )
        return None
    result: Assignment = {}
    seen: dict[str, Split] = {}
    for name in names:
        top, _, rest = name.partition("/")
        split = result[name] = _WORDS[top.lower()]
        if seen.setdefault(rest, split) != split:
            raise DataError(
                f"class {rest!r} is in both the {seen[rest]} and the {split} folder: test classes have to "
                "be unseen; give one folder with all classes, or rename those that differ"
            )
    return result


def read_list(path: Path, names: Sequence[str], small: Sequence[str] = ()) -> Assignment:
    """Reads an official split list.

    Args:
        path: A CSV file with the columns ``class,split``, or a JSON file like
            ``{"train": ["Greek", "Latin/character01"], "valid": […], "test": […]}``. A name is a
            class's or a group's.
        names: Of all classes.
        small: Other classes that there are: what the list says of them is passed over.

    Raises:
        DataError: If the file cannot be read, names what is not there, or puts a class into two splits.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        pairs = _from_json(text) if path.suffix.lower() == ".json" else _from_csv(text)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError, csv.Error) as error:
        raise DataError(f"{path} is not a split list (CSV 'class,split', or JSON): {error}") from None
    members, others = _members(names), _members(small)
    pairs = [(_spelt(name, members, others), split) for name, split in pairs]
    unknown = [name for name, _ in pairs if name not in members and name not in others]
    if unknown:
        raise DataError(f"{path} names {_some(unknown)}, which the data has not (it has {_some(names)})")
    result: Assignment = {}
    for listed, split in pairs:
        for name in members.get(listed, ()):
            if result.setdefault(name, split) != split:
                raise DataError(f"{path} puts {name!r} into both {result[name]} and {split}: choose one")
    return result


def _spelt(name: str, *known: Mapping[str, list[str]]) -> str:
    """As the data spells it: a slash in the name of a task is none between a group and a task."""
    plain = name.replace("/", SLASH)
    return plain if any(plain in one for one in known) else name


def _members(names: Iterable[str]) -> Mapping[str, list[str]]:
    """Name of a class or of any level above it → classes."""
    members: dict[str, list[str]] = defaultdict(list)
    for name in names:
        parts = name.split("/")
        for end in range(1, len(parts) + 1):
            members["/".join(parts[:end])].append(name)
    return members


def _from_json(text: str) -> list[tuple[str, Split]]:
    values: Any = json.loads(text)
    if not isinstance(values, dict) or not all(isinstance(value, list) for value in values.values()):
        raise ValueError('it should look like {"train": ["a", "b"], "valid": ["c"], "test": ["d"]}')
    return [(str(name), _split(word)) for word, value in values.items() for name in value]


def _from_csv(text: str) -> list[tuple[str, Split]]:
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True, strict=True)
    if not {"class", "split"} <= set(rows.fieldnames or ()):
        raise ValueError("its first line should be 'class,split'")
    return [((row["class"] or "").strip(), _split(row["split"] or "")) for row in rows]


def _split(word: str) -> Split:
    try:
        return _WORDS[word.strip().lower()]
    except KeyError:
        raise ValueError(f"{word!r} is no split (known: {', '.join(get_args(Split))})") from None


def has_groups(names: Iterable[str]) -> bool:
    """Whether names have groups before them, and enough to be shared out whole."""
    return len({group_of(name) for name in names} - {""}) >= FEW_GROUPS


def units(names: Sequence[str]) -> dict[str, list[str]]:
    """What is kept whole, and its classes: groups, or classes where there are fewer than three groups."""
    found: dict[str, list[str]] = defaultdict(list)
    grouped = has_groups(names)
    for name in names:
        found[(grouped and group_of(name)) or name].append(name)
    return found


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
