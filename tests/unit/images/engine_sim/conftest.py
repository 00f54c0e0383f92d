# SPDX-License-Identifier: MIT
"""Real services of the simulated engine on 127.0.0.1: in a loop of their own, or as processes."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from engine_sim.faults import parse
from engine_sim.service import Service
from engine_sim.settings import Settings

PACKAGE_PARENT = Path(__file__).parents[4] / "images" / "engine_sim"
LIMIT_S = 10.0
FAST: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "itl_ms": 0.0, "prefill_tokens_per_s": 1e9}


@dataclass(frozen=True)
class Answer:
    """What a client got; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """Return the stream's events; the end mark is the string [DONE]."""
        lines = [part.removeprefix("data: ") for part in self.body.decode().split("\n\n") if part]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]

    @property
    def text(self) -> str:
        """Return the text of a whole or streamed completion."""
        parts = self.events if self.body.startswith(b"data:") else [self.json]
        choices = [choice for part in parts if isinstance(part, dict) for choice in part.get("choices", [])]
        return "".join(choice["text"] for choice in choices)


@dataclass(frozen=True)
class Api:
    """The address of a running service, and questions to it."""

    url: str

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        method: str = "",
        wait_s: float = LIMIT_S,
    ) -> Answer:
        """Send one request and return the whole answer; TimeoutError when no bytes come for wait_s."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=wait_s)
        try:
            data = json.dumps(body) if isinstance(body, dict) else body
            connection.request(method or ("GET" if body is None else "POST"), path, data, headers or {})
            reply = connection.getresponse()
            return Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    def complete(
        self,
        prompt: str = "How fast does it turn?",
        *,
        tokens: int = 8,
        headers: dict[str, str] | None = None,
        wait_s: float = LIMIT_S,
        **more: Any,
    ) -> Answer:
        """Ask for a completion; further keywords go into the body."""
        body = {"model": "sim", "prompt": prompt, "max_tokens": tokens, **more}
        return self.ask("/v1/completions", body, headers=headers, wait_s=wait_s)

    def stream(self, prompt: str = "How fast does it turn?", **more: Any) -> Answer:
        """Ask for a streamed completion with usage."""
        return self.complete(prompt, **{"stream": True, "stream_options": {"include_usage": True}, **more})

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples; the name may carry the start of its labels."""
        lines = self.ask("/metrics").body.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(re.escape(name) + r"[{ ,]", line))


@dataclass(frozen=True)
class Sim(Api):
    """One service running in this process."""

    service: Service


class Sims:
    """Services in one event loop, which runs in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.running: list[Sim] = []

    def do(self, job: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the loop and return its result."""
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(LIMIT_S)

    def start(self, faults: str = "", *, leave: Callable[[int], object] = os._exit, **fields: Any) -> Sim:
        """Start a service and return it."""
        settings = Settings(**{**FAST, **fields, "faults": parse(faults)})
        return self.start_settings(settings, leave)

    def start_settings(self, settings: Settings, leave: Callable[[int], object] = os._exit) -> Sim:
        """Start a service from whole settings and return it."""
        service = Service(settings, leave)
        port = self.do(service.start())
        self.running.append(Sim(f"http://127.0.0.1:{port}", service))
        return self.running[-1]

    def disaggregated(self, faults: str = "", prefill: int = 2, decode: int = 2, **router: Any) -> Sim:
        """Start prefill and decode workers and a router that has seen them; all get the same faults."""
        urls: dict[str, list[tuple[str, str]]] = {"prefill": [], "decode": []}
        for role, count in (("prefill", prefill), ("decode", decode)):
            for number in range(1, count + 1):
                name = f"{role}-{number}"
                urls[role].append((name, self.start(faults, role=role, name=name).url))
        sim = self.start(
            faults, role="router", name="router", prefill=tuple(urls["prefill"]), decode=tuple(urls["decode"]), **router
        )
        self.probe(sim)
        return sim

    def probe(self, router: Sim) -> None:
        """Have a router look at its workers now."""
        self.do(router.service.app.pool.probe_all())  # type: ignore[attr-defined]

    def named(self, name: str) -> Sim:
        """Return the running service of a name."""
        return next(sim for sim in self.running if sim.service.settings.name == name)

    def stop(self, sim: Sim) -> None:
        """Stop one service."""
        self.running.remove(sim)
        self.do(sim.service.stop())

    def close(self) -> None:
        """Stop everything."""
        for sim in list(self.running):
            self.stop(sim)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_S)
        self._loop.close()


@pytest.fixture
def sims() -> Iterator[Sims]:
    running = Sims()
    yield running
    running.close()


class Process:
    """A service as a process of its own; its log is read line by line."""

    def __init__(self, args: tuple[str, ...], environ: dict[str, str], descriptors: int) -> None:
        limit = f'ulimit -n {descriptors}; exec "$@"' if descriptors else 'exec "$@"'
        self.popen = subprocess.Popen(
            ["/bin/sh", "-c", limit, "sh", sys.executable, "-m", "engine_sim", *args],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE_PARENT), **environ},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._incoming: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self._incoming.put(line.rstrip("\n"))
        self._incoming.put(None)

    def line_with(self, text: str) -> str:
        """Return the next log line that holds a text."""
        while (line := self._incoming.get(timeout=LIMIT_S)) is not None:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"no line with {text!r} in {self.lines}")

    @property
    def log(self) -> str:
        """Return the whole log of a process that has ended."""
        self._reader.join(LIMIT_S)
        while not self._incoming.empty():
            line = self._incoming.get()
            self.lines += [] if line is None else [line]
        return "\n".join(self.lines)

    def api(self) -> Api:
        """Return the service's address once it listens."""
        return Api(self.line_with("listening on").rpartition(" ")[2])

    def end(self, signum: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.popen.send_signal(signum)
        return self.popen.wait(LIMIT_S)

    def close(self) -> None:
        """Kill what is left and give the pipe back."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(LIMIT_S)
        self._reader.join(LIMIT_S)
        assert self.popen.stderr is not None
        self.popen.stderr.close()


@pytest.fixture
def spawn() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(*args: str, descriptors: int = 0, **environ: str) -> Process:
        started.append(Process(("--host", "127.0.0.1", "--port", "0", *args), environ, descriptors))
        return started[-1]

    yield start
    for process in started:
        process.close()


@pytest.fixture
def closed_port() -> Iterator[Callable[[], int]]:
    """Give ports on which nobody listens and nobody will while the test runs: bound, never listening."""
    bound: list[socket.socket] = []

    def port() -> int:
        sock = socket.socket()
        bound.append(sock)
        sock.bind(("127.0.0.1", 0))
        number: int = sock.getsockname()[1]
        return number

    yield port
    for sock in bound:
        sock.close()
