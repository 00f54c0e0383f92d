# SPDX-License-Identifier: MIT
"""F29: what a dead engine has noted of itself and of its containerd keeps no new one from starting."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import dockerd

LIVING = os.getpid()


@pytest.fixture
def body():
    """The number of a process that has ended and waits to be reaped."""
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process.pid
    process.wait(timeout=10)


@pytest.fixture
def containerd(tmp_path):
    """The number of a living process that is called containerd."""
    program = tmp_path / "containerd"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "60"])
    yield process.pid
    process.kill()
    process.wait(timeout=10)


@pytest.mark.parametrize(
    ("noted", "of_containerd", "stay"),
    [
        ("dead", "body", []),
        ("dead", "stranger", []),
        ("dead", "containerd", ["containerd.pid"]),
        ("another", "body", ["pid"]),
        ("no number", "no number", ["containerd.pid", "pid"]),
    ],
)
@pytest.mark.parametrize("form", ["{} {}", "{}={}"], ids=["two words", "one word"])
def test_only_notes_of_dead_processes_are_removed(tmp_path, body, containerd, noted, of_containerd, stay, form):
    numbers = {"dead": 4_000_000, "another": 4_000_001, "body": body, "stranger": LIVING, "containerd": containerd}
    (tmp_path / "exec" / "containerd").mkdir(parents=True)
    (tmp_path / "pid").write_text(f"{numbers.get(noted, noted)}\n")
    (tmp_path / "exec" / "containerd" / "containerd.pid").write_text(f"{numbers.get(of_containerd, of_containerd)}")
    argv = ["dockerd"]
    for name, value in (("--pidfile", tmp_path / "pid"), ("--exec-root", tmp_path / "exec")):
        argv += form.format(name, value).split()
    dockerd._forget_dead(4_000_000, argv)
    assert sorted(path.name for path in tmp_path.rglob("*pid")) == stay
