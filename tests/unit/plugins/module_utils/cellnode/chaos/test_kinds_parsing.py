# SPDX-License-Identifier: MIT
"""What the kinds of network, disk, stress and clock read: parameters, listings of tools, tables of the kernel."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import mounts
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import (
    boxed,
    clock,
    delay,
    disk,
    kinds,
    network,
    outside,
    ping,
    queues,
    rules,
    values,
)
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError

OURS = ("network_cut", "network_loss", "network_rate", "network_delay", "disk_fill", "cpu_stress", "memory_stress")


@pytest.mark.parametrize("kind", [*OURS, "clock_jump"])
def test_each_kind_lies_where_the_list_says(kind):
    assert kinds.find(kind).kind == kind


SIZES = [(0, 0), (1 << 30, 1 << 30), ("17", 17), ("64MiB", 64 << 20), ("1.5 GiB", 3 << 29), ("2kB", 2000), ("3B", 3)]


@pytest.mark.parametrize(("given", "wanted"), SIZES)
def test_a_size_has_a_unit_or_none(given, wanted):
    assert values.size({"bytes": given}, "bytes") == wanted


@pytest.mark.parametrize("given", ["", "1MB1", "-1", "1 mib", "1e3", "MiB", True, 1.5, -1, 1 << 51, ["1"], "9" * 400])
def test_a_size_of_another_form_is_refused(given):
    with pytest.raises(CellError, match=r"^params\.bytes is .*; allowed: bytes from 0 to ") as caught:
        values.size({"bytes": given}, "bytes")
    assert caught.value.kind == "chaos_invalid"


@pytest.mark.parametrize("given", [True, "1", None, float("nan"), float("inf"), -1, 11])
def test_a_number_out_of_range_is_refused(given):
    with pytest.raises(CellError, match=r"^params\.x is .*; allowed: a number from 0 to 10$"):
        values.number({"x": given}, "x", 0, 10)


def test_directions_are_three():
    assert [values.directions({"direction": name}) for name in ("in", "out", "both", None)] == [
        ("in",), ("out",), ("in", "out"), ("in", "out"),
    ]  # fmt: skip


@pytest.mark.parametrize("given", [[0], [65536], ["22"], [True], "22", 22])
def test_ports_are_a_list_of_ports(given):
    with pytest.raises(CellError, match=r"^params\.keep_ports is .*; allowed: a list of ports from 1 to 65535$"):
        values.ports({"keep_ports": given}, "keep_ports")


LISTING = """-P PREROUTING ACCEPT
-N testcell-aaaa-in
-N testcell-aaaabbbb-in
-N DOCKER
-A PREROUTING ! -i lo -m comment --comment "testcell:run:cut 1.0" -j testcell-aaaa-in
-A PREROUTING ! -i lo -m comment --comment "testcell:run:cut.1" -j testcell-aaaabbbb-in
-A PREROUTING -m comment --comment "-j testcell-aaaa-in" -j DROP
-A testcell-aaaa-in -m comment --comment "testcell:run:cut 1.0" -j DROP
"""


def test_only_rules_of_the_event_are_its_own():
    """F66: another event's chain may begin alike, and a stranger's comment may name ours."""
    found = rules.mine(LISTING, "testcell-aaaa")
    assert [words[:2] for words in found] == [
        ["-N", "testcell-aaaa-in"],
        ["-A", "PREROUTING"],
        ["-A", "testcell-aaaa-in"],
    ]
    assert found[1][-1] == "testcell-aaaa-in"
    assert "testcell:run:cut 1.0" in found[1]


QUEUES = [
    ("qdisc noqueue 0: root refcnt 2 \n", ("noqueue", "0")),
    ("qdisc tbf 7abc: root refcnt 2 rate 64Kbit burst 3200b lat 400ms \n", ("tbf", "7abc")),
    ("qdisc mq 0: root \nqdisc pfifo_fast 0: parent :1 bands 3\n", ("mq", "0")),
    ("", ("noqueue", "0")),
]


@pytest.mark.parametrize(("listing", "wanted"), QUEUES)
def test_the_root_queue_is_told(listing, wanted):
    assert queues.root(listing) == wanted


def test_the_other_end_of_an_interface_points_back():
    link = {"ifname": "eth0", "ifindex": 4, "link_index": 9}
    veth, other = {"ifname": "veth1", "ifindex": 9, "link_index": 4}, {"ifname": "eth0", "ifindex": 9, "link_index": 9}
    assert queues.peer(link, [{"ifname": "lo", "ifindex": 1}, veth]) == "veth1"
    assert queues.peer(link, [other]) == ""  # a macvlan on the node's own interface


def test_a_checksum_is_that_of_the_standard():
    """RFC 1071: with its checksum a message sums up to nothing."""
    data = bytes(range(1, 20))
    assert ping.checksum(data + b"\0" + struct.pack("!H", ping.checksum(data))) == 0


def reply(token=b"12345678", kind=0, number=7, head=5):
    """Return an IPv4 packet with an echo reply."""
    ip = bytes([0x40 | head]) + bytes(head * 4 - 1)
    return ip + ping.HEAD.pack(kind, 0, 0, 1, number) + token + struct.pack("!I", number) + b"more"


ANSWERS = [
    (reply(), 7),
    (reply(head=6), 7),
    (reply(kind=8), None),
    (reply(token=b"stranger"), None),
    (reply()[:30], None),
    (b"", None),
]


@pytest.mark.parametrize(("packet", "wanted"), ANSWERS)
def test_only_our_answers_count(packet, wanted):
    assert ping.parse(packet, b"12345678") == wanted


TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1
   1: 0100007F:0016 0100007F:B4A2 01 00000000:00000000 00:00000000 00000000     0        0 101 1
   2: 0100007F:B4A2 0100007F:0016 06 00000000:00000000 00:00000000 00000000     0        0 0 1
"""


