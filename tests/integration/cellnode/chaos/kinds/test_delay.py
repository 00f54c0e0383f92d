# SPDX-License-Identifier: MIT
"""F18, F65, F67: a slow network by our own proxy: what it passes on is whole, late, and ended as it was ended."""

from __future__ import annotations

import hashlib
import os
import socket
import struct
import threading
from contextlib import closing
from dataclasses import replace

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import procs
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import netns, proxy, workers
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError


class Peer:
    """A server in the container's network, played by the test."""

    def __init__(self, event) -> None:
        with netns.needed(event.place, event.record["ns"]) as door:
            self.listener = door.inside(socket.socket)
        self.listener.settimeout(20)
        self.listener.bind((event.record["address"], 0))
        self.listener.listen(64)

    @property
    def where(self):
        """Its address and port."""
        return self.listener.getsockname()

    def pair(self):
        """Return both ends of a new connection: the client's, the server's."""
        client = socket.create_connection(self.where, timeout=20)
        server, _ = self.listener.accept()
        server.settimeout(20)
        return client, server


@pytest.fixture
def delayed(container, event):
    """A container whose network is delayed by 60 ms each way, and a server in it."""
    slow = event("network_delay", container(), delay_ms=60, jitter_ms=20, seed=7)
    slow.prepare()
    slow.inject()
    peer = Peer(slow)
    yield slow, peer
    peer.listener.close()


def rule_count(event):
    """Return how many rules the namespace has that are not the engine's own."""
    with netns.needed(event.place, event.record["ns"]) as door:
        lines = door.asked("iptables-save").splitlines()
    return sum(line.startswith("-A") and "DOCKER" not in line for line in lines)


@pytest.mark.parametrize(("direction", "wanted"), [("both", 400), ("in", 200), ("out", 200)])
def test_an_exchange_takes_as_much_longer_as_asked_for(container, event, direction, wanted):
    """F18: connect, one byte there and one back."""
    slow = event("network_delay", container(), delay_ms=200, direction=direction)
    measured = slow.felt().measured
    assert measured["way"] == "proxy"
    assert measured["before_ms"] < wanted <= measured["exchange_ms"]
    slow.ended()
    again = slow.effect()
    assert not again.applied
    assert again.measured["exchange_ms"] < wanted / 2
    assert rule_count(slow) == 0


def test_connections_that_the_service_makes_are_delayed_too(container, event, docker_cli):
    """Outward: a container asks another one."""
    other = container()
    address = docker_cli("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", other)
    script = (
        f"import time,urllib.request as u;b=time.time();u.urlopen('http://{address}:8000/').read();print(time.time()-b)"
    )
    target = container()
    slow = event("network_delay", target, delay_ms=150)
    assert float(docker_cli("exec", target, "python3", "-c", script)) < 0.3
    slow.felt()
    assert float(docker_cli("exec", target, "python3", "-c", script)) >= 0.3
    slow.ended()
    assert float(docker_cli("exec", target, "python3", "-c", script)) < 0.3


def test_many_bytes_arrive_whole_and_in_order(delayed):
    """F18: 32 MiB each way at once, more than the proxy holds, with jitter."""
    _, peer = delayed
    client, server = peer.pair()
    block, sums = os.urandom(1 << 20), {}

    def send(end):
        for _ in range(32):
            end.sendall(block)
        end.shutdown(socket.SHUT_WR)

    def receive(name, end):
        digest = hashlib.sha256()
        while data := end.recv(1 << 16):
            digest.update(data)
        sums[name] = digest.hexdigest()

    with client, server:
        work = [threading.Thread(target=send, args=(end,)) for end in (client, server)]
        work += [threading.Thread(target=receive, args=pair) for pair in (("client", client), ("server", server))]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join(60)
    wanted = hashlib.sha256(block * 32).hexdigest()
    assert sums == {"client": wanted, "server": wanted}


def test_one_side_may_end_while_the_other_goes_on(delayed):
    _, peer = delayed
    client, server = peer.pair()
    with client, server:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert server.recv(100) == b"question"
        assert server.recv(100) == b""
        server.sendall(b"answer")
        assert client.recv(100) == b"answer"
        server.close()
        assert client.recv(100) == b""


@pytest.mark.parametrize("resetting", ["client", "server"])
def test_a_reset_is_handed_on(delayed, resetting):
    _, peer = delayed
    client, server = peer.pair()
    mine, theirs = (client, server) if resetting == "client" else (server, client)
    with client, server:
        mine.sendall(b"x")
        assert theirs.recv(1) == b"x"
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        mine.close()
        with pytest.raises(ConnectionResetError):
            theirs.recv(1)


