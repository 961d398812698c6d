"""What every run of a study must share, and what is said where it does not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from metanas.evaluator import Setting
from metanas.tasks.family import Family
from search_spaces import Signature, Space
from search_spaces.errors import StoreError


def settings(
    family: Family, signature: Signature, setting: Setting, space: Space, rungs: tuple[int, ...], seed: int
) -> dict[str, Any]:
    """What every run of a study must share, else its trials could not be compared."""
    return {
        "family": family.facts(),
        "signature": signature.to_dict(),
        "ways": setting.ways,
        "shots": setting.shots,
        "queries": setting.queries,
        "seed": seed,
        "space": space.to_json(),
        "rungs": list(rungs),
        "preprocessing": family.preprocessing,
    }


def refuse_others(study: str, known: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Checks that a study goes on as it was begun.

    Args:
        study: Its name.
        known: Its settings, as the store has them.
        new: Those of this run.

    Raises:
        StoreError: If they differ; says in which options.
    """
    now = json.loads(json.dumps(new))
    found = [_words(key, known.get(key), value) for key, value in now.items() if known.get(key) != value]
    told = [words for words in found if words]
    if told:
        raise StoreError(
            f"study {study!r} was begun with other settings ({'; '.join(told)}): "
            "give them as they were, or another --study"
        )


def _words(key: str, old: Any, new: Any) -> str:
    if key in ("ways", "shots", "queries", "seed"):
        return f"--{key} {old}, now {new}"
    if key == "rungs":
        return f"--rung {old[0]}, now {new[0]}" if old and old[0] != new[0] else "other rungs"
    if key == "family":
        names = (old or {}).get("name"), new["name"]
        return f"family {names[0]}, now {names[1]}" if names[0] != names[1] else "other data"
    if key == "space":
        names = (json.loads(old or "{}").get("name"), json.loads(new)["name"])
        return f"--space {names[0]}, now {names[1]}" if names[0] != names[1] else "other choices in its space"
    if key == "preprocessing":
        return "examples prepared in another way"
    return ""  # the signature follows from the others
