"""``metanas family near``: which studies of the store were of families like this one."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from metanas.cli.options import HELP, json_option, print_json, store_option
from metanas.cli.parts import COMMANDS
from metanas.cli.settings import refuse_several
from metanas.cli.summary import wide_console
from search_spaces.errors import StoreError
from search_spaces.fingerprint import Fingerprint
from storage import Store

_TOLD = 2  # things that two families differ most in, and as many that they have in common
_ALIKE = 0.05  # difference of a measure, below which two families have it in common


@COMMANDS["family"].command("near", context_settings=HELP)
@click.argument("study")
@store_option
@json_option
def near(study: str, store: str, as_json: bool) -> None:
    """Other studies by how near their families are to that of STUDY, and what is alike.

    The controller `learned` trusts the nearest most, before it has seen a result. A distance of 0 is the same
    family in the same setting, 1 is far.
    """
    with Store.open(store, create=False) as memory:
        refuse_several(study, memory.settings(study), "family near")
        known = memory.fingerprints()
    if study not in known:
        raise StoreError(f"study {study!r} has no family that was measured: search it again")
    ours = known.pop(study)
    rows = sorted((_row(name, ours, other) for name, other in known.items()), key=lambda r: r["distance"])
    if as_json:
        print_json({"study": study, "family": ours.to_dict(), "near": rows})
    elif not rows:
        click.echo(f"No other study of the store has a family that was measured: {study} is the only one.")
    else:
        _print(rows)


def _row(name: str, ours: Fingerprint, other: Fingerprint) -> dict[str, Any]:
    parts = ours.alike(other)
    return {
        "study": name,
        "family": other.family,
        "distance": ours.distance(other),
        "other_kind": ours.signature.kind != other.signature.kind,
        "parts": [{"what": p.what, "ours": p.ours, "theirs": p.theirs} for p in parts],
    }


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table("study", "family", "distance", "alike in", "differs in (theirs, ours)", pad_edge=False)
    for row in rows:
        near = [p["what"] for p in row["parts"][::-1] if abs(p["ours"] - p["theirs"]) < _ALIKE]
        apart = [p for p in row["parts"][:_TOLD] if abs(p["ours"] - p["theirs"]) >= _ALIKE]
        told = [f"{p['what']} ({p['theirs']:.2g}, {p['ours']:.2g})" for p in apart]
        told = ["the kind of task"] * row["other_kind"] + told
        common = ", ".join(near[:_TOLD]) or "little"
        table.add_row(
            row["study"], row["family"], f"{row['distance']:.2f}", common, ", ".join(told) or "nothing"
        )
    wide_console().print(table)
