# SPDX-License-Identifier: MIT
"""What lies around the engine: ours where that can be told, else told as somebody's."""

from __future__ import annotations

import os

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import places
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.compare import Ours, compare
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef

OURS = Ours("r1", frozenset(), "/root/runs/r1")
NET = {"id": "0123456789ab" + "c" * 52, "name": "net", "labels": {}, "created": 1.0}
BRIDGE, SANDBOX = "br-0123456789ab", "/run/docker/netns/0a1b2c3d4e5f"
BOX = {"id": "b", "name": "b", "labels": {}, "state": "running", "created": 1.0, "ports": []}


def new(kind, path, **more):
    return {"type": kind, "path": path, "user": "kim", "created": 90.0, **more}


def segment(number, cpid=9):
    return {"id": number, "uid": 0, "cpid": cpid, "bytes": 64}


def disk(free):
    return {"path": "/root", "free_bytes": free, "total_bytes": 1000}


# before, after, leftovers, foreign, noted
TABLE = {
    "bridge-without-network": ({}, {"links": {BRIDGE: ""}}, [f"bridge {BRIDGE}"], [], []),
    "bridge-of-a-network": ({"networks": [NET]}, {"links": {BRIDGE: ""}, "networks": [NET]}, [], [], []),
    "bridge-from-before": ({"links": {BRIDGE: ""}}, {"links": {BRIDGE: ""}}, [], [], []),
    "other-interface": ({}, {"links": {"wg0": ""}}, [], ["interface wg0"], []),
    "cable-without-container": ({}, {"links": {"veth1": "docker0"}}, ["interface veth1"], [], []),
    "cable-of-a-container": (
        {"containers": [BOX]},
        {"links": {"veth1": "docker0"}, "containers": [BOX]},
        [],
        [],
        [],
    ),
    "cable-of-a-lost-bridge": (
        {"containers": [BOX]},
        {"links": {"veth1": BRIDGE, BRIDGE: ""}, "containers": [BOX]},
        ["interface veth1", f"bridge {BRIDGE}"],
        [],
        [],
    ),
    "loose-cable": ({}, {"links": {"veth1": ""}}, [], ["interface veth1"], []),
    "namespace-without-container": ({}, {"new": [new("netns", SANDBOX)]}, [f"netns {SANDBOX}"], [], []),
    "namespace-of-a-container": ({}, {"new": [new("netns", SANDBOX)], "sandboxes": ["0a1b2c3d4e5f"]}, [], [], []),
    "namespace-of-the-node": ({}, {"new": [new("netns", "/run/docker/netns/default")]}, [], [], []),
    "namespace-by-name": ({}, {"new": [new("netns", "/run/netns/blue")]}, [], ["netns /run/netns/blue"], []),
    "file-in-the-node-root": ({}, {"new": [new("file", "/root/x")]}, ["file /root/x"], [], []),
    "temporary-file": ({}, {"new": [new("tmp", "/tmp/x")]}, [], ["tmp /tmp/x"], []),
    "file-in-shared-memory": ({}, {"new": [new("shm", "/dev/shm/x")]}, [], ["shm /dev/shm/x"], []),
    "folder-of-a-module": ({}, {"new": [new("ansible_tmp", "/h/x")]}, [], ["ansible tmp /h/x"], []),
    "job": ({}, {"new": [new("cron", "/c/x", named=False)]}, [], ["cron /c/x"], []),
    "job-that-names-our-folder": ({}, {"new": [new("cron", "/c/x", named=True)]}, ["cron /c/x"], [], []),
    "segment": ({"segments": [segment(1)]}, {"segments": [segment(1), segment(2)]}, [], ["shared memory 2"], []),
    "segment-of-our-process": (
        {},
        {"segments": [segment(2, 7)], "processes": [{"pid": 7, "start": 1, "run": "r1", "cmdline": "x"}]},
        ["process 7", "shared memory 2"],
        [],
        [],
    ),
    "container-that-holds-our-folder": (
        {},
        {"containers": [{**BOX, "binds": ["/root/runs/r1/s/a1/work"]}]},
        ["container b"],
        [],
        [],
    ),
    "container-that-holds-a-folder-beside": (
        {},
        {"containers": [{**BOX, "binds": ["/root/runs/r10", "/root/runs", "/root"]}]},
        [],
        ["container b"],
        [],
    ),
    "container-of-another-run-that-holds-our-folder": (
        {},
        {"containers": [{**BOX, "labels": {"testcell.run": "r2"}, "binds": ["/root/runs/r1"]}]},
        [],
        ["container b"],
        [],
    ),
    "image": ({"images": []}, {"images": [{"id": "i", "name": "e:1", "bytes": 5}]}, [], [], ["image e:1"]),
    "image-from-before": (
        {"images": [{"id": "i"}]},
        {"images": [{"id": "i", "name": "e:1", "bytes": 5}]},
        [],
        [],
        [],
    ),
    "less-room": ({"disk": disk(500)}, {"disk": disk(489)}, [], [], ["disk /root"]),
    "a-little-less-room": ({"disk": disk(500)}, {"disk": disk(490)}, [], [], []),
    "clock-set": ({"clock": 100.0}, {"clock": 98.5}, [], [], ["clock wall clock"]),
    "clock-kept": ({"clock": 100.0}, {"clock": 100.9}, [], [], []),
}


