# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One connection: writes a request, hands the answer's bytes on with the time they arrived, and says how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from .errors import LoadError, as_load_error
from .http1 import AnswerParser, Head, HttpError

LINGER_S = 1.0  # how long an answer that said [DONE] may take to end its body before the connection is dropped


class Sink(Protocol):
    """Where an answer goes. done: the content is complete, whatever else the body may bring."""

    @property
    def done(self) -> bool:
        """Tell whether the content is complete."""

    def on_head(self, head: Head) -> None:
        """Take status and headers."""

    def on_body(self, piece: bytes, now: float) -> None:
        """Take body bytes that arrived at now."""


class Connection(asyncio.Protocol):
    """A connection for one request at a time. reusable: the last answer ended cleanly and the server keeps it open."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._parser = AnswerParser()
        self._sink: Sink | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self.received = 0
        self.reusable = False

    @property
    def open(self) -> bool:
        """Tell whether the connection can still be written to."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    async def exchange(self, payload: bytes, sink: Sink, deadline: float, timeout_s: float) -> None:
        """Send payload and return when the answer is complete; raise LoadError when it does not become so.

        deadline: on this connection's clock; timeout_s: the request's whole time limit, for the message.
        """
        loop = asyncio.get_running_loop()
        self._parser, self.received, self.reusable = AnswerParser(), 0, False
        if self._transport is None or not self.open:
            raise LoadError("http_reset", "the connection was closed before the request")
        self._sink = sink
        self._waiter = loop.create_future()
        self._timers = [loop.call_later(deadline - self._clock(), self._expire, timeout_s)]
        self._transport.write(payload)
        try:
            await self._waiter
        finally:
            for timer in self._timers:
                timer.cancel()
            self._waiter = self._sink = None
            if not self.reusable:
                self.abort()

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Pass bytes on; bytes that nobody asked for close the connection."""
        now = self._clock()
        if self._sink is None:
            self.abort()
            return
        self.received += len(data)
        try:
            self._take(data, self._sink, now)
        except HttpError as exc:
            self._end(LoadError("response_invalid", str(exc)))

    def _take(self, data: bytes, sink: Sink, now: float) -> None:
        before = self._parser.head
        body = self._parser.feed(data)
        if before is None and self._parser.head is not None:
            sink.on_head(self._parser.head)
        was_done = sink.done
        if body:
            sink.on_body(body, now)
        if self._parser.complete:
            self._end(None)
        elif sink.done and not was_done:
            self._timers.append(asyncio.get_running_loop().call_later(LINGER_S, self._end, None))

    def connection_lost(self, exc: Exception | None) -> None:
        """Decide what the end of the connection means for the request that is waiting."""
        sink = self._sink
        if sink is None or sink.done or self._parser.ends_with_connection:
            self._end(as_load_error(exc, "the connection broke") if exc and sink and not sink.done else None)
        elif exc is not None:
            self._end(as_load_error(exc, f"the connection broke after {self.received} bytes of the answer"))
        else:
            came = f"after {self.received} bytes of an unfinished answer"
            self._end(LoadError("http_reset", f"the server closed the connection {came}"))

    def _expire(self, timeout_s: float) -> None:
        done = self._sink is not None and self._sink.done
        late = LoadError("http_timeout", f"no complete answer within {timeout_s:g} s ({self.received} bytes came)")
        self._end(None if done else late)

    def _end(self, error: LoadError | None) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        head = self._parser.head
        self.reusable = error is None and self._parser.complete and head is not None and head.keep_alive and self.open
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
