# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections to one target: name look-up with an address check, TLS, and reuse of idle connections when wanted."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from .connection import Connection, Sink
from .errors import LoadError, as_load_error
from .target import Target, check_address


@dataclass
class Client:
    """Send requests to one target. stale_retries: requests sent again, as their idle connection had been closed."""

    target: Target
    clock: Callable[[], float]
    keep_alive: bool = True
    allowed_hosts: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    stale_retries: int = 0
    _idle: list[Connection] = field(default_factory=list)
    _addresses: tuple[str, ...] = ()

    async def send(self, payload: bytes, sink: Sink, timeout_s: float) -> None:
        """Return when the answer to payload is complete in sink; raise LoadError when it fails or takes too long.

        The time limit covers connecting and the whole answer. A request is repeated once, on a fresh connection, when
        a reused one turns out closed before any byte of the answer: the server never worked on it.
        """
        deadline = self.clock() + timeout_s
        reused = self._take_idle()
        connection = reused or await self._connect(timeout_s)
        try:
            await connection.exchange(payload, sink, deadline, timeout_s)
        except LoadError as exc:
            if not (reused and exc.kind == "http_reset" and connection.received == 0):
                raise
            self.stale_retries += 1
            connection = await self._connect(deadline - self.clock())
            await connection.exchange(payload, sink, deadline, timeout_s)
        if self.keep_alive and connection.reusable:
            self._idle.append(connection)
        else:
            connection.abort()

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
        return None

    def close(self) -> None:
        """Drop every idle connection."""
        while self._idle:
            self._idle.pop().abort()

    async def _connect(self, timeout_s: float) -> Connection:
        where = f"cannot connect to {self.target.authority}"
        try:
            return await asyncio.wait_for(self._open(), timeout_s)
        except asyncio.TimeoutError:
            raise LoadError("http_timeout", f"{where}: no connection within the request's time limit") from None
        except (OSError, LoadError) as exc:
            raise as_load_error(exc, where) from exc

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        host = self.target.host if self.tls else None
        error: OSError | None = None
        for address in await self._resolve():
            check_address(address, self.target, self.allowed_hosts)
            try:
                _, connection = await loop.create_connection(
                    lambda: Connection(self.clock), address, self.target.port, ssl=self.tls, server_hostname=host
                )
            except ssl.SSLError:
                raise
            except OSError as exc:
                error = exc
                continue
            return connection
        self._addresses = ()  # who answers to the name may have moved
        raise error or OSError(f"{self.target.host} has no address")

    async def _resolve(self) -> tuple[str, ...]:
        if not self._addresses:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(self.target.host, self.target.port, type=socket.SOCK_STREAM)
            self._addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        return self._addresses


def tls_context(target: Target, verify: bool, ca_file: str) -> ssl.SSLContext | None:
    """Return the TLS settings for a target, None for plain HTTP; OSError when ca_file cannot be read."""
    if target.scheme != "https":
        return None
    context = ssl.create_default_context(cafile=ca_file or None)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
