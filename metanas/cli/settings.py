"""What every run of a study must share, and what is said where it does not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import optuna

from metanas.goals import Goals
from search_spaces import Record, Signature, Space, catalogue, plugins
from search_spaces.errors import StoreError
from search_spaces.named import is_own

if TYPE_CHECKING:
    from metanas.evaluator import Setting
    from metanas.tasks.family import Family

_GOALS = ("objectives", "limits")  # that a study of the usual ones does not have
_SHOWN = 5  # of many features
_CONSEQUENCES = {
    "rungs": "other rungs",
    "space": "other choices in its space",
    "preprocessing": "examples prepared in another way",
    "signature": "tasks of another kind or size",
    "code": "model spaces of another source",
}


def settings(
    family: Family,
    signature: Signature,
    setting: Setting,
    space: Space,
    rungs: tuple[int, ...],
    seed: int,
    code: Mapping[str, str],
    goals: Goals,
) -> dict[str, Any]:
    """What every run of a study must share, else its trials could not be compared."""
    found: dict[str, Any] = {
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
    return found | ({"code": dict(code)} if code else {}) | goals.settings()


def joint_settings(
    families: Sequence[str], space: Space, rungs: tuple[int, ...], seed: int, goals: Goals
) -> dict[str, Any]:
    """The same of a study over several families; what is a family's own stands in that family's study."""
    found: dict[str, Any] = {
        "family": {"name": " ".join(families)},
        "families": list(families),
        "seed": seed,
        "space": space.to_json(),
        "rungs": list(rungs),
    }
    return found | goals.settings()


def study_name(study: str, family: str) -> str:
    """Of one family's own study, where several are searched together."""
    return f"{study}/{family}"


def families_of(settings: Mapping[str, Any]) -> list[str]:
    """The families of a study over several; none: it is of one."""
    return list(settings.get("families", ()))


def refuse_several(study: str, settings: Mapping[str, Any], command: str) -> None:
    """Refuses a study over several families where one is needed.

    Raises:
        StoreError: If it is one; names the families' own studies.
    """
    if families := families_of(settings):
        own = " or ".join(study_name(study, family) for family in families)
        raise StoreError(f"study {study!r} is of several families, each has its own: metanas {command} {own}")


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
    gone = [key for key in _GOALS if key in known and key not in now]
    differ = [key for key in [*now, *gone] if known.get(key) != now.get(key)]
    asked = [words for key in differ if (words := _option(key, known.get(key), now.get(key)))]
    # what follows from options is said only where none of them explains it
    told = asked or [_CONSEQUENCES[key] for key in differ if key in _CONSEQUENCES]
    if differ:
        raise StoreError(
            f"study {study!r} was begun with other settings ({'; '.join(told)}): "
            "give them as they were, or another --study"
        )


def refuse_deleted(study: optuna.Study, records: Sequence[Record]) -> None:
    """Checks that Optuna still has the trials that the store has records of.

    Raises:
        StoreError: If not: it would give their numbers again.
    """
    ours = max((record.number for record in records), default=-1)
    if ours >= len(study.get_trials(deepcopy=False)):
        name = study.study_name
        raise StoreError(
            f"trials of study {name!r} were deleted in Optuna, which would count anew: "
            f"search under another name, as in --study {name}-2"
        )


def _option(key: str, old: Any, new: Any) -> str:
    if key in ("ways", "shots", "queries", "seed"):
        return f"--{key} {old}, now {new}"
    if key == "objectives":
        return f"--objective {','.join(old or ['score'])}, now {','.join(new or ['score'])}"
    if key == "limits":
        before, after = (Goals.of({"limits": limits or {}}).in_words for limits in (old, new))
        return f"{before or 'no limits'}, now {after}"
    if key == "rungs":
        return f"--rung {old[0]}, now {new[0]}" if old and old[0] != new[0] else ""
    if key == "family":
        return _of_family(old or {}, new)
    if key == "space":
        before, now = json.loads(old or "{}"), json.loads(new)
        if before.get("name") != now["name"]:
            return f"--space {before.get('name')}, now {now['name']}"
        for root, word in (("architecture", "--architecture"), ("rule", "rules")):
            old_parts, parts = _parts(before, root), _parts(now, root)
            if gone := [name for name in old_parts if not _is_here(name, root)]:
                return f"{root} {gone[0]}, of a package that is not installed now"
            if old_parts != parts:
                return f"{word} {', '.join(old_parts)}, now {', '.join(parts)}"
        return ""
    return ""


def _of_family(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if old.get("name") != new["name"]:
        return f"family {old.get('name')}, now {new['name']}"
    for old_part, part in zip(old.get("mixed", ()), new.get("mixed", ()), strict=False):
        if old_part != part:
            return f"{part['name']}: {_of_family(old_part, part)}"
    if old.get("size") != new.get("size"):
        return f"--image-size {old.get('size')}, now {new.get('size')}"
    if old.get("content") != new.get("content"):  # of images with those of --test-data
        one = {tuple(facts.get("archives", ())) == () for facts in (old, new)}
        return "other data" if len(one) == 1 else "--test-data, given in one of both alone"
    if old.get("target") != new.get("target"):
        return f"--target {old.get('target')}, now {new.get('target')}"
    if old.get("code") != new.get("code"):
        return "other code of the family"
    if any(old.get(key) != new.get(key) for key in ("division", "unit")):  # a group's column is no feature
        return "the same data divided in another way, as --task, --group, --splits and --kind say"
    return f"--features {_listed(old)}, now {_listed(new)}"


def _listed(facts: Mapping[str, Any]) -> str:
    names = facts.get("features", ())
    return ",".join(names[:_SHOWN]) + (",…" if len(names) > _SHOWN else "")


def _is_here(name: str, root: str) -> bool:
    """Whether an architecture or a rule can be had; one's own networks, which are given by name, can."""
    groups = {"architecture": catalogue.ARCHITECTURES, "rule": catalogue.RULES}
    return is_own(name) or name in plugins.names(*groups[root])


def _parts(space: Mapping[str, Any], root: str) -> list[str]:
    """The architectures, or the rules, of a space that was written down."""
    roots = (choice for choice in space.get("choices", ()) if choice["name"] == root)
    return [name for root in roots for name in root["values"]]
