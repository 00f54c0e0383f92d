# SPDX-License-Identifier: MIT
"""Memory of each GPU is back where it was, and who holds what is named."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import gpu_memory
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.differences import Ours

OURS = Ours("r1")
MIB = 1 << 20
OUR_BOX, OTHER_BOX = "a" * 64, "b" * 64


def card(used, uuid="G0", total=80_000, fault=""):
    return {
        "index": 0,
        "name": f"card {uuid}",
        "uuid": uuid,
        "memory_total_bytes": total * MIB,
        "memory_used_bytes": None if used is None else used * MIB,
        "fault": fault,
    }


def user(pid, used=500, uuid="G0", container="", program="python3"):
    size = None if used is None else used * MIB
    facts = {"pid": pid, "uuid": uuid, "memory_used_bytes": size, "program": program, "container": container}
    return {**facts, "user": "kim", "age_s": 4.0}


def boxes(*ids):
    return [
        {"id": one, "name": f"box-{one[0]}", "labels": {"testcell.run": "r1"} if one == OUR_BOX else {}} for one in ids
    ]


def found(before, after):
    """Return the differences as (ours, type, name)."""
    told = gpu_memory.compare(before, after, OURS)
    return [(mine, entry["type"], entry["name"]) for mine, entry in told]


LEAK = [(True, "gpu_memory", "card G0")]
TABLE = {
    "same": ({"gpus": [card(4)]}, {"gpus": [card(4)]}, []),
    "least-tolerance": ({"gpus": [card(4, total=1000)]}, {"gpus": [card(68, total=1000)]}, []),
    "over-the-least": ({"gpus": [card(4, total=1000)]}, {"gpus": [card(69, total=1000)]}, LEAK),
    "one-percent": ({"gpus": [card(4)]}, {"gpus": [card(804)]}, []),
    "over-one-percent": ({"gpus": [card(4)]}, {"gpus": [card(805)]}, LEAK),
    "given-back": ({"gpus": [card(900)]}, {"gpus": [card(0)]}, []),
    "order-of-the-cards-changed": (
        {"gpus": [card(4, "G0"), card(9000, "G1")]},
        {"gpus": [card(9000, "G1"), card(4, "G0")]},
        [],
    ),
    "second-of-several": (
        {"gpus": [card(4, "G0"), card(4, "G1")]},
        {"gpus": [card(9000, "G1"), card(4, "G0")]},
        [(True, "gpu_memory", "card G1")],
    ),
    "our-process": (
        {"gpus": [card(4)]},
        {"gpus": [card(504)], "gpu_users": [user(7)], "processes": [{"pid": 7, "run": "r1"}]},
        [(True, "gpu_memory", "pid 7")],
    ),
    "all-of-it-by-our-process": (
        {"gpus": [card(4)]},
        {"gpus": [card(60_000)], "gpu_users": [user(7, 59_996)], "processes": [{"pid": 7, "run": "r1"}]},
        [(True, "gpu_memory", "pid 7")],
    ),
    "our-container": (
        {"gpus": [card(4)]},
        {"gpus": [card(504)], "gpu_users": [user(7, container=OUR_BOX)], "containers": boxes(OUR_BOX)},
        [(True, "gpu_memory", "pid 7")],
    ),
    "container-that-is-gone": (
        {"gpus": [card(4)]},
        {"gpus": [card(504)], "gpu_users": [user(7, container=OUR_BOX)], "containers": []},
        [(True, "gpu_memory", "pid 7")],
    ),
    "stranger-whose-container-is-gone-all-along": (
        {"gpus": [card(504)], "gpu_users": [user(7, container=OTHER_BOX)]},
        {"gpus": [card(504)], "gpu_users": [user(7, container=OTHER_BOX)], "containers": []},
        [],
    ),
    "new-stranger": (
        {"gpus": [card(4)]},
        {"gpus": [card(600)], "gpu_users": [user(7, container=OTHER_BOX)], "containers": boxes(OTHER_BOX)},
        [(False, "gpu_memory", "pid 7")],
    ),
    "new-stranger-does-not-hide-a-leak": (
        {"gpus": [card(4)]},
        {"gpus": [card(9000)], "gpu_users": [user(7)]},
        [(False, "gpu_memory", "pid 7"), (True, "gpu_memory", "card G0")],
    ),
    "stranger-that-grew": (
        {"gpus": [card(504)], "gpu_users": [user(7)]},
        {"gpus": [card(9004)], "gpu_users": [user(7, 9000)]},
        [],
    ),
    "stranger-that-ended-hides-no-leak": (
        {"gpus": [card(9004)], "gpu_users": [user(7, 9000)]},
        {"gpus": [card(8000)]},
        LEAK,
    ),
    "stranger-of-an-unknown-amount": (
        {"gpus": [card(4)]},
        {"gpus": [card(9000)], "gpu_users": [user(None, None)]},
        [(False, "gpu_memory", "pid unknown")],
    ),
    "old-stranger-of-an-unknown-amount-hides-no-leak": (
        {"gpus": [card(4)], "gpu_users": [user(7, None)]},
        {"gpus": [card(9000)], "gpu_users": [user(7, None)]},
        LEAK,
    ),
    "part-of-a-card": (
        {"gpus": [card(4)]},
        {"gpus": [card(600)], "gpu_users": [user(7, uuid="MIG-1f2e")]},
        [(False, "gpu_memory", "pid 7")],
    ),
    "figure-never-told": ({"gpus": [card(None)]}, {"gpus": [card(None)]}, []),
    "figure-not-told-before": ({"gpus": [card(None)]}, {"gpus": [card(9000)]}, []),
    "figure-not-told-any-more": ({"gpus": [card(4)]}, {"gpus": [card(None)]}, LEAK),
    "fault": ({"gpus": [card(4)]}, {"gpus": [card(None, fault="ERR!")]}, [(True, "gpu", "card G0")]),
    "fault-from-before": ({"gpus": [card(4, fault="ERR!")]}, {"gpus": [card(4, fault="ERR!")]}, []),
    "card-that-is-gone": ({"gpus": [card(4)]}, {"gpus": []}, [(True, "gpu", "card G0")]),
    "list-that-failed-says-nothing-of-a-card": (
        {"gpus": [card(4)]},
        {"gpus": [], "errors": [{"what": "gpus", "error": "NVML"}]},
        [],
    ),
    "card-that-came": ({"gpus": []}, {"gpus": [card(9000)]}, []),
}


@pytest.mark.parametrize("name", TABLE)
def test_each_difference_is_found(name):
    before, after, expected = TABLE[name]
    assert found(before, after) == expected


def test_who_holds_memory_is_named_with_pid_program_container_and_age():
    after = {"gpu_users": [user(7, container=OUR_BOX)], "containers": boxes(OUR_BOX)}
    ((_, entry),) = gpu_memory.compare({}, after, OURS)
    assert entry == {
        "type": "gpu_memory",
        "id": "G0",
        "name": "pid 7",
        "owner": "r1",
        "age_s": 4.0,
        "detail": "python3 in container box-a holds 500 MiB on G0",
    }