@pytest.mark.parametrize("name", TABLE)
def test_each_difference_has_its_place(name):
    before, after, *expected = TABLE[name]
    left = compare(before, after, OURS, 100.0, frozenset())
    told = [
        [f"{e['type'].replace('_', ' ')} {e['name']}" for e in part]
        for part in (left.leftovers, left.foreign, left.noted)
    ]
    assert told == expected


def test_an_entry_of_a_file_tells_owner_and_age():
    after = {"new": [new("tmp", "/tmp/x"), new("file", "/root/x")]}
    left = compare({}, after, OURS, 100.0, frozenset())
    assert [(e["owner"], e["age_s"]) for e in (*left.foreign, *left.leftovers)] == [("kim", 10.0), ("r1", 10.0)]


def test_a_stopped_process_is_told_as_one():
    process = {"pid": 7, "start": 1, "run": "r1", "cmdline": "sleep 9", "stopped": True, "age_s": 3.0}
    (entry,) = compare({}, {"processes": [process]}, OURS, 100.0, frozenset()).leftovers
    assert (entry["detail"], entry["owner"], entry["age_s"]) == ("sleep 9 (stopped)", "r1", 3.0)


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A node root with its own temporary folder and jobs."""
    for folder in ("root/runs/r1", "tmp", "cron"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(places, "SCRATCH", {str(tmp_path / "tmp"): "tmp"})
    monkeypatch.setattr(places, "CRON", (str(tmp_path / "cron"), str(tmp_path / "absent")))
    return Context(tmp_path / "root", RunRef("r1", "s"), environ={"HOME": str(tmp_path)})


def looked(node):
    return {"names": places.names(node), "jobs": places.jobs()}


def fresh(node, before):
    return [
        (entry["type"], os.path.relpath(entry["path"], node.root.parent))
        for entry in places.new(node, before, looked(node))
    ]


def test_what_is_new_in_a_watched_folder_is_found(node):
    (node.root.parent / "tmp/old").write_text("")
    before = looked(node)
    controllers = ("tmp/testcell-link-x", "tmp/testcell-job-y")
    for path in (
        *controllers,
        "root/stray",
        "root/runs/r2",
        "tmp/new",
        ".ansible/tmp/ansible-tmp-1",
        ".ansible/tmp/ansible-local-1",
    ):
        (node.root.parent / path).mkdir(parents=True)
    (node.root.parent / "cron/job").write_text("* * * * * root true")
    assert fresh(node, before) == [
        ("file", "root/stray"),
        ("file", "root/runs/r2"),
        ("tmp", "tmp/new"),
        ("ansible_tmp", ".ansible/tmp/ansible-tmp-1"),
        ("cron", "cron/job"),
    ]


@pytest.mark.parametrize(
    "kept", ["lease.json", "lease.lock", "quarantine.json", "compose.json", "cellnode-0a.pyz", "runs"]
)
def test_what_the_node_program_keeps_is_not_left(node, kept):
    before = {**looked(node), "names": {str(node.root): []}}
    (node.root / kept).mkdir(exist_ok=True)
    assert fresh(node, before) == []


def test_files_of_other_users_in_a_temporary_folder_are_theirs(node, monkeypatch):
    before = looked(node)
    (node.root.parent / "tmp/new").write_text("")
    uid = os.geteuid()
    monkeypatch.setattr(places.os, "geteuid", lambda: uid + 1)
    assert fresh(node, before) == []


@pytest.mark.parametrize(("text", "ours"), [("* * * * * rm {run}/s/x", True), ("* * * * * rm {run}0/x", False)])
def test_a_job_that_changed_is_ours_when_it_names_the_folder(node, text, ours):
    job = node.root.parent / "cron/root"
    job.write_text("")
    os.utime(job, (1, 1))
    before = looked(node)
    job.write_text(text.format(run=node.run_dir))
    (entry,) = places.new(node, before, looked(node))
    assert (entry["type"], entry["named"]) == ("cron", ours)


def test_a_folder_of_very_many_names_is_not_compared(node, monkeypatch):
    before = looked(node)
    (node.root.parent / "tmp/new").write_text("")
    monkeypatch.setattr(places, "MOST_NAMES", 0)
    assert fresh(node, before) == []


def test_the_table_of_shared_memory_is_read(tmp_path, monkeypatch):
    table = tmp_path / "shm"
    table.write_text(
        "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime\n"
        "         0          3   600                524288  4711  4711      2  1000  1000  1000  1000 1700000000\n"
    )
    monkeypatch.setattr(places, "SHM_TABLE", table)
    assert places.segments() == [{"id": 3, "uid": 1000, "cpid": 4711, "bytes": 524288}]
