# SPDX-License-Identifier: MIT
"""The program under limits that are too low for it: it does its work or says resource_limit, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import cgroup, context, procs
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.preview import Plan
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.client import Asked, NodeClient, Output
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError

RUN = {"id": "20260102_030405", "scenario": "s", "case": "", "attempt": 1}
START = {"action": "start", "name": "test", "argv": ["sleep", "1000"], "grace_s": 1}


@pytest.fixture
def limited(tmp_path):
    """Return a client whose commands run after some words of the shell that set a limit."""
    root = tmp_path / "root"

    def make(words):
        def execute(command, stdin):
            line = ["sh", "-c", f"{words}; {command}"]
            done = subprocess.run(line, input=stdin, capture_output=True, timeout=60, check=False)
            return Output(done.returncode, done.stdout.decode(), done.stderr.decode())

        return NodeClient(
            execute, package.build("cellnode"), "/usr/bin/python3", str(root), "tester", RUN, engine=False
        )

    make(":").call("lease", action="show")  # the program is there
    yield make
    procs.end_ours(root)
    for group in cgroup.groups_left(root):
        cgroup.remove(group)


ASKED = {
    "lease": ("lease", {"action": "acquire"}),
    "supervise": ("supervise", START),
    "send": ("send", {"base_rel": "", "patterns": ["**"], "algorithms": {"sha256": 1.0}}),
}


def outcome(client, op, args):
    """Return the kind of error of a call, "" for a result; a stream has its own within."""
    seen = Plan()
    try:
        client.result(client.exchange([Asked(op, args, seen.hear)])[0])
    except NodeError as exc:
        return exc.kind
    return seen.fault.kind if seen.fault else ""


@pytest.mark.parametrize("what", ASKED)
def test_f13_too_few_descriptors_are_resource_limit_until_there_are_enough(limited, tmp_path, what):
    seen = {}
    for count in range(4, 21):
        seen[count] = outcome(limited(f"ulimit -n {count}"), *ASKED[what])
        if seen[count]:
            assert not procs.ours(tmp_path / "root"), count
    assert set(seen.values()) == {"resource_limit", ""}, seen
    assert [seen[count] for count in (4, 20)] == ["resource_limit", ""]


@pytest.mark.parametrize("what", ASKED)
def test_f13_too_little_memory_is_told(limited, what):
    seen = [outcome(limited(f"ulimit -v {mib << 10}"), *ASKED[what]) for mib in (16, 18, 20, 24, 200)]
    assert set(seen[:-1]) <= {"resource_limit", ""}, seen
    assert seen[-1] == ""


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (OSError(24, "Too many open files"), "resource_limit"),
        (OSError(11, "Resource temporarily unavailable"), "resource_limit"),
        (RuntimeError("can't start new thread"), "resource_limit"),
        (MemoryError(), "resource_limit"),
        (ImportError("/usr/lib/x.so: failed to map segment from shared object"), "resource_limit"),
        (ImportError("x.so: cannot allocate memory in static TLS block"), "resource_limit"),
        (SystemError("error return without exception set"), "resource_limit"),
        (SystemError("anything else"), "internal_error"),
        (ImportError("No module named x"), "internal_error"),
        (OSError(28, "No space left on device"), "disk_full"),
        (RuntimeError("anything else"), "internal_error"),
        (ValueError("x"), "internal_error"),
    ],
    ids=[
        "F13-descriptors",
        "F13-processes",
        "F13-threads",
        "F13-memory",
        "F13-library",
        "F13-loader",
        "F13-interpreter",
        "fault of Python",
        "module",
        "F26-disk",
        "other",
        "fault",
    ],
)
def test_what_stopped_an_operation_has_its_kind(exc, kind):
    assert context.error_kind(exc) == kind


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.isdir("/sys/fs/cgroup/pids"), reason="a control group of v1 limits the processes"
)
@pytest.mark.parametrize("count", range(1, 9))
def test_f13_too_few_processes_leave_no_command_half_started(limited, tmp_path, count):
    group = f"/sys/fs/cgroup/pids/testcell-few-{os.getpid()}"
    os.makedirs(group)
    try:
        with open(f"{group}/pids.max", "w") as stream:
            stream.write(str(count))
        kind = outcome(limited(f"echo $$ > {group}/cgroup.procs"), "supervise", START)
        assert kind in ("resource_limit", ""), kind
        if kind:
            assert not procs.ours(tmp_path / "root")
    finally:
        procs.end_ours(tmp_path / "root")
        subprocess.run(["sh", "-c", f"until rmdir {group}; do sleep 0.05; done"], timeout=30, check=True)
