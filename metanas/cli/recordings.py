"""What a store has for the learned controller to learn from, and what of it is one search or one family."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from controllers.learned import replaying
from controllers.learned.replaying import Recorded
from metanas.cli.settings import families_of, study_name
from search_spaces import Record, Space
from search_spaces.fingerprint import Fingerprint
from storage import Store
from storage.studies import divisions

_FOLD = re.compile(r" fold \d+$")


@dataclass(frozen=True)
class Recordings:
    """What a store has for a controller to learn from.

    Attributes:
        space: That most studies were searched in; the newest of equally frequent ones.
        records: Of every study of one family, by its name.
        tables: What can be replayed: studies in that space with enough trials.
        families: By study, what its family is like, as far as that was measured.
        kinds: By study, what tells its family of tasks from others.
        units: By study, the name of what it is replayed, and left out, as one with.
        unit: What these are: families, where there are enough to judge by, or else studies.
    """

    space: Space
    records: Mapping[str, Sequence[Record]]
    tables: Sequence[Recorded]
    families: Mapping[str, Fingerprint]
    kinds: Mapping[str, str]
    units: Mapping[str, str]
    unit: str


def recordings(store: Store) -> Recordings:
    """What the store has to learn from.

    Raises:
        DataError: If there is next to nothing.
    """
    settings = {summary.name: summary.settings for summary in store.studies()}
    single = {name: known for name, known in settings.items() if "space" in known and not families_of(known)}
    records = {name: store.records(name) for name in single}
    families = store.fingerprints()
    by_space: dict[str, list[Recorded]] = {}
    for name in reversed(single):  # the newest first
        text = single[name]["space"]
        table = replaying.recorded(Space.from_json(text), name, records[name], families.get(name))
        by_space.setdefault(text, []).extend([] if table is None else [table])
    whole = part_of(settings)  # parts of a search are one
    counts = {text: len({whole[t.study] for t in tables}) for text, tables in by_space.items()}
    replaying.check_enough(max(counts.values(), default=0))
    most = max(counts, key=lambda text: (counts[text], len(by_space[text])))
    kinds = {name: json.dumps(known.get("family"), sort_keys=True) for name, known in single.items()}
    marks = {name: _marks(settings[name].get("family") or {}, kind) for name, kind in kinds.items()}
    unit, units = _units(whole, marks, [table.study for table in by_space[most]])
    return Recordings(Space.from_json(most), records, by_space[most], families, kinds, units, unit)


def part_of(studies: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """By study, the search that it is a part of: of a fold, or of one family of several, not itself.

    Args:
        studies: Settings of all that the store has, by name: a name alone may have a slash, too.
    """
    wholes = {study_name(name, f): name for name, known in studies.items() for f in families_of(known)}
    wholes |= {name: base for name in studies if (base := _FOLD.sub("", name)) != name and base in studies}
    found = {}
    for name in studies:
        whole = name
        while whole in wholes:  # a family of a fold of a search
            whole = wholes[whole]
        found[name] = whole
    return found


def _units(
    wholes: Mapping[str, str], marks: Mapping[str, Sequence[str]], replayed: Sequence[str]
) -> tuple[str, Mapping[str, str]]:
    """What replayed studies are judged by, and of which each is a part.

    A search of the same family is no news to what was learned of that family: where others are enough, they
    judge, since it is for a new family that a snapshot has to be good.
    """
    first: dict[int, str] = {}
    parts = _joined([(wholes[name], mark) for name, of in marks.items() for mark in of])
    each = [name for name, of in marks.items() for _ in of]
    families = {name: first.setdefault(part, name) for name, part in zip(each, parts, strict=True)}
    enough = len({families[name] for name in replayed}) >= replaying.FEWEST_STUDIES
    return ("families", families) if enough else ("studies", wholes)


def _marks(family: Mapping[str, Any], kind: str) -> list[str]:
    """What it has in common with whatever is of the same tasks: other features of a table are no news."""
    own = [str(family["own"])] if "own" in family else []
    return [kind, *own, *(content for content, _ in divisions(family))]


def _joined(edges: Sequence[tuple[str, str]]) -> list[int]:
    """The number of the component that each edge of a graph of two kinds of nodes is in."""
    left, right = (
        {node: n for n, node in enumerate(dict.fromkeys(side))} for side in zip(*edges, strict=True)
    )
    rows, columns = [left[a] for a, _ in edges], [len(left) + right[b] for _, b in edges]
    size = len(left) + len(right)
    graph = coo_array(([1] * len(edges), (rows, columns)), shape=(size, size))
    components = connected_components(graph, directed=False)[1]
    return [int(components[row]) for row in rows]
