# SPDX-License-Identifier: MIT
"""How near the adaptive rate comes to what a server takes, and how much it is refused: JSON lines.

Beside it stand the same workers of which each retries by itself, by exponential backoff with full jitter, which is the usual
way. Servers with a hidden limit are simulated; `real` is the simulated engine behind HTTP and the load client as nodes run it.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import rig
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.pace.settings import Settings
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package
from limited import Course, Server, backing_off, constant, paced, steps
from rig import ROOT, line

WORKERS = 64
SECONDS, SETTLED_S = 120.0, 30.0
GOODPUT, REFUSED = 0.8, 0.05
PEER = "exponential backoff with full jitter"
REAL_LIMIT, REAL_WORKERS, REAL_S, REAL_SETTLED_S = 40.0, 16, 20.0, 5.0
READY_S = 20.0

# Limit (requests/s) after SETTLED_S, and the server.
SERVERS = {
    "1": (1.0, Server(constant(1), 2)),
    "20": (20.0, Server(constant(20), 20)),
    "200": (200.0, Server(constant(200), 50)),
    "20-retry-after": (20.0, Server(constant(20), 20, retry_after_s=1.0)),
    "20-without-burst": (20.0, Server(constant(20), 1)),
    "from-20-to-80": (80.0, Server(steps((SETTLED_S, 20), (SECONDS, 80)), 20)),
    "from-80-to-20": (20.0, Server(steps((SETTLED_S, 80), (SECONDS, 20)), 20)),
}


def beside(
    name: str, limit: float, ours: tuple[float, float], peer: tuple[float, float], **rest: object
) -> Iterator[dict[str, object]]:
    """Yield the two figures of one server. ours, peer: taken requests per second, and the refused share."""
    unit = "taken requests per second / the server's limit"
    value = ours[0] / limit
    holds = {"target": GOODPUT, "holds": value >= GOODPUT}
    yield line(f"E5-goodput-{name}", value, unit, PEER, peer[0] / limit, **holds, **rest)
    unit = "share of the attempts that was refused"
    yield line(f"E5-refused-{name}", ours[1], unit, PEER, peer[1], **rig.at_most(ours[1], REFUSED), **rest)


def settled(course: Course) -> tuple[float, float]:
    """Return goodput and refused share of what came after the limit was found, or has changed."""
    return course.goodput(SETTLED_S, SECONDS), course.refused_share(SETTLED_S, SECONDS)


def simulated() -> Iterator[dict[str, object]]:
    """Yield the figures of the simulated servers."""
    for name, (limit, server) in SERVERS.items():
        known = (server.limit, server.burst, server.retry_after_s)
        ours = paced(Server(*known), SECONDS, WORKERS, Settings())
        peer = backing_off(Server(*known), SECONDS, WORKERS)
        yield from beside(name, limit, settled(ours), settled(peer), workers=WORKERS, seconds=SECONDS)


@contextmanager
def engine() -> Iterator[str]:
    """Yield the address of a simulated engine that takes REAL_LIMIT requests a second."""
    argv = [sys.executable, "-m", "engine_sim", "--host", "127.0.0.1", "--port", "0"]
    argv += ["--faults", f"rate_limit={REAL_LIMIT:g}:10", "--log-level", "INFO"]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "images" / "engine_sim")}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(argv, env=environ, stderr=log)
        try:
            yield _address(process, log.fileno())
        finally:
            process.terminate()
            process.wait(READY_S)


def _address(process: subprocess.Popen[bytes], log: int) -> str:
    limit = time.monotonic() + READY_S
    while time.monotonic() < limit and process.poll() is None:
        for entry in os.pread(log, 1 << 16, 0).decode().splitlines():
            if "listening on" in entry:
                return entry.rpartition(" ")[2]
        time.sleep(0.02)
    raise RuntimeError("the simulated engine did not start")


def load_client(url: str) -> tuple[float, float]:
    """Return goodput and refused share of the load client, run as on a node."""
    config = {"base_url": url, "model": "sim", "duration_s": REAL_S, "max_concurrency": REAL_WORKERS}
    config |= {"max_tokens": 2, "prompt_tokens": 8, "adaptive_rate": True}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "cellload.pyz").write_bytes(package.build("cellload").content)
        (folder / "test_config.json").write_text(json.dumps(config))
        argv = [sys.executable, "-I", "-S", "-E", "cellload.pyz", "--config", "test_config.json", "--out", "out"]
        subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=REAL_S + 120)
        records = [json.loads(entry) for entry in (folder / "out" / "requests.jsonl").read_text().splitlines()]
    late = [record for record in records if REAL_SETTLED_S <= record["sent_s"] < REAL_S]
    refused = sum(record["refused"] for record in late)
    return sum(record["ok"] for record in late) / (REAL_S - REAL_SETTLED_S), refused / (len(late) + refused)


@dataclass
class Peer:
    """Workers of which each retries by itself."""

    url: str
    began: float
    chance: random.Random
    taken: int = 0
    refused: int = 0

    def work(self) -> None:
        """Send one request after the other until the time is over."""
        refusals = 0
        while time.monotonic() - self.began < REAL_S:
            sent = time.monotonic() - self.began
            took = self.send()
            counts = sent >= REAL_SETTLED_S
            self.taken, self.refused = self.taken + (took and counts), self.refused + (not took and counts)
            refusals = 0 if took else refusals + 1
            if refusals:
                time.sleep(self.chance.uniform(0, min(60.0, 0.5 * 2 ** (refusals - 1))))

    def send(self) -> bool:
        """Send a request and return whether it was taken."""
        body = json.dumps({"model": "sim", "prompt": "a b c d e f g h", "max_tokens": 2}).encode()
        request = urllib.request.Request(f"{self.url}/v1/completions", body)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            with error:
                error.read()
            return False
        return True


def each_by_itself(url: str) -> tuple[float, float]:
    """Return goodput and refused share of workers that retry by themselves."""
    peer = Peer(url, time.monotonic(), random.Random(1))
    threads = [threading.Thread(target=peer.work) for _ in range(REAL_WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return peer.taken / (REAL_S - REAL_SETTLED_S), peer.refused / max(1, peer.taken + peer.refused)


def figures() -> Iterator[dict[str, object]]:
    """Yield the figures of all servers."""
    yield from simulated()
    with engine() as url:
        ours = load_client(url)
    with engine() as url:
        peer = each_by_itself(url)
    yield from beside("real", REAL_LIMIT, ours, peer, workers=REAL_WORKERS, seconds=REAL_S)


def main() -> int:
    """Print one line a figure; return 1 when a target does not hold."""
    return rig.show(figures())


if __name__ == "__main__":
    raise SystemExit(main())
