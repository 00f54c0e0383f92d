# SPDX-License-Identifier: MIT
"""Ways to a node that are cut, slow or lossy: no step runs twice, no byte is wrong, and nothing is lost for being late."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import threading
import time
import zlib

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.bring import Bringing
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.policy import Pace, Policy
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.transfer import Transfer, Wanted, speeds

pytestmark = pytest.mark.docker

RUN = {"id": "r1", "scenario": "s", "case": "", "attempt": 1}


def held(way):
    """Take the node's lease for the run of these tests, so that its steps are let in, and return the way."""
    way.client.run = dict(RUN)
    way.client.run["epoch"] = way.client.call("lease", action="acquire", ttl_s=300)["epoch"]
    return way


def start(way, name, marks):
    """Start a unit that leaves one line, and wait for its end."""
    mark = ["/bin/sh", "-c", f"echo {name} >> {marks}"]
    way.client.call(
        "supervise", action="start", name=name, argv=mark, cwd_rel="", env={}, timeout_s=60, grace_s=1,
        log_cap_bytes=1 << 20, dirs_rel=[],
    )  # fmt: skip
    answer = way.client.call("supervise", action="poll", name=name, offset=0, wait_s=20)
    assert (answer["state"], answer["exit_code"]) == ("exited", 0)


CUTS = [1, 60, 130, 300, 3000, 4500]


@pytest.mark.tries(10)
def test_f17_a_step_whose_connection_is_reset_in_the_middle_goes_on_and_does_nothing_twice(make_node, make_wire, reach):
    node = make_node()
    wire = make_wire(node)
    way = held(reach(node, wire))
    marks = f"{way.client.root}/marks"
    for number, cut in enumerate(CUTS):
        wire.cuts = [cut]
        start(way, f"u{number}", marks)
    assert way.reconnected >= len(CUTS) - 2, "a cut later than the end of one step falls into the next"
    assert node.shell(f"cat {marks}").split() == [f"u{number}" for number in range(len(CUTS))]


def kill_until_noticed(node, way):
    """Kill who serves the caller until it has come again: on a busy machine it may not have logged in at the first time."""
    end = time.monotonic() + 20
    while not way.reconnected and time.monotonic() < end:
        node.kill_sessions()


@pytest.mark.tries(10)
@pytest.mark.parametrize("over_link", [True, False], ids=["link", "command"])
def test_f17_a_step_whose_sshd_is_killed_in_the_middle_goes_on_and_does_nothing_twice(make_node, reach, over_link):
    node = make_node()
    way = held(reach(node, over_link=over_link))
    marks = f"{way.client.root}/marks"
    argv = ["/bin/sh", "-c", f"echo began >> {marks}; sleep 1; echo ended >> {marks}"]
    unit = {"action": "start", "name": "u", "argv": argv, "cwd_rel": "", "env": {}, "timeout_s": 60, "grace_s": 1}
    way.client.call("supervise", **unit, log_cap_bytes=1 << 20, dirs_rel=[])
    killer = threading.Timer(0.3, kill_until_noticed, (node, way))
    killer.start()
    answer = way.client.call("supervise", action="poll", name="u", offset=0, wait_s=20)
    while answer["state"] == "running":
        answer = way.client.call("supervise", action="poll", name="u", offset=0, wait_s=20)
    killer.join()
    assert answer["state"] == "exited" and way.reconnected >= 1
    assert node.shell(f"cat {marks}").split() == ["began", "ended"]


NO_PAUSE = Pace(lambda _pause_s: None)


def artifacts(node, way, size):
    """Make a file of random bytes and a small one on the node, and return the digest of the first there."""
    work = f"{way.client.call('where')['case_dir']}/work"
    node.shell(f"mkdir -p {work}/out && head -c {size} /dev/urandom > {work}/out/a && echo x > {work}/out/b")
    return node.shell(f"sha256sum {work}/out/a").split()[0]


def bring(client, place, **policy):
    wanted = Wanted(place, {"base_rel": "work"}, ("**",), 10, 1 << 30)
    return Bringing(client, Policy(**policy), NO_PAUSE).bring([Transfer(wanted, Policy(**policy), speeds())])


