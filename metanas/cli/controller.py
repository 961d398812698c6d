"""``metanas controller list|train|use``: what proposes, and what it learned from recorded studies."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from controllers.learned import Snapshot, fitting, judging, replaying
from controllers.learned.judging import Judged
from controllers.learned.replaying import Gain, Recorded
from metanas.cli.options import HELP, json_option, print_json, store_option
from metanas.cli.parts import COMMANDS as PARTS
from metanas.cli.parts import print_parts
from metanas.cli.quiet import quiet_optuna
from metanas.cli.settings import families_of, study_name
from metanas.cli.summary import wide_console
from search_spaces import Record, Space
from search_spaces.fingerprint import Fingerprint
from storage import Kept, Store

COMMANDS = {"controller": PARTS["controller"]}
_FOLD = re.compile(r" fold \d+$")


@dataclass(frozen=True)
class Recordings:
    """What a store has for a controller to learn from.

    Attributes:
        space: That most studies were searched in; the newest of equally frequent ones.
        records: Of every study of one family, by its name.
        tables: What can be replayed: studies in that space with enough trials.
        families: By study, what its family is like, as far as that was measured.
        searches: By study, the search that it is a part of.
        kinds: By study, what tells its family of tasks from others.
    """

    space: Space
    records: Mapping[str, Sequence[Record]]
    tables: Sequence[Recorded]
    families: Mapping[str, Fingerprint]
    searches: Mapping[str, str]
    kinds: Mapping[str, str]


@COMMANDS["controller"].command("list", context_settings=HELP)
@click.option("--snapshots", is_flag=True, help="What the controller learned makes of the store, instead.")
@store_option
@json_option
def listing(snapshots: bool, store: str, as_json: bool) -> None:
    """Names of the controllers, and what each is; or the snapshots that a store has."""
    if not snapshots:
        print_parts("controller", as_json)
        return
    with Store.open(store, create=False) as memory:
        kept = memory.snapshots()
    if as_json:
        print_json([_plain(one) for one in kept])
    elif kept:
        _print(kept)
    else:
        click.echo("The store has no snapshots: metanas controller train makes one.")


@COMMANDS["controller"].command("train", context_settings=HELP)
@store_option
@json_option
def train(store: str, as_json: bool) -> None:
    """Have the controller `learned` learn from all studies of the store, and use that only if it helps.

    A snapshot is fitted to the recorded trials: what is expected of a candidate by its parts, how much each
    choice matters, what costs how much. Then each study is searched again among its recorded candidates, with
    a snapshot of the other studies and without one; nothing is trained. The snapshot is adopted, and used by
    later searches of this store with --controller learned, only if the best so far stands higher, with the
    95 % interval over studies clear of no difference.

    A part of the snapshot is a policy: a network that draws candidates for a family and what a search has
    found, which are compared beside others. A replayed search compares a quarter of the candidates that are
    left, drawn by the policy or else uniformly; the policy is left out unless that clearly helps.
    """
    quiet_optuna()
    with Store.open(store, create=False) as memory:
        found = recordings(memory)
        result = _judged(found, fitting.told(found.space, found.records, found.families))
        kept = adopt(memory, result.snapshot, result.gain, result.policy)
    if as_json:
        print_json(_plain(kept))
        return
    click.echo(sentence(result.gain, result.snapshot, found))
    click.echo(of_policy(result))
    # another training that ends at the same moment may have its own used
    unused = "was adopted, and another one is used" if kept.adopted else "was refused: nothing changed"
    click.echo(f"Snapshot {kept.sha[:12]} {'is in use' if kept.used else unused}.")


@COMMANDS["controller"].command("use", context_settings=HELP)
@click.argument("snapshot")
@store_option
def use(snapshot: str, store: str) -> None:
    """Have later searches of the store use SNAPSHOT, by the beginning of its hash, or "none".

    Only --controller learned has a use for one, and only one that was adopted can be used. What a search made
    of it is said by metanas why; every trial keeps the hash among its versions.
    """
    with Store.open(store, create=False) as memory:
        found = memory.use_snapshot(None if snapshot == "none" else snapshot)
    click.echo(f"Searches use {f'snapshot {found.sha[:12]}' if found else 'no snapshot'} from now on.")


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
    kinds = {name: json.dumps(known.get("family"), sort_keys=True) for name, known in settings.items()}
    return Recordings(Space.from_json(most), records, by_space[most], families, whole, kinds)


def adopt(store: Store, snapshot: Snapshot, gain: Gain, policy: Gain | None = None) -> Kept:
    """Keeps a snapshot with what was measured; searches use it if that is clear.

    Args:
        store: That keeps it.
        snapshot: To be kept.
        gain: Of it.
        policy: Of its policy, or of the one that was left out; None: there was none.
    """
    card: dict[str, Any] = {"fitted": dict(snapshot.fitted), "replay": replaying.as_card(gain)}
    if policy is not None:
        card["policy"] = {"kept": snapshot.policy is not None, **replaying.as_card(policy)}
    sha = store.save_snapshot(snapshot.to_bytes(), card, adopted=gain.is_clear)
    if gain.is_clear:
        store.use_snapshot(sha)
    return next(kept for kept in store.snapshots() if kept.sha == sha)


def sentence(gain: Gain, snapshot: Snapshot, found: Recordings) -> str:
    """What came of it, in words."""
    replays, studies = len(gain.by_study), len(snapshot.fitted["studies"])
    families = len({found.kinds[name] for name in gain.by_study})
    verdict = "Adopted" if gain.is_clear else "Refused"
    bad = "it makes searches worse" if gain.high < 0 else "the interval is not clear of no difference"
    why = "" if gain.is_clear else f": {bad}"
    few = f" of {families} families, which alone it speaks for," if families < replays else ""
    return (
        f"{verdict}{why}. Fitted to {snapshot.fitted['records']} trials of {studies} studies in space "
        f"{found.space.name}. Over {replays} replayed studies,{few} each searched with what the others tell, "
        f"the rank of the best so far (1 is best, without the snapshot {gain.without:.3f}) changed by "
        f"{_interval(gain)}."
    )


def of_policy(result: Judged) -> str:
    """What its policy adds, in words."""
    kept = result.snapshot.policy is not None
    unclear = "does harm" if result.policy.high < 0 else "does not clearly help"
    why = unclear if result.policy.low <= 0 else "proposes nothing that is valid"
    return (
        f"After the beginning of these searches its policy changed the rank of the best by "
        f"{_interval(result.policy)}, against the same snapshot without it: "
        f"{'it is a part of the snapshot' if kept else f'left out, since it {why}'}."
    )


def _interval(gain: Gain) -> str:
    return f"{gain.mean:+.3f} (95 % interval over studies: {gain.low:+.3f} to {gain.high:+.3f})"


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


def _judged(found: Recordings, told: Sequence[fitting.Told]) -> Judged:
    console = Console(stderr=True, markup=False, emoji=False)
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("studies replayed", total=len(found.tables))

        def tell(done: int, total: int) -> None:
            progress.update(task, completed=done)

        return judging.judged(found.space, found.tables, told, together=found.searches, tell=tell)


def _plain(kept: Kept) -> dict[str, Any]:
    return {
        "snapshot": kept.sha,
        "created": kept.created.isoformat(),
        "adopted": kept.adopted,
        "used": kept.used,
        **kept.card,
    }


def _print(kept: Sequence[Kept]) -> None:
    table = Table(
        "snapshot", "made", "trials", "studies", "gain on replayed studies", "policy", "", pad_edge=False
    )
    for one in kept:
        fitted, replay = one.card["fitted"], one.card["replay"]
        gain = f"{replay['mean']:+.3f} ({replay['low']:+.3f} to {replay['high']:+.3f})"
        word = "in use" if one.used else "adopted" if one.adopted else "refused"
        counts = str(fitted["records"]), str(len(fitted["studies"]))
        policy = "yes" if one.card.get("policy", {}).get("kept") else "no"
        table.add_row(one.sha[:12], f"{one.created.astimezone():%Y-%m-%d %H:%M}", *counts, gain, policy, word)
    wide_console().print(table)