def test_open_connections_are_told_from_others():
    assert list(outside.established(TABLE)) == [(22, "101")]


def mount(point, kind, *options):
    """Return one mount."""
    return mounts.Mount(point, kind, "cgroup", options)


V1 = (mount("/cg/cpu,cpuacct", "cgroup", "rw", "cpu", "cpuacct"), mount("/cg/memory", "cgroup", "rw", "memory"))
V2 = (mount("/cg", "cgroup2", "rw"),)
BOXES = [
    (V1, "4:memory:/docker/a\n3:cpu,cpuacct:/docker/a\n1:name=systemd:/x\n0::/docker/a\n",
     ["/cg/cpu,cpuacct/docker/a", "/cg/memory/docker/a"]),
    (V2, "0::/system.slice/docker-a.scope\n", ["/cg/system.slice/docker-a.scope"]),
    ((*V1, mount("/cg/unified", "cgroup2")), "4:memory:/docker/a\n0::/docker/a\n", ["/cg/memory/docker/a"]),
    ((), "0::/docker/a\n", []),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "membership", "joined"), BOXES)
def test_a_containers_groups_are_found(seen, membership, joined):
    assert boxed.parse(seen, membership).joined == joined


LIMITS = [
    ("v2", {"memory.max": "1000", "memory.current": "400", "cpu.max": "50000 100000"}, 600, 0.5),
    ("v2", {"memory.max": "max", "memory.current": "400", "cpu.max": "max 100000"}, None, None),
    ("v1", {"memory.limit_in_bytes": "9223372036854771712", "memory.usage_in_bytes": "4"}, None, None),
    ("v1", {"memory.limit_in_bytes": "9", "memory.usage_in_bytes": "14", "cpu.cfs_quota_us": "-1"}, 0, None),
    ("v1", {"cpu.cfs_quota_us": "150000", "cpu.cfs_period_us": "100000"}, None, 1.5),
    ("v1", {}, None, None),
]


@pytest.mark.parametrize(("version", "files", "room", "cores"), LIMITS)
def test_a_containers_limits_are_read(tmp_path: Path, version, files, room, cores):
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
    names = ("",) if version == "v2" else ("cpu", "memory")
    box = boxed.Boxed(dict.fromkeys(names, tmp_path))
    assert box.memory_room() == room
    assert box.cores() == cores


MIB = 1 << 20
FILLS = [
    ({"bytes": 10}, 10),
    ({"bytes": "1GiB"}, 636 * MIB),
    ({"bytes": "1GiB", "leave_bytes": 0}, 700 * MIB),
    ({"fill_pct": 50}, 200 * MIB),
    ({"fill_pct": 30}, 0),
    ({"fill_pct": 20}, -100 * MIB),
    ({"fill_pct": 100}, 636 * MIB),
]


@pytest.mark.parametrize(("params", "wanted"), FILLS)
def test_a_fill_never_takes_what_must_stay_free(params, wanted):
    before = {"total_bytes": 1000 * MIB, "free_bytes": 700 * MIB}
    assert disk.wanted(params, before) == wanted


@pytest.mark.parametrize(("loss_pct", "count"), [(0.1, 20_000), (1, 2000), (20, 100), (100, 100)])
def test_a_small_loss_takes_many_packets(loss_pct, count):
    assert network.sample_size(loss_pct) == count


def test_a_loss_in_the_wrong_direction_is_none():
    undo = {"params": {"direction": "out"}}
    assert network.judged_loss(undo, {"in": 0.0, "out": 100.0}, 95).applied
    effect = network.judged_loss(undo, {"in": 100.0, "out": 94.0}, 95)
    assert (effect.applied, effect.why) == (False, "out loses 94 %, expected at least 95 %")
    assert network.judged_loss(undo, {"round_trip": 100.0}, 95).applied


def test_a_queue_of_netem_says_delay_and_jitter():
    assert " ".join(delay.netem({"params": {"delay_ms": 50, "jitter_ms": 5}})) == "netem limit 100000 delay 50ms 5ms"
    assert " ".join(delay.netem({"params": {"delay_ms": 0.5}})) == "netem limit 100000 delay 0.5ms"


def test_a_service_is_prepared_for_a_jump():
    found = clock.preload("/usr/lib/faketime/lib.so.1", "/root/clock/decode-1")
    assert found["volumes"] == [
        "/usr/lib/faketime/lib.so.1:/testcell-libfaketime.so:ro",
        "/root/clock/decode-1:/testcell-clock:ro",
    ]
    assert found["environment"]["LD_PRELOAD"] == "/testcell-libfaketime.so"
    assert found["environment"]["FAKETIME_TIMESTAMP_FILE"] == "/testcell-clock/offset"
    assert found["environment"]["FAKETIME_DONT_FAKE_MONOTONIC"] == "1"
    assert all(isinstance(value, str) for value in found["environment"].values())
