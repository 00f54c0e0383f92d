# SPDX-License-Identifier: MIT
"""How the memory of a soaking load client grows over 1,000,000 requests, beside a load that is no soak: JSON lines.

Arguments: the number of requests. The server answers at once, in this process; the client is a process of its own, as on a
node, and is told to end when so many requests were answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rig
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package
from rig import line

REQUESTS = 1_000_000
WORKERS = 32
POINTS = 20
SETTLED = 2  # the point from which growth counts: what is allocated once is allocated by then
MOST_GROWTH_MIB = 16.0  # of it 4 MiB are the last requests, kept until the end
PEER_SHARE = 0.05
LIMIT_S = 3600.0
POLL_S = 0.02
MIB = 1024 * 1024
LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)\r\n")


def events(*values: object) -> bytes:
    """Return an answer that streams values."""
    body = b"".join(f"data: {value}\n\n".encode() for value in values)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def chunk(text: str, finish: str | None = None) -> str:
    """Return one piece of an answer."""
    return json.dumps({"choices": [{"index": 0, "text": text, "finish_reason": finish}]})


USAGE = json.dumps({"choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 3}})
ANSWER = events(chunk("a"), chunk("b"), chunk("c", "length"), USAGE, "[DONE]")


class Server:
    """Answers every request alike. answered: how many so far."""

    def __init__(self) -> None:
        self.answered = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Server:
        self._thread.start()
        begun = self._loop.create_server(lambda: Answering(self), "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(begun, self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Answering(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Answer when a request is complete."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = LENGTH.search(head + b"\r\n")
        if end and length and len(body) >= int(length[1]):
            self._received = b""
            self._server.answered += 1
            self._transport.write(ANSWER)


@dataclass(frozen=True)
class Course:
    """What a client did. rss: its resident memory in bytes after each twentieth of the requests; cpu_s: of the client."""

    requests: int
    seconds: float
    cpu_s: float
    rss: tuple[int, ...]
    result: Mapping[str, Any]
    folder_bytes: int

    @property
    def growth_bytes(self) -> int:
        """Return by how much its memory grew since it had settled."""
        return max(self.rss[SETTLED:]) - self.rss[SETTLED]


def course(requests: int, soak: bool) -> Course:
    """Return what the client did with so many requests, in a soak or in a load of just that number."""
    config = {"model": "m", "num_prompts": requests, "max_concurrency": WORKERS, "prompt_tokens": 8, "max_tokens": 3}
    with Server() as server, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "cellload.pyz").write_bytes(package.build("cellload").content)
        (folder / "test_config.json").write_text(json.dumps(config | {"base_url": f"http://127.0.0.1:{server.port}"}))
        argv = [sys.executable, "-I", "-S", "-E", "cellload.pyz", "--config", "test_config.json", "--out", "out"]
        began = time.monotonic()
        with client([*argv, "--quiet", *(["--soak", "604800"] if soak else [])], folder) as process:
            rss = tuple(resident(process.pid) for _ in reached(server, requests, process))
            if soak:
                process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)
        seconds = time.monotonic() - began
        result = json.loads((folder / "out" / "benchmark.json").read_text())
        size = sum(path.stat().st_size for path in (folder / "out").iterdir())
        return Course(server.answered, seconds, result["client"]["cpu_s"], rss, result, size)


@contextmanager
def client(argv: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Give the client's process, which does not outlive this."""
    process = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def reached(server: Server, requests: int, process: subprocess.Popen[bytes]) -> Iterator[int]:
    """Yield at each twentieth of the requests, the last of which a client that ends by itself may not live to see."""
    limit = time.monotonic() + LIMIT_S
    for point in range(1, POINTS + 1):
        goal = requests * point // POINTS
        while server.answered < goal:
            if time.monotonic() > limit or process.poll() is not None:
                raise RuntimeError(f"the client ended or stood still after {server.answered} of {requests} requests")
            time.sleep(POLL_S)
        if process.poll() is None:
            yield goal


def resident(pid: int) -> int:
    """Return a process's resident memory in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def figures(requests: int) -> Iterator[dict[str, object]]:
    """Yield the growth of the client's memory, and what a request costs it."""
    ours, plain = course(requests, soak=True), course(int(requests * PEER_SHARE), soak=False)
    growth = ours.growth_bytes / MIB
    peer = plain.growth_bytes / MIB * ours.requests / plain.requests
    left_out = ours.result["soak"]["left_out"]
    seen = {"rss_mib": [round(value / MIB, 1) for value in ours.rss], "results_mib": round(ours.folder_bytes / MIB, 1)}
    unit = f"MiB that the client grew by in {ours.requests} requests"
    told = {"requests": ours.requests, "failed": ours.result["achieved"]["failed"], "left_out": left_out}
    kind = "a load that is no soak, from a twentieth of the requests"
    yield line("soak-client-memory", growth, unit, kind, peer, **rig.at_most(growth, MOST_GROWTH_MIB), **told, **seen)
    cost, peer_cost = (one.cpu_s / one.requests * 1e6 for one in (ours, plain))
    unit = "microseconds of CPU a request"
    yield line("soak-client-cpu", cost, unit, kind, peer_cost, target=None, holds=None)


def main(argv: list[str]) -> int:
    """Print one line a figure; return 1 when a target does not hold."""
    return rig.show(figures(int(argv[0]) if argv else REQUESTS))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
