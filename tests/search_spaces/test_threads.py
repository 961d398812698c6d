"""Small matrices on one thread: those that wait for each other would take all there is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import optuna
import pytest
from threadpoolctl import ThreadpoolController, threadpool_info

from controllers import learned
from search_spaces import Signature, catalogue, threads
from search_spaces.threads import one_thread


def many() -> set[int]:
    """Threads of the libraries that multiply matrices."""
    return {found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    """Whatever the tests run with."""
    with one_thread("sklearn.ensemble"), ThreadpoolController().limit(limits=2):
        assert many() == {2}
        yield


def test_proposals_are_made_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[set[int]]()
    space = catalogue.space("closed-form", Signature("regression", (1,), 1, 5))
    sampler: Any = learned.build(space, seed=0)
    propose = type(sampler).propose
    monkeypatch.setattr(
        type(sampler), "propose", lambda self, study: seen.append(many()) or propose(self, study)
    )
    study = optuna.create_study(sampler=sampler)
    space.suggest(study.ask())
    assert seen == [{1}]
    assert many() == {2}, "what else runs has its threads back"


def test_it_is_given_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), one_thread("scipy.linalg", "blas"):
        raise ZeroDivisionError
    assert many() == {2}


def test_libraries_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look takes milliseconds: cheap baselines seemed too dear to run, their pace being measured so."""
    with one_thread("sklearn.ensemble"):
        assert all(found["num_threads"] == 1 for found in threadpool_info())
    monkeypatch.setattr(threads, "ThreadpoolController", None)
    with one_thread("sklearn.ensemble"), one_thread("sklearn.ensemble"):
        pass
