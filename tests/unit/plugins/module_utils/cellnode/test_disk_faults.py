# SPDX-License-Identifier: MIT
"""A node whose disk takes nothing more: each fault has its own name, and the node can still be cleaned."""

from __future__ import annotations

import base64
import os
import subprocess
import time

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import cgroup, main, procs
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.mailbox import closed
from served import Served

RUN = {"id": "20260102_030405", "scenario": "s", "case": "", "attempt": 1}
UNIT = {"name": "test", "cwd_rel": "work", "dirs_rel": ["work"], "timeout_s": 60, "grace_s": 1}


class Node:
    """A node whose root is a small file system of its own."""

    def __init__(self, root, program, no_engine):
        self.root = root
        self.run = dict(RUN)
        common = {"root": str(root), "run": self.run, "owner": "tester", "engine": False}
        self.served = Served(program, common, {"DOCKER_HOST": f"unix://{no_engine}"})

    def ask(self, op, **args):
        answer = self.served.answer(self.served.send(op, **args))
        return answer.get("result") or answer["error"]

    def run_unit(self, script):
        self.ask("supervise", action="start", argv=["sh", "-c", script], **UNIT)
        deadline, answer = time.monotonic() + 30, {"state": "running"}
        while answer.get("state") == "running" and time.monotonic() < deadline:
            answer = self.ask("supervise", action="poll", name="test", wait_s=5)
        return answer

    def fill(self, what):
        """Leave no block or no inode free, or make the file system read-only."""
        if what == "read-only":
            return subprocess.run(["mount", "-o", "remount,ro", self.root], check=True)
        subprocess.run(["sh", "-c", FILL[what]], cwd=self.root, check=False, capture_output=True)
        return None


FILL = {
    "full": "cat /dev/zero > filler",
    "no-inode": "n=0; while [ $n -lt 5000 ] && : > filler$n; do n=$((n+1)); done",
}
KINDS = {"full": "disk_full", "no-inode": "disk_full", "read-only": "fs_readonly"}


@pytest.fixture
def node(cellnode_zip, tmp_path):
    """A node with 2 MiB and 300 inodes that a run has leased."""
    root = tmp_path / "node"
    root.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=300,mode=700", "tmpfs", root]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounts are not allowed here")
    made = Node(root, cellnode_zip, tmp_path / "none.sock")
    made.run["epoch"] = made.ask("lease", action="acquire")["epoch"]
    yield made
    made.served.close()
    procs.end_ours(root)
    for group in cgroup.groups_left(root):
        cgroup.remove(group)
    subprocess.run(["umount", "-l", root], check=True)


@pytest.mark.parametrize("what", KINDS)
def test_f26_a_unit_that_cannot_be_kept_is_not_started(node, what):
    node.fill(what)
    answer = node.ask("supervise", action="start", argv=["touch", f"{node.root}/ran"], **UNIT)
    assert answer["kind"] == KINDS[what], answer
    assert not procs.ours(node.root)
    assert not (node.root / "ran").exists()


@pytest.mark.parametrize("what", ["full", "no-inode"])
def test_f26_a_script_that_fails_on_its_full_disk_is_told_so_and_the_node_is_cleaned(node, what):
    answer = node.run_unit(f"echo begun; ({FILL[what]}); echo data > results || exit 7")
    assert (answer["state"], answer["exit_code"], answer["error_kind"]) == ("exited", 7, "disk_full"), answer
    assert "the file system of its folder is full" in answer["message"]
    # the script may be faster at filling the disk than the supervisor at writing its first line
    assert base64.b64decode(answer["log_b64"]).startswith(b"begun\n") or answer["log_error"].startswith("disk_full")
    node.run.pop("scenario")
    assert node.ask("clean")["errors"] == []
    assert node.ask("lease", action="release")["state"] == "released"
    assert list((node.root / "runs").iterdir()) == []


def test_f26_a_script_that_ends_well_on_a_full_disk_has_ended_well(node):
    answer = node.run_unit(f"{FILL['full']}; exit 0")
    assert (answer["state"], answer["exit_code"], answer["error_kind"]) == ("exited", 0, "")


def test_f26_a_disk_that_turns_read_only_under_a_test_is_named(node):
    node.ask("supervise", action="start", argv=["sleep", "1000"], **UNIT)
    node.fill("read-only")
    assert node.ask("supervise", action="poll", name="test")["kind"] == "fs_readonly"
    subprocess.run(["mount", "-o", "remount,rw", node.root], check=True)
    assert node.ask("supervise", action="kill", name="test")["state"] == "killed"


@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename", "mkdir"])
def test_f26_a_disk_that_answers_with_errors_is_an_io_error(tmp_path, monkeypatch, call):
    def fault(*args, **kwargs):
        raise OSError(5, "Input/output error")

    root = tmp_path / "node"
    root.mkdir(mode=0o700)
    request = {"op": "lease", "root": str(root), "run": RUN, "owner": "me", "args": {"action": "acquire"}}
    if call == "mkdir":
        request = {**request, "op": "supervise", "args": {"action": "start", "argv": ["true"], **UNIT}}
    monkeypatch.setattr(os, call, fault)
    with pytest.raises(CellError) as caught:
        main.answer_to(request, lambda event: None, closed())
    assert caught.value.kind == "io_error"
