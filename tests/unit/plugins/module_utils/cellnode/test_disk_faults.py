# SPDX-License-Identifier: MIT
"""A node whose disk takes nothing more: each fault has its own name, and the node can still be cleaned."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import signal
import struct
import subprocess
import time
import zlib
from contextlib import contextmanager

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


EMPTY = hashlib.sha256().hexdigest()
NOTHING = base64.b64encode(zlib.compress(b"")).decode()
FILL = {
    "full": "cat /dev/zero > filler",
    "no-inode": "n=0; while [ $n -lt 5000 ] && : > filler$n; do n=$((n+1)); done",
}
# EXT4_IOC_SHUTDOWN and EXT4_GOING_FLAGS_NOLOGFLUSH
SHUT_DOWN, WITHOUT_FLUSH = 0x8004587D, 2
KINDS = {"full": "disk_full", "no-inode": "disk_full", "read-only": "fs_readonly"}


@contextmanager
def leased(root, program, *mount):
    """Mount a file system and give the node on it, which a run has leased; in the end nothing of it is left."""
    root.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", *mount, root], check=False, capture_output=True).returncode:
        pytest.skip("mounts are not allowed here")
    root.chmod(0o700)
    made = Node(root, program, root.parent / "none.sock")
    try:
        made.run["epoch"] = made.ask("lease", action="acquire")["epoch"]
        yield made
    finally:
        made.served.close()
        procs.end_ours(root)
        for group in cgroup.groups_left(root):
            cgroup.remove(group)
        subprocess.run(["umount", "-l", root], check=True)


@pytest.fixture
def node(cellnode_zip, tmp_path):
    """A node with 2 MiB and 300 inodes that a run has leased."""
    with leased(tmp_path / "node", cellnode_zip, "-t", "tmpfs", "-o", "size=2m,nr_inodes=300", "tmpfs") as made:
        yield made


@pytest.fixture
def mortal(cellnode_zip, tmp_path):
    """A node whose root is a disk of its own, which `die` can break."""
    image = tmp_path / "disk"
    with image.open("wb") as stream:
        stream.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True, timeout=30)
    with leased(tmp_path / "node", cellnode_zip, "-o", "loop", image) as made:
        yield made


def die(node):
    """Let every call to the node's disk fail from now on, as ext4 does when its device is gone."""
    folder = os.open(node.root, os.O_RDONLY)
    try:
        fcntl.ioctl(folder, SHUT_DOWN, struct.pack("I", WITHOUT_FLUSH))
    finally:
        os.close(folder)


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


ASKED = {
    "supervise": {"action": "start", "argv": ["true"], **UNIT},
    "upload": {
        "dest_rel": "work",
        "files": [{"path": "a", "size": 0, "mode": 0o644, "sha256": EMPTY}],
        "data": {"a": NOTHING},
    },
    "send": {"base_rel": "work", "patterns": ["**"], "algorithms": {"sha256": 1.0}},
    "lease": {"action": "renew"},
}


@pytest.mark.tries(10)
@pytest.mark.parametrize("op", ASKED)
def test_f26_a_disk_that_died_is_an_io_error(mortal, op):
    mortal.run_unit("echo data > data")
    die(mortal)
    assert mortal.ask(op, **ASKED[op])["kind"] == "io_error"


@pytest.mark.tries(10)
def test_f26_a_disk_that_dies_under_a_test_is_an_io_error_and_the_test_ends_with_its_lease(mortal, eventually):
    mortal.ask("lease", action="acquire", ttl_s=1)
    mortal.ask("supervise", action="start", argv=["sh", "-c", "echo up; sleep 1000"], **UNIT)
    assert mortal.ask("supervise", action="poll", name="test", wait_s=20)["log_bytes"], "it is watched"
    (status,) = mortal.root.rglob("status.json")
    supervisor = json.loads(status.read_text())["supervisor_pid"]
    die(mortal)
    for op, args in (("supervise", {"action": "poll", "name": "test"}), ("stop", {}), ("clean", {})):
        assert mortal.ask(op, **args)["kind"] == "io_error"
    eventually(lambda: not procs.ours(mortal.root), "its supervisor cannot see the lease and ends it")
    os.kill(supervisor, signal.SIGKILL)  # it tries for a minute to keep the last status


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
