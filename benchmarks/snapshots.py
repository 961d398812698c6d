"""Whether what the learned controller makes of a store helps on its studies, and a bad snapshot is refused.

    .venv/bin/python benchmarks/snapshots.py
    .venv/bin/python benchmarks/snapshots.py --in-common 0 --seed 1
    .venv/bin/python benchmarks/snapshots.py --searches --trials 24

Without ``--searches`` nothing is trained: 20 studies of 40 trials are SIMULATED and written to a store
through its interface. The logarithm of an error is a random linear function of the candidate's features in
the default space for tables, which is what a snapshot can express, ``--in-common`` of its variance the same
in all studies, and 0.3 of noise. With ``--searches`` the studies are real searches with tiny budgets (rungs
of 3, 9 and 27 meta-steps, `tpe`) on sinusoid and harmonics with 5 and 10 shots, each with a seed of its own.

Snapshots are judged by the same replay, each study left out: the one that is fitted, its parts alone
(``opinion``: what is expected by parts; ``kernel``: how much each choice matters), the ``planted`` one, which
expects the contrary, and ``misled``, the fitted one with a policy that was taught the contrary. Gains: see
``metanas controller train``.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# this file is called as a package of ours is, which has to be found first
sys.path[:] = [*(folder for folder in sys.path if Path(folder or ".").resolve() != HERE), str(HERE)]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is loaded

import click  # noqa: E402
import numpy as np  # noqa: E402

from controllers.learned import fitting, judging, replaying  # noqa: E402
from controllers.learned.codes import Codes  # noqa: E402
from controllers.learned.features import Features  # noqa: E402
from controllers.learned.policy import Policy  # noqa: E402
from controllers.learned.scales import SCALES, Priors, Scales  # noqa: E402
from controllers.learned.snapshot import Snapshot  # noqa: E402
from metanas.budget import Budget  # noqa: E402
from metanas.cli.controller import adopt, of_policy, sentence  # noqa: E402
from metanas.cli.quiet import quiet_optuna  # noqa: E402
from metanas.cli.recordings import recordings  # noqa: E402
from metanas.cli.wiring import Request, open_search  # noqa: E402
from metanas.tasks.family import Source  # noqa: E402
from metanas.testing import simulated  # noqa: E402
from search_spaces import Candidate, Signature, Space, catalogue  # noqa: E402
from storage import Store  # noqa: E402


def simulate(store: Store, studies: int, trials: int, in_common: float, seed: int) -> None:
    """Writes simulated studies."""
    space = catalogue.space("default", Signature("regression", (1,), 1, 5))
    codes = Codes(space)
    features, rng = Features(codes), np.random.default_rng(seed)
    shared = rng.normal(size=features.width)
    for number in range(studies):
        own = rng.normal(size=features.width)
        weights = np.sqrt(in_common) * shared + np.sqrt(1 - in_common) * own

        def error(candidate: Candidate, weights: np.ndarray = weights) -> float:
            return float(features.centred(features.of(codes.rows([candidate])))[0] @ weights)

        name = f"simulated {number}"
        simulated.remember(store, name, space, simulated.records(name, space, error, rng, trials))


def search(url: str, studies: int, trials: int, seed: int) -> None:
    """Searches, each with a tiny budget; no winner is scored."""
    for number in range(studies):
        family, shots = ("sinusoid", "harmonics")[number % 2], (5, 10)[number // 2 % 2]
        request = Request(
            family=family,
            source=Source(),
            study=f"{family} {number}",
            store=url,
            seed=seed + number,
            controller="tpe",
            space="default",
            architecture=(),
            ways=None,
            shots=shots,
            queries=None,
            device="cpu",
            execution="vmap",
            precision="auto",
            rung=3,
        )
        found, memory, _ = open_search(request, lambda moment: None, lambda note: None)
        with memory:
            found.run(Budget(trials=trials))
        click.echo(f"{request.study}: {len(found.records)} trials", err=True)


def variants() -> dict[str, tuple[replaying.Make, judging.Teach]]:
    """By name, what makes a snapshot, and its policy."""

    def changed(change: Callable[[Snapshot], Snapshot]) -> tuple[replaying.Make, judging.Teach]:
        return lambda space, told: change(fitting.fit(space, told)), judging.taught

    def misled(space: Space, told: Sequence[fitting.Told]) -> Policy:
        return judging.taught(space, [one._replace(targets=-one.targets) for one in told])

    return {
        "fitted": (fitting.fit, judging.taught),
        "opinion": changed(lambda s: replace(s, **_usual(s)._asdict())),
        "kernel": changed(lambda s: replace(s, prior=np.zeros_like(s.prior))),
        "planted": changed(lambda s: replace(s, prior=-s.prior)),
        "misled": (fitting.fit, misled),
    }


def _usual(snapshot: Snapshot) -> Priors:
    blocks = len(snapshot.lengths)
    return Priors(np.full(blocks, np.log(3 / blocks)), np.log([getattr(Scales(), name) for name in SCALES]))


@click.command()
@click.option("--studies", default=20, show_default=True)
@click.option("--trials", default=40, show_default=True, help="A study.")
@click.option("--in-common", default=0.5, show_default=True, help="Part of the variance, where simulated.")
@click.option("--searches", is_flag=True, help="Search in earnest, with tiny budgets.")
@click.option(
    "--store", "path", type=click.Path(path_type=Path), help="Keeps the studies; goes on with them."
)
@click.option(
    "--only", default="fitted,planted", show_default=True, help="fitted, opinion, kernel, planted, misled"
)
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(
    studies: int,
    trials: int,
    in_common: float,
    searches: bool,
    path: Path | None,
    only: str,
    seed: int,
    as_json: bool,
) -> None:
    quiet_optuna()
    with tempfile.TemporaryDirectory() as folder:
        url = str(path or Path(folder) / "studies.db")
        if searches:
            search(url, studies, trials, seed)
        with Store.open(url) as store:
            if not searches and not store.studies():
                simulate(store, studies, trials, in_common, seed)
            rows = judged(store, only.split(","), as_json)
    if as_json:
        click.echo(json.dumps({"rows": rows}))


def judged(store: Store, names: list[str], quiet: bool) -> list[dict[str, Any]]:
    """Adopts or refuses each of the snapshots."""
    found = recordings(store)
    told = fitting.told(found.space, found.records, found.families)
    rows = []
    for name in names:
        begun, (make, teach) = time.perf_counter(), variants()[name]
        result = judging.judged(found.space, found.tables, told, make, teach, found.units)
        kept = adopt(store, result.snapshot, result.gain, result.policy)
        gains = {"gain": replaying.as_card(result.gain), "policy": replaying.as_card(result.policy)}
        has_policy = result.snapshot.policy is not None
        rows.append({"snapshot": name, "adopted": kept.adopted, "has_policy": has_policy, **gains})
        if not quiet:
            seconds = time.perf_counter() - begun
            words = f"{sentence(result.gain, result.snapshot, found)} {of_policy(result, found)}"
            click.echo(f"{name}: {words} ({seconds:.0f} s)")
    return rows


if __name__ == "__main__":
    main()
