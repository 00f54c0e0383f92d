# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measuring a container's network from both of its ends: sockets of ours on the node and inside its namespace.

Nothing of the service takes part, so what is measured is the network and not the engine.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Callable

from .netns import Door

BATCH = 32  # datagrams under way: far less than the smallest buffer of a socket takes
SILENCE_S = 0.02
LAST_SILENCE_S = 0.2
FUTILE = 96  # so many datagrams without one that arrives are enough
SEQUENCE = struct.Struct("!8sI")
CONNECT_S = 5.0
CUT_S = 0.5  # an exchange on one machine that takes longer does not come about
CHUNK = 65536
BLOCK = bytes(CHUNK)
MOST_BYTES = 16 << 20
WINDOW_S = 2.5
FIRST_S = 1.0  # hashlimit lets one second's worth pass at once
EXCHANGES = 5
Json = dict[str, Any]
Ends = dict[str, tuple[socket.socket, socket.socket]]  # direction -> (sender, receiver)


def loss(door: Door, address: str, count: int) -> dict[str, float]:
    """Return the share of count datagrams that is lost on the way in and out, in percent."""
    with _datagram_ends(door, address) as ends:
        sent, got = _exchange(ends, count)
    return {way: round(100.0 * (1 - len(got[way]) / sent), 2) for way in ends}


@contextmanager
def _datagram_ends(door: Door, address: str) -> Iterator[Ends]:
    """Give two connected datagram sockets; the node speaks first, so that a firewall with a memory lets answers in."""
    family = _family(address)
    made = door.inside(lambda: socket.socket(family, socket.SOCK_DGRAM))
    with closing(made) as inner, closing(socket.socket(family, socket.SOCK_DGRAM)) as outer:
        inner.bind((address, 0))
        outer.connect(inner.getsockname()[:2])
        inner.connect(outer.getsockname()[:2])
        for end in (inner, outer):
            end.setblocking(False)
        yield {"in": (outer, inner), "out": (inner, outer)}


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _exchange(ends: Ends, count: int) -> tuple[int, dict[str, set[int]]]:
    """Return how many datagrams were sent each way, and which of them arrived."""
    token, sent = os.urandom(8), 0
    got: dict[str, set[int]] = {way: set() for way in ends}
    while sent < count and (sent < FUTILE or any(got.values())):
        upto = min(sent + BATCH, count)
        for number in range(sent, upto):
            for sender, _ in ends.values():
                with suppress(OSError):  # what a rule drops on its way out is an error here: it is lost
                    sender.send(SEQUENCE.pack(token, number))
        sent = upto
        _collect(ends, token, got, sent, SILENCE_S)
    _collect(ends, token, got, sent, LAST_SILENCE_S)
    return sent, got


def _collect(ends: Ends, token: bytes, got: dict[str, set[int]], sent: int, silence_s: float) -> None:
    """Receive until everything has arrived, or nothing comes for a while."""
    ways = {receiver: way for way, (_, receiver) in ends.items()}
    while any(len(numbers) < sent for numbers in got.values()):
        ready = select.select(list(ways), [], [], silence_s)[0]
        if not ready:
            return
        for receiver in ready:
            with suppress(OSError):
                data = receiver.recv(2048)
                if len(data) == SEQUENCE.size and data.startswith(token):
                    got[ways[receiver]].add(SEQUENCE.unpack(data)[1])


def connecting(door: Door, address: str, limit_s: float = CUT_S) -> str:
    """Return what becomes of a connection into the container: connected, timed out, or the system's words."""
    with closing(_listener(door, address)) as listener, closing(socket.socket(_family(address))) as client:
        client.settimeout(limit_s)
        try:
            client.connect(listener.getsockname()[:2])
        except socket.timeout:  # another class than TimeoutError before Python 3.10
            return "timed out"
        except OSError as exc:
            return os.strerror(exc.errno or 0).lower()
    return "connected"


def _listener(door: Door, address: str) -> socket.socket:
    listener = door.inside(lambda: socket.socket(_family(address)))
    listener.settimeout(CONNECT_S)
    listener.bind((address, 0))
    listener.listen(8)
    return listener


