# SPDX-License-Identifier: MIT
"""What is ours and what is not, between two snapshots."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.compare import Ours, compare

OURS = Ours("r1", frozenset({"testcell-r1-s"}), "/root/runs/r1")
MIB = 1 << 20


def box(name, labels=None, **more):
    return {
        "id": f"id-{name}",
        "name": name,
        "labels": labels or {},
        "state": "running",
        "created": 90.0,
        "ports": [],
        **more,
    }


def process(pid, run="r1"):
    return {"pid": pid, "start": 5, "cmdline": f"sleep {pid}", "run": run}


def port(number, pid=None, program="", address="0.0.0.0"):
    return {"port": number, "address": address, "pid": pid, "program": program}


def user(pid, uuid="G0", used=MIB):
    return {"pid": pid, "uuid": uuid, "memory_used_bytes": used}


def card(used, uuid="G0"):
    return {"index": 0, "name": "GPU", "uuid": uuid, "memory_total_bytes": 100 * MIB, "memory_used_bytes": used}


MINE, PROJECT, OTHER = {"testcell.run": "r1"}, {"com.docker.compose.project": "testcell-r1-s"}, {"testcell.run": "r10"}

FAULT = {"id": "e", "kind": "pause", "service": "web", "state": "injected", "age_s": 7.0, "run": "r1", "held": True}

TABLE = [
    pytest.param({}, {"chaos": [FAULT]}, ["chaos e"], [], id="F64-our-fault"),
    pytest.param({}, {"chaos": [{**FAULT, "run": "r2", "held": False}]}, ["chaos e"], [], id="F64-fault-of-a-dead-run"),
    pytest.param({}, {"chaos": [{**FAULT, "run": "r2"}]}, [], ["chaos e"], id="F64-fault-of-who-shares-the-node"),
    pytest.param({}, {"containers": [box("a", MINE)]}, ["container a"], [], id="our-container"),
    pytest.param(
        {"containers": [box("a", MINE)]}, {"containers": [box("a", MINE)]}, ["container a"], [], id="ours-before-too"
    ),
    pytest.param({}, {"containers": [box("a", PROJECT)]}, ["container a"], [], id="our-project-without-label"),
    pytest.param(
        {}, {"networks": [box("n", MINE)], "volumes": [box("v", MINE)]}, ["network n", "volume v"], [], id="others"
    ),
    pytest.param({}, {"containers": [box("a", OTHER)]}, [], ["container a"], id="run-id-is-no-prefix"),
    pytest.param(
        {}, {"volumes": [box("testcell-r1-s_data")]}, [], ["volume testcell-r1-s_data"], id="a-name-proves-nothing"
    ),
    pytest.param({"containers": [box("a")]}, {"containers": [box("a")]}, [], [], id="stranger-from-before"),
    pytest.param({}, {"processes": [process(7)]}, ["process 7"], [], id="our-process"),
    pytest.param({}, {"processes": [process(7, "r0")]}, [], ["process 7"], id="process-of-another-run"),
    pytest.param(
        {"processes": [process(7, "r0")]}, {"processes": [process(7, "r0")]}, [], [], id="old-process-of-another"
    ),
    pytest.param(
        {},
        {"groups": [{"path": "/cg/r1:x", "run": "r1"}, {"path": "/cg/r2:x", "run": "r2"}]},
        ["cgroup /cg/r1:x"],
        [],
        id="cgroup",
    ),
    pytest.param(
        {},
        {
            "left": [
                {"type": "folder", "path": "/root/runs/r1/s/a1"},
                {"type": "file", "path": "/root/runs/r1/stray"},
            ]
        },
        ["folder /root/runs/r1/s/a1", "file /root/runs/r1/stray"],
        [],
        id="left-of-the-folder",
    ),
    pytest.param(
        {},
        {
            "mounts": [
                {"path": "/root/runs/r1/s/a1/m", "kind": "tmpfs", "source": "x"},
                {"path": "/root/runs/r10/s/a1", "kind": "tmpfs", "source": "x"},
            ]
        },
        ["mount /root/runs/r1/s/a1/m"],
        ["mount /root/runs/r10/s/a1"],
        id="mount",
    ),
    pytest.param(
        {},
        {"processes": [process(7)], "listening": [port(80, 7, "x")]},
        ["process 7", "port 0.0.0.0:80"],
        [],
        id="our-port",
    ),
    pytest.param({}, {"listening": [port(80, 9, "nginx")]}, [], ["port 0.0.0.0:80"], id="port-of-a-stranger"),
    pytest.param({"listening": [port(80)]}, {"listening": [port(80)]}, [], [], id="port-from-before"),
    pytest.param({}, {"listening": [port(8022)]}, [], [], id="ignored-port"),
    pytest.param(
        {}, {"listening": [port(80, 9, "docker-proxy")]}, ["port 0.0.0.0:80"], [], id="proxy-without-container"
    ),
    pytest.param(
        {},
        {"listening": [port(80, 9, "docker-proxy")], "containers": [box("b", ports=[80])]},
        [],
        ["container b", "port 0.0.0.0:80"],
        id="proxy-of-a-stranger",
    ),
    pytest.param(
        {},
        {"processes": [process(7)], "gpu_users": [user(7)]},
        ["process 7", "gpu_memory pid 7"],
        [],
        id="our-gpu-memory",
    ),
    pytest.param(
        {"gpus": [card(0)]},
        {"gpus": [card(90 * MIB)], "gpu_users": [user(9, used=80 * MIB)]},
        [],
        ["gpu_memory pid 9"],
        id="gpu-of-a-stranger",
    ),
    pytest.param({"gpus": [card(0)]}, {"gpus": [card(90 * MIB)]}, ["gpu_memory GPU"], [], id="gpu-memory-of-nobody"),
    pytest.param({"gpus": [card(0)]}, {"gpus": [card(64 * MIB)]}, [], [], id="gpu-tolerance"),
    pytest.param({"gpus": [card(90 * MIB)]}, {"gpus": [card(0)]}, [], [], id="gpu-memory-given-back"),
    pytest.param({}, {"gpus": [card(90 * MIB)]}, [], [], id="gpu-not-known-before"),
    pytest.param({}, {"gpus": [card(None)]}, [], [], id="gpu-memory-unknown"),
]


@pytest.mark.parametrize(("before", "after", "leftovers", "foreign"), TABLE)
def test_each_thing_is_ours_or_foreign_or_old(before, after, leftovers, foreign):
    left = compare(before, after, OURS, 100.0, frozenset({8022}))
    assert [f"{entry['type']} {entry['name']}" for entry in left.leftovers] == leftovers
    assert [f"{entry['type']} {entry['name']}" for entry in left.foreign] == foreign


def test_an_entry_tells_owner_age_and_id():
    left = compare({}, {"containers": [box("a", MINE)]}, OURS, 100.0, frozenset())
    assert left.leftovers == (
        {"type": "container", "id": "id-a", "name": "a", "owner": "r1", "age_s": 10.0, "detail": "running"},
    )


def test_ages_are_never_negative():
    left = compare({}, {"containers": [box("a", MINE, created=500.0)]}, OURS, 100.0, frozenset())
    assert left.leftovers[0]["age_s"] == 0.0


def test_a_strangers_object_that_vanished_is_told():
    left = compare({"volumes": [box("v"), box("w", MINE)]}, {"volumes": []}, OURS, 100.0, frozenset())
    assert [entry["name"] for entry in left.gone] == ["v"]


def test_gpu_memory_that_nobody_accounts_for_is_not_ours_where_others_hold_the_node():
    before, after = {"gpus": [card(0)]}, {"gpus": [card(90 * MIB)]}
    shared = compare(before, after, Ours("r1", alone=False), 100.0, frozenset())
    assert (shared.leftovers, [entry["type"] for entry in shared.foreign]) == ((), ["gpu_memory"])


def test_what_a_co_holder_has_is_a_strangers():
    after = {
        "containers": [box("theirs", OTHER)],
        "networks": [box("net", OTHER)],
        "processes": [process(7, "r10")],
        "groups": [{"path": "/sys/fs/cgroup/x", "run": "r10"}],
    }
    left = compare({}, after, Ours("r1", alone=False), 100.0, frozenset())
    assert left.leftovers == ()
    assert [entry["type"] for entry in left.foreign] == ["container", "network", "process"]


NOBODYS = {
    "file in the node root": ({"new": [{"type": "file", "path": "/var/tmp/testcell-0/x"}]}, "file"),
    "folder of another run": ({"new": [{"type": "file", "path": "/var/tmp/testcell-0/runs/r2"}]}, "file"),
    "bridge without its network": ({"links": {"br-0123456789ab": ""}}, "bridge"),
    "port proxy without its container": (
        {"listening": [{"port": 80, "address": "0.0.0.0", "pid": 9, "program": "docker-proxy"}]},
        "port",
    ),
}


@pytest.mark.parametrize(("after", "kind"), NOBODYS.values(), ids=NOBODYS)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "shared"])
def test_what_nobody_owns_is_ours_only_where_no_other_run_holds_the_node(after, kind, alone):
    left = compare({}, after, Ours("r1", alone=alone), 100.0, frozenset())
    ours, foreign = ([entry["type"] for entry in entries] for entries in (left.leftovers, left.foreign))
    assert (ours, foreign) == (([kind], []) if alone else ([], [kind]))
