"""``metanas controller list|train|use``: what proposes, and what it learned from recorded studies."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from controllers.learned import Snapshot, fitting, judging, replaying
from controllers.learned.judging import Judged
from controllers.learned.replaying import Gain
from metanas.cli.options import HELP, json_option, print_json, store_option
from metanas.cli.parts import COMMANDS as PARTS
from metanas.cli.parts import print_parts
from metanas.cli.quiet import quiet_optuna
from metanas.cli.recordings import Recordings, recordings
from metanas.cli.summary import wide_console
from storage import Kept, Store

COMMANDS = {"controller": PARTS["controller"]}
_SILENCE = 10.0  # seconds, after which a line is written where there is no terminal


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
    95 % interval over studies clear of no difference. Where the studies are of five families of tasks or
    more, all of a family are left out together, and the interval is over families.

    A part of the snapshot is a policy: a network that draws candidates for a family and what a search has
    found, which are compared beside others. A replayed search compares a quarter of the candidates that are
    left, drawn by the policy or else uniformly; the policy is left out unless that clearly helps.
    """
    quiet_optuna()
    with Store.open(store, create=False) as memory:
        with _progress() as tell:
            found = recordings(memory)
            told = fitting.told(found.space, found.records, found.families)
            result = judging.judged(found.space, found.tables, told, together=found.units, tell=tell)
        kept = adopt(memory, result.snapshot, result.gain, result.policy)
    if as_json:
        print_json(_plain(kept))
        return
    click.echo(sentence(result.gain, result.snapshot, found))
    click.echo(of_policy(result, found))
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
    fitted = f"Fitted to {snapshot.fitted['records']} trials of {len(snapshot.fitted['studies'])} studies"
    verdict = "Adopted" if gain.is_clear else "Refused"
    bad = "it makes searches worse" if gain.high < 0 else "the interval is not clear of no difference"
    why = "" if gain.is_clear else f": {bad}"
    return (
        f"{verdict}{why}. {fitted} in space {found.space.name}. {_replays(gain, found)}, "
        f"the rank of the best so far (1 is best, without the snapshot {gain.without:.3f}) changed by "
        f"{_interval(gain, found)}."
    )


def of_policy(result: Judged, found: Recordings) -> str:
    """What its policy adds, in words."""
    kept = result.snapshot.policy is not None
    unclear = "does harm" if result.policy.high < 0 else "does not clearly help"
    why = unclear if result.policy.low <= 0 else "proposes nothing that is valid"
    return (
        f"After the beginning of these searches its policy changed the rank of the best by "
        f"{_interval(result.policy, found)}, against the same snapshot without it: "
        f"{'it is a part of the snapshot' if kept else f'left out, since it {why}'}."
    )


def _replays(gain: Gain, found: Recordings) -> str:
    units, families = len(gain.by_study), len({found.kinds[table.study] for table in found.tables})
    if found.unit == "families":
        return (
            f"Over {len(found.tables)} replayed studies of {units} families, each searched with what other "
            "families tell"
        )
    few = f" of {families} families, which alone it speaks for," if families < units else ""
    return f"Over {units} replayed studies,{few} each searched with what the others tell"


def _interval(gain: Gain, found: Recordings) -> str:
    return f"{gain.mean:+.3f} (95 % interval over {found.unit}: {gain.low:+.3f} to {gain.high:+.3f})"


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Shows on stderr what is done: a bar, or a line now and then where that is no terminal."""
    console, start = Console(stderr=True, markup=False, emoji=False), time.monotonic()
    terminal, last = sys.stderr.isatty(), start
    with Progress(console=console, transient=True, disable=not terminal) as progress:
        task = progress.add_task("reading the store", total=None)

        def tell(what: str, done: int, total: int) -> None:
            nonlocal last
            progress.update(task, description=what, completed=done, total=total)
            now = time.monotonic()
            if not terminal and now - last > _SILENCE:
                print(f"{now - start:6.1f} s  {what}: {done} of {total}", file=sys.stderr, flush=True)
                last = now

        yield tell


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
