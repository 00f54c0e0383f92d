# SPDX-License-Identifier: MIT
"""A fake engine that answers as a behaviour tells it to, and a load client run against it."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.main import main


@dataclass(frozen=True)
class Received:
    """One request as the engine saw it. connection: the number of the connection it came on, from 0."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    connection: int


Behave = Callable[[asyncio.StreamWriter, Received], Awaitable[None]]


@dataclass
class FakeEngine:
    """An HTTP server in a thread. behave: writes the answer to each request; it raises ConnectionError to hang up.

    greeting: sent on each new connection before any request.
    """

    behave: Behave
    tls: ssl.SSLContext | None = None
    greeting: bytes = b""
    requests: list[Received] = field(default_factory=list)
    port: int = 0
    _connections: int = 0

    def __enter__(self) -> FakeEngine:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *exc: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _close(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self._connections = self._connections, self._connections + 1
        writer.write(self.greeting)
        try:
            while True:
                await self.behave(writer, await self._request(reader, number))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()

    async def _request(self, reader: asyncio.StreamReader, number: int) -> Received:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        received = Received(lines[0].split(" ")[1], headers, body, number)
        self.requests.append(received)
        return received


def sse(*values: object) -> bytes:
    """Return values as server-sent events; strings go out as they are."""
    return b"".join(f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n".encode() for value in values)


def token(text: str, finish: str | None = None, chat: bool = False) -> dict[str, Any]:
    """Return the chunk of one token."""
    said = {"delta": {"content": text}} if chat else {"text": text}
    return {"object": "text_completion", "choices": [{"index": 0, **said, "finish_reason": finish}]}


def usage(prompt: int, completion: int) -> dict[str, Any]:
    """Return the chunk that carries usage and no choice."""
    return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}}


def head(status: int = 200, kind: str = "text/event-stream", **headers: object) -> bytes:
    """Return status line and headers."""
    extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\n{extra}\r\n".encode()


def chunked(*pieces: bytes) -> bytes:
    """Return pieces as chunks, with the last one of no size."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def streamed(*values: object) -> bytes:
    """Return a whole answer that streams values."""
    return head(Transfer_Encoding="chunked") + chunked(sse(*values))


def whole(value: object, status: int = 200, **headers: object) -> bytes:
    """Return an answer that is not streamed; a value of bytes goes out as it is."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return head(status, "application/json", Content_Length=len(body), **headers) + body


def says(answer: bytes) -> Behave:
    """Return the behaviour that writes one and the same answer."""

    async def behave(writer: asyncio.StreamWriter, received: Received) -> None:
        writer.write(answer)

    return behave


@dataclass(frozen=True)
class Ran:
    """What one run of the load client left."""

    status: int
    benchmark: dict[str, Any]
    records: list[dict[str, Any]]
    folder: Path
    requests: list[Received]


class Cell:
    """Runs the load client against a fake engine."""

    Engine = FakeEngine

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, behave: Behave | FakeEngine, environ: dict[str, str] | None = None, **config: Any) -> Ran:
        """Return what the client made of a load on an engine that behaves so."""
        engine = behave if isinstance(behave, FakeEngine) else FakeEngine(behave)
        with engine:
            url = f"http{'s' if engine.tls else ''}://127.0.0.1:{engine.port}"
            status = self.run({"base_url": url, "model": "tiny", "num_prompts": 1, **config}, environ)
        lines = (self.folder / "out" / "requests.jsonl").read_text().splitlines()
        benchmark = json.loads((self.folder / "out" / "benchmark.json").read_text())
        return Ran(status, benchmark, [json.loads(line) for line in lines], self.folder / "out", engine.requests)

    def run(self, config: dict[str, Any], environ: dict[str, str] | None = None, *more: str) -> int:
        """Return the exit status of the client for a configuration."""
        file = self.folder / "test_config.json"
        file.write_text(json.dumps(config))
        return main(["--config", str(file), "--out", str(self.folder / "out"), *more], environ or {})


@pytest.fixture(scope="session")
def wire() -> Any:
    """The pieces that answers are made of, for tests to put together."""
    pieces = (head, sse, token, usage, chunked, streamed, whole, says)
    return SimpleNamespace(**{piece.__name__: piece for piece in pieces})


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Cell]:
    """A load client with a folder of its own."""
    yield Cell(tmp_path)