def rates(door: Door, address: str) -> dict[str, float]:
    """Return how fast one connection carries bytes in and out at once, in kbit/s; 0 where none comes about."""
    with closing(_listener(door, address)) as listener, closing(socket.socket(_family(address))) as outer:
        outer.settimeout(CONNECT_S)
        try:
            outer.connect(listener.getsockname()[:2])
            inner, _ = listener.accept()
        except OSError:
            return {"in": 0.0, "out": 0.0}
        with closing(inner):
            flows = {"in": Flow(outer, inner), "out": Flow(inner, outer)}
            return _carried(flows)


@dataclass
class Flow:
    """Bytes on their way from one socket to another. first: what had arrived when a burst was over, at first_s."""

    sender: socket.socket
    receiver: socket.socket
    received: int = 0
    first: int = 0
    first_s: float = 0.0
    ended_s: float = 0.0

    def move(self) -> None:
        """Send and receive what can be at once."""
        with suppress(BlockingIOError):
            self.received += len(self.receiver.recv(CHUNK))
        with suppress(BlockingIOError):
            self.sender.send(BLOCK)

    def passed(self, seconds: float) -> None:
        """Note how long it has been going on."""
        self.ended_s = seconds
        if seconds <= FIRST_S:
            self.first, self.first_s = self.received, seconds

    @property
    def kbit(self) -> float:
        """Return the rate after the first part, in which a burst may pass; of all where it ended within that."""
        first, first_s = (self.first, self.first_s) if self.ended_s > FIRST_S else (0, 0.0)
        return round((self.received - first) * 8 / 1000 / max(self.ended_s - first_s, 1e-6), 1)


def _carried(flows: dict[str, Flow]) -> dict[str, float]:
    """Return the rates of the flows of a connection, each until it has carried enough or the window is over."""
    going, began = list(flows.values()), time.monotonic()
    for flow in going:
        flow.sender.setblocking(False)
    while going and going[0].ended_s < WINDOW_S:
        for flow in going:
            flow.move()
            flow.passed(time.monotonic() - began)
        going = [flow for flow in going if flow.received < MOST_BYTES]
        select.select([flow.receiver for flow in going], [], [], 0.02)
    return {way: flow.kbit for way, flow in flows.items()}


def exchange_ms(door: Door, address: str, limit_s: float) -> float | None:
    """Return the median time of connecting and one byte there and back, in ms; None when one takes over limit_s."""
    with closing(_listener(door, address)) as listener:
        listener.settimeout(0.2)
        stop = threading.Event()
        echo = threading.Thread(target=_echo, args=(listener, stop), daemon=True)
        echo.start()
        try:
            times = _timed(lambda: _one_exchange(listener.getsockname()[:2], _family(address), limit_s))
        finally:
            stop.set()
            echo.join()
    return times


def _timed(exchange: Callable[[], float]) -> float | None:
    """Return the median of some exchanges."""
    try:
        found = sorted(exchange() for _ in range(EXCHANGES))
    except OSError:
        return None
    return round(found[len(found) // 2], 3)


def _one_exchange(where: Any, family: socket.AddressFamily, limit_s: float) -> float:
    began = time.monotonic()
    with closing(socket.socket(family)) as client:
        client.settimeout(limit_s)
        client.connect(where)
        client.sendall(b"?")
        if client.recv(1) != b"?":
            raise ConnectionResetError("the connection was closed before the answer")
    return (time.monotonic() - began) * 1000


def _echo(listener: socket.socket, stop: threading.Event) -> None:
    """Answer one connection after the other with the byte that it sends."""
    while not stop.is_set():
        try:
            connection, _ = listener.accept()
        except socket.timeout:  # another class than TimeoutError before Python 3.10
            continue
        with closing(connection), suppress(OSError):
            connection.settimeout(CONNECT_S)
            connection.sendall(connection.recv(1))


def reachable(door: Door, addresses: Sequence[str]) -> str:
    """Return the first address at which a container answers our probes, "" when none does."""
    for address in addresses:
        with suppress(OSError):
            if max(loss(door, address, FUTILE).values()) < 50:
                return address
    return ""
