"""A snapshot with a policy, of studies of the toy problem, for the tests that only use one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from controllers.learned import Snapshot, fitting, teaching
from metanas.testing.controllers import toy_space
from tests.controllers.learned.test_learned import records


@cache
def taught() -> Snapshot:
    """What six studies teach; made once, since it takes seconds."""
    studies = {f"study {seed}": records(f"study {seed}", 30, seed) for seed in range(6)}
    told = fitting.told(toy_space(), studies)
    return replace(fitting.fit(toy_space(), told), policy=teaching.taught(toy_space(), told))
