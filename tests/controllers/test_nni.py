"""NNI's controllers: what they keep, what they say, and what happens where NNI is missing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from controllers import nested
from controllers.nni import PLUGINS
from metanas.testing.controllers import search, toy_space, toy_study
from search_spaces import Candidate, Categorical, Forbidden, Integer, Real, Space, catalogue
from search_spaces.signature import Signature

pytest.importorskip("nni", reason="NNI is not installed on this machine")
IMAGES = Signature("classification", (1, 28, 28), 5, 1)


@pytest.mark.parametrize("name", PLUGINS)
def test_nothing_is_kept_between_proposals(name: str) -> None:
    """One that is made anew for each trial, as after a crash, proposes what one would that lived on."""
    lived, anew = (toy_study(PLUGINS[name].build) for _ in range(2))
    one = [candidate for _, candidate in search(lived, toy_space(), 30)]
    other = []
    for _ in range(30):
        anew.sampler = PLUGINS[name].build(toy_space(), 0)
        other += [candidate for _, candidate in search(anew, toy_space(), 1)]
    assert one == other


@pytest.mark.parametrize("name", PLUGINS)
def test_what_runs_or_failed_is_known(name: str) -> None:
    """Two machines on one study, and trials that never ended, do not get what another has."""
    study = toy_study(PLUGINS[name].build)
    seen = []
    for i, (trial, candidate) in enumerate(search(study, toy_space(), 40, tell=False)):
        assert candidate is not None
        seen.append(candidate.id)
        if i % 2:
            study.tell(trial, state=TrialState.FAIL)
        study.sampler = PLUGINS[name].build(toy_space(), i)
    assert len(set(seen)) == 40


@pytest.mark.parametrize("name", PLUGINS)
def test_a_space_that_is_tried_or_forbidden_is_gone_on_with(name: str) -> None:
    roots = (Categorical("a", (1, 2)), Categorical("b", (1, 2)))
    unequal = (Forbidden({"a": (1,), "b": (2,)}, "no"), Forbidden({"a": (2,), "b": (1,)}, "no"))
    single = (Integer("one", 3, 3), Real("point", 0.5, 0.5, log=True), *roots)
    for space in (Space("without neighbours", roots, unequal), Space("with single values", single)):
        study = optuna.create_study(sampler=PLUGINS[name].build(space, 0))
        found = []
        for _ in range(8):
            trial = study.ask()
            found.append(space.suggest(trial))
            space.validate(found[-1])
            study.tell(trial, 1.0)
        assert len(set(found)) == len({c.id for c in found}) >= min(space.size, 8) / 2


def test_nnis_parameters_are_the_candidate() -> None:
    """Of a space that nests twice, which NNI's own encoding cannot."""
    space, rng = catalogue.space("default", IMAGES), np.random.default_rng(0)
    described = nested.search_space(space)
    for _ in range(50):
        candidate = space.sample(rng)
        parameters = nested.parameters_of(space, candidate, rng)
        assert nested.candidate_of(space, parameters) == candidate
        network = parameters["architecture"]
        branch = next(v for v in described["architecture"]["_value"] if v["_name"] == network["_name"])
        assert network.keys() == branch.keys(), "of inactive choices too"


def test_what_nni_rounds_lies_inside() -> None:
    space = Space("s", (Real("r", 1e-3, 0.1, log=True), Integer("n", 1, 4)))
    assert nested.candidate_of(space, {"r": 0.1000000001, "n": 4.0}) == Candidate({"r": 0.1, "n": 4})


def test_without_nni_they_are_named_and_say_what_to_install() -> None:
    code = (
        "import sys; sys.modules['nni'] = None\n"
        "from metanas.testing.controllers import toy_space\n"
        "from search_spaces import plugins; from search_spaces.errors import MetanasError\n"
        "kind = ('controllers', 'metanas.controllers')\n"
        "print(*plugins.names(*kind))\n"
        "for name in ('nni-evolution', 'nni-tpe'):\n"
        "    try: plugins.load(*kind, name).build(toy_space(), 0)\n"
        "    except MetanasError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, *said = done.stdout.splitlines()
    assert {"nni-evolution", "nni-tpe"} <= set(names.split())
    assert len(said) == 2
    assert all("pip install nni" in line for line in said)


def test_naming_them_does_not_load_nni() -> None:
    code = (
        "import sys; from search_spaces import plugins\n"
        "plugins.names('controllers', 'metanas.controllers')\n"
        "print('nni' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
