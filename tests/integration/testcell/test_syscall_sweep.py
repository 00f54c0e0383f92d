# SPDX-License-Identifier: MIT
"""The syscall sweep itself: its faults come where they should, and what a fault breaks is found."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext

import pytest
import syscall_sweep
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import atomic
from cellruns import ROOT
from tracing import traced

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is absent (setup/tool strace)")


def write_twice(folder):
    """Write two files and return what was refused."""
    refused = []
    for name in ("a", "b"):
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT)
        try:
            os.write(descriptor, name.encode())
        except OSError as exc:
            refused.append([name, exc.errno])
        os.close(descriptor)
    return refused


@pytest.mark.parametrize(
    ("inject", "answer", "killed", "content"),
    [
        ("", [], 0, {"a": "a", "b": "b"}),
        ("write:error=ENOSPC:when=2", [["b", 28]], 0, {"a": "a", "b": ""}),
        ("write:error=EIO:when=1+", [["a", 5], ["b", 5]], 0, {"a": "", "b": ""}),
        ("write:signal=KILL:when=2", None, signal.SIGKILL, {"a": "a", "b": ""}),
    ],
)
def test_a_fault_comes_at_its_call(tmp_path, inject, answer, killed, content):
    done = traced(lambda: write_twice(tmp_path), inject)
    assert (done.answer, done.signal, done.injected) == (answer, killed, bool(inject))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == content
    mine = [(call.name, call.ordinal) for call in done.calls if call.name == "write" and call.writes_below(tmp_path)]
    assert mine == [("write", 1), ("write", 2)][: len(mine)] and (inject or len(mine) == 2)


def test_work_that_breaks_says_why(tmp_path):
    done = traced(lambda: os.rmdir(tmp_path / "none"))
    assert done.answer is None and "FileNotFoundError" in done.broken


def in_place(path, content, mode=0o644, *, durable=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


CARELESS = {
    "F07 files written in place": ("write_bytes", in_place, "KILL", "write", "manifest.json"),
    "F08 errors that name no file": ("naming", nullcontext, "EIO", "fsync", "journal.jsonl"),
}


@pytest.mark.parametrize(("name", "careless", "fault", "call", "path"), CARELESS.values(), ids=CARELESS)
def test_a_controller_that_is_careless_is_found(monkeypatch, name, careless, fault, call, path):
    monkeypatch.setattr(atomic, name, careless)
    with syscall_sweep.sweep() as wide:
        points = [
            p for p in wide.points() if (p.work, p.fault, p.call.name) == ("run", fault, call) and path in p.call.shown
        ]
        assert wide.wrong(points[len(points) // 2])


def test_f07_f08_points_of_every_work_hold():
    with syscall_sweep.sweep() as wide:
        points = wide.points()
        assert {point.work for point in points} == set(syscall_sweep.WORKS)
        drawn = [next(p for p in points[len(points) // 8 * eighth :] if p.fault == fault)
                 for eighth in range(8) for fault in ("KILL", "ENOSPC", "EIO")]  # fmt: skip
        assert {str(point): wide.wrong(point) for point in drawn} == {str(point): "" for point in drawn}


RUN = """
import sys
from pathlib import Path
from testcell import project, runner
root, playbook = map(Path, sys.argv[1:])
found = project.find(root)
inventory = (str(root / "inventories" / "local"),)
job = runner.Job(playbook=str(playbook), project=found, inventory=inventory, extravars={}, hosts=1)
print(runner.run(job).status)
"""


def test_f08_a_line_that_ansible_runner_cannot_keep_does_not_hang_the_run(tmp_path):
    planned = {"scenario": "all", "dry_run": True, "project_dir": str(ROOT)}
    tasks = [{"name": "Plan", "enginelab.testcell.resolve_run": planned}]
    play = {"name": "Show a plan", "hosts": "localhost", "gather_facts": False, "tasks": tasks}
    (tmp_path / "plan.yml").write_text(json.dumps([play]))
    inject = ["-e", "trace=rename", "-e", "inject=rename:error=ENOSPC:when=1"]
    traced_run = ["timeout", "40", "strace", "-f", "--seccomp-bpf", "-qq", "-o", str(tmp_path / "log"), *inject]
    words = [*traced_run, sys.executable, "-c", RUN, str(ROOT), str(tmp_path / "plan.yml")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert "(INJECTED)" in (tmp_path / "log").read_text()
    assert done.stdout == "successful\n", done.stderr