def came(place):
    return {path.name: path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.tries(9)  # of 4 cuts on each way: more than 100
@pytest.mark.parametrize("carrier", ["link", "stream", "commands"])
def test_f20_a_fetch_that_is_cut_anywhere_brings_every_byte(make_node, make_wire, reach, tmp_path, carrier):
    node = make_node()
    wire = make_wire(node)
    way = held(reach(node, wire))
    size = 400_000
    digest = artifacts(node, way, size)
    if carrier != "link":
        way.client.line = None
    if carrier == "commands":
        way.client.streamed = None
    for number, cut in enumerate(random.sample(range(1, size), 4)):
        print(f"cut {number} after {cut} bytes")  # shown when it fails
        wire.cuts = [cut]
        brought = bring(way.client, tmp_path / f"got{number}")
        got = came(tmp_path / f"got{number}")
        assert brought.failures == [] and carrier in brought.report["carrier"]
        assert hashlib.sha256(got["a"]).hexdigest() == digest and got["b"] == b"x\n"
        assert wire.cuts == [] and brought.report["retries"] == 1 and way.reconnected == number + 1


def test_f20_a_large_fetch_goes_on_where_it_was_cut(make_node, make_wire, reach, tmp_path):
    """More than the link takes: the rest comes over a connection of its own."""
    node = make_node()
    wire = make_wire(node)
    way = held(reach(node, wire))
    size = 24_000_000
    digest = artifacts(node, way, size)
    wire.cuts = [9_000_000, 9_000_000]
    brought = bring(way.client, tmp_path / "got")
    assert brought.failures == [] and hashlib.sha256(came(tmp_path / "got")["a"]).hexdigest() == digest
    assert (brought.report["retries"], brought.report["carrier"]) == (2, "link+stream")
    assert brought.report["sent_bytes"] < 1.3 * size, "a cut costs what was under way, and not the whole file"


@pytest.mark.tries(10)
def test_f20_a_fetch_that_is_cut_again_and_again_failed_and_leaves_nothing(make_node, make_wire, reach, tmp_path):
    node = make_node()
    wire = make_wire(node)
    way = held(reach(node, wire))
    artifacts(node, way, 400_000)
    wire.cuts = [200_000] * 8
    (failure,) = bring(way.client, tmp_path / "got").failures
    assert failure.kind == "transfer_failed" and "tried 4 times" in str(failure)
    assert not (tmp_path / "got").exists() and list(tmp_path.glob(".got*")) == []


def test_f20_a_transfer_that_falls_silent_is_broken_off_and_tried_again(make_node, make_wire, reach, tmp_path):
    node = make_node()
    wire = make_wire(node)
    way = held(reach(node, wire))
    artifacts(node, way, 400_000)
    way.client.line = None
    wire.silent = {"replies"}
    (failure,) = bring(way.client, tmp_path / "got", retries=1, silence_s=1).failures
    assert failure.kind == "transfer_failed" and "nothing came from the node for 1 s" in str(failure)
    wire.silent = set()
    assert bring(way.client, tmp_path / "got").failures == [] and set(came(tmp_path / "got")) == {"a", "b"}


LOSSES = (0.01, 0.05, 0.2)
# The slow way takes longer to send this than ssh waits for a sign of life.
SMALL, LARGE = 50_000, 1_000_000
WITHIN_S = 120


def send_and_fetch(way, data, place):
    """Bring data to the node and home again, and return what came home."""
    entry = {"path": "a", "size": len(data), "mode": 0o644, "sha256": hashlib.sha256(data).hexdigest()}
    packed = base64.b64encode(zlib.compress(data)).decode()
    way.client.call("upload", dest_rel="work", files=[entry], data={"a": packed})
    assert bring(way.client, place).failures == []
    return (place / "a").read_bytes()


def test_f18_a_way_that_loses_packets_or_is_slow_is_slower_and_right(make_node, make_wire, reach, tmp_path):
    """All at once, since each takes its time: two rates of each loss, 64 kbit/s, and 500 ms there and back."""
    ways = {}
    for name in [*LOSSES, "slow", "late"]:
        node = make_node()
        wires = {"slow": {"rate": 8000.0}, "late": {"delay_s": 0.25}}
        near = held(reach(node))
        ways[name] = reach(node, make_wire(node, **wires[name])) if name in wires else near
        ways[name].client.run = near.client.run
        if name in LOSSES:
            lost = ("-m", "statistic", "--mode", "random", "--probability", str(name))
            node.spoil("requests", "replies", match=lost)
    found = {}

    def work(name):
        data = os.urandom(LARGE if name in LOSSES else SMALL)
        found[name] = send_and_fetch(ways[name], data, tmp_path / f"got{name}") == data

    threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in ways]
    for thread in threads:
        thread.start()
    end = time.monotonic() + WITHIN_S
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    assert found == dict.fromkeys(ways, True)
    assert {name: way.reconnected for name, way in ways.items() if name != 0.2} == dict.fromkeys(
        [0.01, 0.05, "slow", "late"], 0
    )
