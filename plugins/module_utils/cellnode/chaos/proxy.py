# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP proxy that delays what it passes on: for kernels without netem. It runs inside a container's network namespace.

Whatever a rule has redirected to it goes on to where it was meant to go. Order is kept, an end of one side is handed on
after the delay as an end of that side only, and a reset as a reset. Memory is bounded: a sender is not read from while too
much of what it has sent is waiting.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import struct
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..command import DEFAULT_PATH
from . import netns, rules

if TYPE_CHECKING:
    from .work import Report, Shift

SO_ORIGINAL_DST = 80
LISTEN_PORT = 0
CHUNK = 65536
FLOW_BYTES = 1 << 20  # that wait in one direction of one connection
ALL_BYTES = 64 << 20  # that wait in all of them
MOST_CONNECTIONS = 1024
DRAIN_S = 1.0
Json = dict[str, Any]
END, RESET = b"", None


class Delay:
    """How long each piece waits, by direction; over: nothing waits any more."""

    def __init__(self, spec: Json) -> None:
        self.by_way = {way: float(spec["delay_ms"]) / 1000 for way in spec["ways"]}
        self.jitter = float(spec["jitter_ms"]) / 1000
        self.random = random.Random(spec["seed"])
        self.over = asyncio.Event()

    def of(self, way: str) -> float:
        """Return the seconds that the next piece waits."""
        if way not in self.by_way or self.over.is_set():
            return 0.0
        return max(0.0, self.by_way[way] + self.random.uniform(-self.jitter, self.jitter))


class Flow:
    """One direction of one connection. A piece is bytes, END or RESET, with the moment at which it is due."""

    def __init__(self, proxy: Proxy, way: str, source: socket.socket, sink: socket.socket) -> None:
        self.proxy, self.way, self.source, self.sink = proxy, way, source, sink
        self.waiting: deque[tuple[float, bytes | None]] = deque()
        self.bytes = 0
        self.changed = asyncio.Event()

    async def run(self) -> None:
        """Pass on what comes until its end; a reset of either side resets the other."""
        reader = asyncio.ensure_future(self._read())
        try:
            await self._write()
        finally:
            reader.cancel()
            self.proxy.bytes -= self.bytes
            with suppress(asyncio.CancelledError):
                await reader

    async def _read(self) -> None:
        loop, last = asyncio.get_running_loop(), 0.0
        while True:
            try:
                data: bytes | None = await loop.sock_recv(self.source, CHUNK)
            except OSError:
                data = RESET
            last = max(last, loop.time() + self.proxy.delay.of(self.way))
            self.waiting.append((last, data))
            self._count(len(data or b""))
            if not data:
                return
            while self.bytes > FLOW_BYTES or self.proxy.bytes > ALL_BYTES:
                self.changed.clear()
                await self.changed.wait()

    def _count(self, number: int) -> None:
        self.bytes += number
        self.proxy.bytes += number
        self.changed.set()
        if self.proxy.bytes <= ALL_BYTES < self.proxy.bytes - number:
            self.proxy.room()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self.waiting:
                self.changed.clear()
                await self.changed.wait()
            due, data = self.waiting[0]
            await self._until(due)
            self.waiting.popleft()
            if data is RESET:
                raise ConnectionResetError("one side was reset")
            if data == END:
                with suppress(OSError):  # the other side has closed everything already
                    self.sink.shutdown(socket.SHUT_WR)
                return
            await loop.sock_sendall(self.sink, data)
            self._count(-len(data))

    async def _until(self, due: float) -> None:
        """Wait until a moment, or until there is no delay any more."""
        seconds = due - asyncio.get_running_loop().time()
        if seconds > 0 and not self.proxy.delay.over.is_set():
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.proxy.delay.over.wait(), seconds)


class Proxy:
    """All connections of one event."""

    def __init__(self, spec: Json) -> None:
        self.mark = int(spec["mark"])
        self.local = frozenset(spec["addresses"])
        self.delay = Delay(spec)
        self.bytes = 0
        self.flows: set[Flow] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    def room(self) -> None:
        """Let those read on that wait for room."""
        for flow in self.flows:
            flow.changed.set()

    async def accept(self, listener: socket.socket) -> None:
        """Take connections for ever; of more than can be served the rest waits in the kernel's queue."""
        loop = asyncio.get_running_loop()
        while True:
            while len(self.tasks) >= MOST_CONNECTIONS:
                await asyncio.wait(self.tasks, return_when=asyncio.FIRST_COMPLETED)
            client, _ = await loop.sock_accept(listener)
            task = asyncio.ensure_future(self.serve(client))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def serve(self, client: socket.socket) -> None:
        """Connect to where a client wanted to go, and pass on both directions until both have ended."""
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            client.setblocking(False)
            server.setblocking(False)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, self.mark)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            where = original(client)
            await asyncio.get_running_loop().sock_connect(server, where)
            await self._pass_on(client, server, where[0] in self.local)
        except OSError:
            for end in (client, server):
                reset(end)
        finally:
            client.close()
            server.close()

    async def _pass_on(self, client: socket.socket, server: socket.socket, inward: bool) -> None:
        """inward: the client is outside, and its bytes come in."""
        there, back = ("in", "out") if inward else ("out", "in")
        flows = [Flow(self, there, client, server), Flow(self, back, server, client)]
        self.flows.update(flows)
        tasks = [asyncio.ensure_future(flow.run()) for flow in flows]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.flows.difference_update(flows)

    async def drain(self) -> None:
        """Pass on at once what waits, and give open exchanges a moment to end."""
        self.delay.over.set()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=DRAIN_S)
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def original(client: socket.socket) -> tuple[str, int]:
    """Return where a redirected connection was meant to go."""
    port, raw = struct.unpack("!2xH4s8x", client.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16))
    return socket.inet_ntoa(raw), int(port)


def reset(end: socket.socket) -> None:
    """Close a connection so that the other side sees a reset."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def listen() -> socket.socket:
    """Return a listener on a port that the kernel chooses."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setblocking(False)
    listener.bind(("0.0.0.0", LISTEN_PORT))
    listener.listen(1024)
    return listener


async def _work(spec: Json, shift: Shift, report: Report) -> None:
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, asked.set)
    listener, proxy = listen(), Proxy(spec)
    accepting = asyncio.ensure_future(proxy.accept(listener))
    if shift.watched is not None:
        loop.add_reader(shift.watched, asked.set)
    report.say({"port": listener.getsockname()[1]})
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asked.wait(), shift.seconds_left())
    if shift.watched is not None:
        loop.remove_reader(shift.watched)
    accepting.cancel()
    with suppress(asyncio.CancelledError):
        await accepting
    listener.close()
    await proxy.drain()


def run(spec: Json, shift: Shift, report: Report) -> None:
    """Work until told to end, or until the event expires; then take the rules that lead here away as well.

    Without them nobody could connect until somebody else undoes the event.
    """
    try:
        asyncio.run(_work(spec, shift, report))
    finally:
        if shift.seconds_left() == 0:
            rules.uninstall(netns.Door(None, {"PATH": os.environ.get("PATH", DEFAULT_PATH)}), rules.of(spec["tables"]))


JOBS = {"proxy": run}
