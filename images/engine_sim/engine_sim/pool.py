# SPDX-License-Identifier: MIT
"""The router's workers: which are there, which are healthy, and which pair a request gets."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engine_sim import client
from engine_sim.api import ApiError

logger = logging.getLogger("engine_sim.pool")

PROBE_TIMEOUT_S = 1.0
KINDS = ("prefill", "decode")


@dataclass
class Peer:
    """One worker as the router sees it; probed_at is monotonic, None before the first look."""

    id: str
    role: str
    url: str
    healthy: bool = False
    error: str = "not probed yet"
    requests: int = 0
    failures: int = 0
    inflight: int = 0
    probed_at: float | None = None

    def seen(self, error: str, now: float) -> None:
        """Take what a look at the worker's health gave; an empty error is good news."""
        if self.healthy == bool(error) or (error and self.probed_at is None):
            logger.log(
                logging.WARNING if error else logging.INFO, "%s %s (%s) %s", self.role, self.id, self.url, error or "ok"
            )
        self.healthy, self.error, self.probed_at = not error, error, now

    def describe(self, now: float) -> dict[str, object]:
        """Return the worker as /workers shows it."""
        return {
            "id": self.id,
            "role": self.role,
            "url": self.url,
            "healthy": self.healthy,
            "error": self.error or None,
            "requests": self.requests,
            "failures": self.failures,
            "inflight": self.inflight,
            "probed_s_ago": None if self.probed_at is None else round(now - self.probed_at, 3),
        }


class Pool:
    """The workers of both kinds, in the order of the command line."""

    def __init__(self, prefill: Iterable[tuple[str, str]], decode: Iterable[tuple[str, str]]) -> None:
        self.peers = {
            "prefill": [Peer(name, "prefill", url) for name, url in prefill],
            "decode": [Peer(name, "decode", url) for name, url in decode],
        }
        self._turn = 0

    def healthy(self, kind: str) -> list[Peer]:
        """Return the workers of a kind that answered their last look."""
        return [peer for peer in self.peers[kind] if peer.healthy]

    def choose(self, wanted: str) -> tuple[Peer, Peer]:
        """Return a prefill and a decode worker: those named `PREFILL,DECODE`, else the next healthy pair.

        The turns go through all pairs, each worker as often as the others of its kind.
        """
        if wanted:
            return self._named(wanted)
        prefill, decode = self.healthy("prefill"), self.healthy("decode")
        if not prefill or not decode:
            raise ApiError(503, "ServiceUnavailableError", self.missing(), headers={"retry-after": "1"})
        turn, self._turn = self._turn, self._turn + 1
        shift = turn // math.lcm(len(prefill), len(decode))  # by then the pairs would come again in the same order
        return prefill[turn % len(prefill)], decode[(turn + shift) % len(decode)]

    def _named(self, wanted: str) -> tuple[Peer, Peer]:
        """Return the pair that a header names, healthy or not."""
        names = [name.strip() for name in wanted.split(",")]
        if len(names) != 2:
            raise ApiError(400, "BadRequestError", f"X-Testcell-Pair must be PREFILL,DECODE, got {wanted!r}")
        return self._peer("prefill", names[0]), self._peer("decode", names[1])

    def _peer(self, kind: str, name: str) -> Peer:
        for peer in self.peers[kind]:
            if name in (peer.id, peer.url):
                return peer
        known = ", ".join(peer.id for peer in self.peers[kind])
        raise ApiError(400, "BadRequestError", f"no {kind} worker {name!r}; known: {known}")

    def missing(self) -> str:
        """Return which kind has no healthy worker, empty when both have."""
        return ", ".join(f"no healthy {kind} worker" for kind in KINDS if not self.healthy(kind))

    def describe(self) -> dict[str, object]:
        """Return all workers and their counts, as /workers shows them."""
        now = time.monotonic()
        shown: dict[str, object] = {kind: [peer.describe(now) for peer in self.peers[kind]] for kind in KINDS}
        shown["counts"] = {
            kind: {"registered": len(self.peers[kind]), "healthy": len(self.healthy(kind))} for kind in KINDS
        }
        return shown

    async def probe_all(self) -> None:
        """Look once at every worker's health, all at the same time."""
        await asyncio.gather(*(_probe(peer) for kind in KINDS for peer in self.peers[kind]))


@contextmanager
def busy(peer: Peer) -> Iterator[None]:
    """Count a request at a worker while it runs; one that cannot be reached is unhealthy. Errors get its name."""
    peer.requests += 1
    peer.inflight += 1
    try:
        yield
    except client.ClientError as error:
        peer.failures += 1
        if error.kind in ("http_refused", "dns_failure"):
            peer.seen(str(error), time.monotonic())
        raise client.ClientError(error.kind, f"{peer.id} ({peer.url}): {error}") from None
    finally:
        peer.inflight -= 1


async def _probe(peer: Peer) -> None:
    """Ask a worker for its health and role."""
    try:
        async with client.request("GET", f"{peer.url}/health", timeout_s=PROBE_TIMEOUT_S) as reply:
            answer = await reply.json()
        role = answer.get("role")
        error = "" if reply.status == 200 else f"/health answered {reply.status}: {answer.get('status')}"
        if not error and role != peer.role:
            error = f"is a {role} worker, not {peer.role}"
    except client.ClientError as failure:
        error = f"{failure.kind}: {failure}"
    peer.seen(error, time.monotonic())