def test_nobody_listening_is_a_reset(delayed):
    slow, peer = delayed
    peer.listener.close()
    # On a busy machine the reset is there before the caller has seen that it is connected.
    with (
        pytest.raises(ConnectionResetError),
        socket.create_connection((slow.record["address"], 1), timeout=5) as client,
    ):
        client.recv(1)


def test_what_was_under_way_at_the_undo_arrives(container, event):
    """The undo passes on what waits, then the connection ends in order."""
    slow = event("network_delay", container(), delay_ms=30_000)
    slow.prepare()
    slow.inject()
    peer = Peer(slow)
    client, server = peer.pair()
    with closing(peer.listener), client, server:
        client.sendall(b"late")
        slow.undo()
        assert server.recv(10) == b"late"
        assert server.recv(10) == b""
    assert slow.left() == []


def test_it_ends_by_itself_at_expiry_with_its_rules(container, event):
    """F63: nobody undoes it."""
    slow = event("network_delay", container(), delay_ms=100)
    slow.prepare()
    clock = slow.place.ctx.clock
    slow.place = replace(slow.place, expires=clock.boottime() + 3)
    slow.inject()
    assert rule_count(slow) == 4
    assert clock.until(lambda: not procs.marked(slow.record["token"]), 20)
    assert clock.boottime() >= slow.place.expires
    assert rule_count(slow) == 0
    assert not slow.effect().applied
    slow.ended()


def test_an_undo_after_the_proxy_was_killed(container, event):
    """F64: the network is dead until then, and works again afterwards."""
    slow = event("network_delay", container(), delay_ms=50)
    slow.felt()
    workers.end(slow.place, slow.record["token"])
    assert not slow.effect().applied
    assert len(slow.left()) == 6
    slow.ended()
    assert slow.effect().measured["exchange_ms"] is not None


@pytest.mark.parametrize("end", ["rm", "restart"])
def test_the_proxy_goes_with_its_container(container, event, docker_cli, end):
    """F65: the engine removes it, network and all, although a process of ours is inside; a new start has nothing of it."""
    target = container()
    slow = event("network_delay", target, delay_ms=50)
    slow.felt()
    docker_cli(*{"rm": ("rm", "-f", target), "restart": ("restart", "-t", "0", target)}[end])
    clock = slow.place.ctx.clock
    assert clock.until(lambda: not procs.marked(slow.record["token"]), 10)
    slow.ended()


@pytest.mark.parametrize("calls", range(1, 7))
def test_a_half_done_injection_is_undone(container, event, inject_until, calls):
    """F63: killed with the proxy running and some of the rules there."""
    slow = event("network_delay", container(), delay_ms=50)
    slow.prepare()
    inject_until(slow, calls)
    assert slow.left() != []
    slow.ended()
    assert rule_count(slow) == 0


def test_the_proxy_carries_the_mark_of_its_run(delayed):
    slow, _ = delayed
    found = procs.ours(slow.place.ctx.root, slow.place.ctx.run.id)
    assert [(one.marked, one.in_group) for one in found] == [(True, True)]


def test_its_memory_is_bounded(delayed):
    """A reader that never reads: the proxy takes no more than a flow's share, and its sender is held up."""
    slow, peer = delayed
    client, server = peer.pair()
    with client, server:
        client.settimeout(1)
        sent, block = 0, bytes(1 << 16)
        with pytest.raises(TimeoutError):
            while sent < 256 << 20:
                sent += client.send(block)
        (worker,) = procs.marked(slow.record["token"])
        with open(f"/proc/{worker.pid}/status") as status:
            resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    assert sent < 64 << 20
    assert resident * 1024 < (48 << 20) + proxy.FLOW_BYTES


def test_a_whole_node_is_refused(event):
    with pytest.raises(CellError, match="network_delay needs a service"):
        event("network_delay", delay_ms=5).prepare()


BAD = [
    ({}, "params.delay_ms is None; allowed: a number from 1 to 60000"),
    ({"delay_ms": 10, "jitter_ms": 11}, "params.jitter_ms is 11; allowed: a number from 0 to 10"),
    ({"delay_ms": 10, "seed": 1.5}, "params.seed is 1.5; allowed: a whole number from 0 to 9007199254740991"),
]


@pytest.mark.parametrize(("params", "message"), BAD)
def test_a_bad_parameter_is_named(event, params, message):
    assert event("network_delay", **params).lacking() == message


def test_a_kernel_without_redirects_is_found_out(event, tmp_path):
    """F67."""
    (tmp_path / "bin").mkdir()
    for name in ("tc", "iptables"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\necho no such table >&2\nexit 3\n")
        (tmp_path / "bin" / name).chmod(0o755)
    slow = event("network_delay", delay_ms=5)
    slow.place.ctx.environ["PATH"] = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    assert slow.lacking().endswith("does not work here: no such table")
