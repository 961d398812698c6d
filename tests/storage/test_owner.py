"""Who a process is, and whether it lives: asked of this machine, else judged by its last sign of life."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from storage import owner
from storage.models import now
from tests.storage.test_reconcile import FAR, dead


def test_who_we_are_and_who_is_alive() -> None:
    assert owner.alive(owner.me(), now() - timedelta(days=9), now())
    assert not owner.alive(dead(), now(), now())
    assert owner.alive(FAR, now() - timedelta(minutes=59), now())
    assert not owner.alive(FAR, now() - timedelta(minutes=61), now())
    assert len(owner.me()) <= 255


def test_another_machine_of_the_same_name_is_another_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its processes are not ours to ask: half of all virtual machines are called the same."""
    mine, machine = owner.me(), tmp_path / "machine-id"
    machine.write_text("another")
    monkeypatch.setattr("storage.owner._MACHINE", machine)
    assert owner.me() != mine
    assert "another" not in owner.me()
    assert owner.alive(mine, now(), now())
    assert owner.alive(mine.replace(f":{os.getpid()}:", ":1:"), now(), now()), "not asked of this machine"
    monkeypatch.setattr("storage.owner._MACHINE", tmp_path / "none")
    assert owner.alive(owner.me(), now(), now())


def test_without_proc_the_pid_alone_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.owner._stat", lambda _: [])
    assert owner.me().endswith(":")
    assert owner.alive(owner.me(), now(), now())
    with subprocess.Popen(["true"]) as gone:
        gone.wait(timeout=60)
    assert not owner.alive(owner.me().replace(f":{os.getpid()}:", f":{gone.pid}:"), now(), now())


def test_a_zombie_is_dead() -> None:
    with subprocess.Popen(["true"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        host, _, _ = owner.me().rsplit(":", 2)
        born = f"{host}:{child.pid}:{owner._started(child.pid)}"
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet reaped
        assert not owner.alive(born, now(), now())
