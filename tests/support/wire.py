# SPDX-License-Identifier: MIT
"""A TCP proxy between a client and a node that can be slow, late, silent, or cut.

What it does holds for all connections through it, and can be changed while they are open.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress

# What goes through at once; a slow wire takes in little, so that the sender is held up.
CHUNK, SLOW_CHUNK = 1 << 16, 1 << 12
LOOK_S = 0.02
REQUESTS, REPLIES = "requests", "replies"
# Closing with this set sends RST.
RESET = struct.pack("ii", 1, 0)


class Wire:
    """A listener at a port of its own; each connection gets one to target. `begun` counts them.

    rate: bytes a second each way, 0 for as fast as it goes. delay_s: how late each byte is. cuts: how many bytes of
    replies go through, over all connections, before every connection is reset, time after time. silent: directions in
    which nothing goes through.
    """

    def __init__(self, target: tuple[str, int], rate: float = 0.0, delay_s: float = 0.0) -> None:
        self.rate, self.delay_s = rate, delay_s
        self.cuts: list[int] = []
        self.silent: set[str] = set()
        self.begun = 0
        self._target = target
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        if rate:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_CHUNK)
        self.address = self._listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self) -> None:
        """Reset every connection."""
        with self._lock:
            ends, self._open = self._open, []
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.shutdown(socket.SHUT_RD)
            end.close()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # it was shut down
                return
            self.begun += 1
            try:
                far = socket.create_connection(self._target)
            except OSError:
                near.close()
                continue
            with self._lock:
                self._open += [near, far]
            for source, sink, direction in ((near, far, REQUESTS), (far, near, REPLIES)):
                threading.Thread(target=self._pass_on, args=(source, sink, direction), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        size = SLOW_CHUNK if self.rate else CHUNK
        try:
            while data := source.recv(size):
                self._hold_up(len(data), direction)
                sink.sendall(self._let_through(data, direction))
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _hold_up(self, size: int, direction: str) -> None:
        time.sleep(self.delay_s + (size / self.rate if self.rate else 0.0))
        while direction in self.silent:
            time.sleep(LOOK_S)

    def _let_through(self, data: bytes, direction: str) -> bytes:
        if direction == REQUESTS or not self.cuts:
            return data
        data, self.cuts[0] = data[: self.cuts[0]], self.cuts[0] - len(data)
        if self.cuts[0] <= 0:
            del self.cuts[0]
            self.reset()
            raise OSError("cut")
        return data
