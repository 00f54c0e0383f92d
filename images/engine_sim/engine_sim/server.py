# SPDX-License-Identifier: MIT
"""The listening socket: connections, requests one after the other, clients that go away, the end with a grace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from engine_sim.wire import MAX_HEAD_BYTES, Request, Responder, WireError, read_request

logger = logging.getLogger("engine_sim.server")

Handle = Callable[[Request, Responder], Awaitable[None]]

GONE_POLL_S = 0.05


class HttpServer:
    """Serve requests with one handler; a handler whose client goes away is cancelled."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._server: asyncio.AbstractServer | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port (the one given, or a free one for 0)."""
        server = await asyncio.start_server(self._connected, host, port, limit=MAX_HEAD_BYTES, backlog=1024)
        self._server = server
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def stop(self, grace_s: float) -> None:
        """Take no more connections, let requests at work end within the grace, then drop what is left."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for task in self._connections - self._busy:
            task.cancel()
        if self._busy:
            await asyncio.wait(set(self._busy), timeout=grace_s)
        left = list(self._connections)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Start the task of a new connection."""
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until either side ends it."""
        try:
            while await self._serve_one(reader, writer) and not self._stopping:
                continue
        except ConnectionError as error:
            logger.debug("connection lost: %s", error)
        finally:
            writer.close()
            try:
                with suppress(ConnectionError):
                    await writer.wait_closed()
            except asyncio.CancelledError:
                writer.transport.abort()
                raise

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; say whether another may follow."""
        try:
            request = await read_request(reader, writer)
        except WireError as error:
            await Responder(writer).send(error.status, f"{error}\n".encode(), "text/plain")
            return False
        if request is None:
            return False
        responder = Responder(writer, keep_alive=request.keep_alive, chunked=request.version != "HTTP/1.0")
        task = asyncio.current_task()
        assert task is not None  # this coroutine always runs in its connection's task
        self._busy.add(task)
        try:
            await self._handle_while_there(request, responder, reader)
        finally:
            self._busy.discard(task)
            logger.log(
                logging.DEBUG if request.path in ("/health", "/metrics") else logging.INFO,
                '%s - "%s %s HTTP/1.1" %s',
                _peer(writer),
                request.method,
                request.path,
                responder.status or "no answer",
            )
        return responder.finished and responder.keep_alive

    async def _handle_while_there(self, request: Request, responder: Responder, reader: asyncio.StreamReader) -> None:
        """Run the handler; cancel it when the client closes the connection."""
        loop = asyncio.get_running_loop()
        work = loop.create_task(_run(self._handle, request, responder))
        watch = loop.create_task(_wait_gone(reader))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            if not work.done():
                work.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)
        if not work.cancelled():
            work.result()


async def _run(handle: Handle, request: Request, responder: Responder) -> None:
    """Run a handler as a coroutine of its own."""
    await handle(request, responder)


async def _wait_gone(reader: asyncio.StreamReader) -> None:
    """Return when the client has closed its side or the connection is lost; nothing is read."""
    while not reader.at_eof() and reader.exception() is None:
        await asyncio.sleep(GONE_POLL_S)


def _peer(writer: asyncio.StreamWriter) -> str:
    """Return the client's address for the log."""
    address = writer.get_extra_info("peername")
    return f"{address[0]}:{address[1]}" if address else "?"
