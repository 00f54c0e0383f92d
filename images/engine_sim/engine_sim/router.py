# SPDX-License-Identifier: MIT
"""The router: it takes requests, has a prefill worker read the prompt and a decode worker write the answer."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping

from engine_sim import client
from engine_sim.api import ApiError, Call, parse_call, parse_object
from engine_sim.app import Route, Routes
from engine_sim.completions import refuse_overload, request_id_of
from engine_sim.faults import FaultPlan
from engine_sim.metrics import LATENCY
from engine_sim.pool import KINDS, Peer, Pool, busy
from engine_sim.prometheus import Registry
from engine_sim.settings import Settings
from engine_sim.wire import Request, Responder

logger = logging.getLogger("engine_sim.router")

PAIR_HEADER = "x-testcell-pair"


class RefusedError(Exception):
    """A worker answered with an error, which goes to the client as it is."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.body = body
        self.headers = {name: headers[name] for name in ("retry-after",) if name in headers}


class Router:
    """The routes of a router, and its look at the workers."""

    def __init__(self, settings: Settings, plan: FaultPlan) -> None:
        self._settings = settings
        self._plan = plan
        self.pool = Pool(settings.prefill, settings.decode)
        self._registry = Registry({})
        self._requests = self._registry.value(
            "counter", "engine_sim:router_requests_total", "Requests by pair and status.", start=False
        )
        self._workers = self._registry.value("gauge", "engine_sim:router_workers", "Workers by role.", start=False)
        self._seconds = self._registry.histogram(
            "engine_sim:router_request_seconds", "Time of a whole request at the router.", LATENCY
        )
        self.routes: Routes = {
            ("POST", "/v1/completions"): Route(self._serve_text, counted=True),
            ("POST", "/v1/chat/completions"): Route(self._serve_chat, counted=True),
            ("GET", "/workers"): Route(self._serve_workers),
        }

    def missing(self) -> str:
        """Return which kind of worker is not healthy anywhere."""
        return self.pool.missing()

    def scrape(self) -> str:
        """Return the router's metrics."""
        for kind in KINDS:
            self._workers.set((("role", kind), ("state", "registered")), len(self.pool.peers[kind]))
            self._workers.set((("role", kind), ("state", "healthy")), len(self.pool.healthy(kind)))
        return self._registry.render()

    def heads(self) -> dict[str, int]:
        """Return how many requests each worker was handed."""
        return {peer.id: peer.requests for kind in KINDS for peer in self.pool.peers[kind]}

    async def run(self) -> None:
        """Look at the workers' health, again and again."""
        while True:
            await self.pool.probe_all()
            await asyncio.sleep(self._settings.probe_interval_s)

    async def _serve_workers(self, request: Request, responder: Responder) -> None:
        await responder.json(200, self.pool.describe())

    async def _serve_text(self, request: Request, responder: Responder) -> None:
        await self._serve(request, responder, chat=False)

    async def _serve_chat(self, request: Request, responder: Responder) -> None:
        await self._serve(request, responder, chat=True)

    async def _serve(self, request: Request, responder: Responder, *, chat: bool) -> None:
        """Answer a completion by way of a pair of workers."""
        settings = self._settings
        refuse_overload(self._plan.for_request())
        call = parse_call(request.body, chat=chat, model=settings.model, max_model_len=settings.max_model_len)
        prefill, decode = self.pool.choose(request.headers.get(PAIR_HEADER, ""))
        request_id = request_id_of(request.headers)
        logger.info("Request %s goes to %s and %s", request_id, prefill.id, decode.id)
        shown = {"x-request-id": request_id, "x-testcell-prefill": prefill.id, "x-testcell-decode": decode.id}
        begun = time.monotonic()
        try:
            params = await self._prefill(prefill, decode, call, request_id)
            await self._decode(decode, request, responder, params, shown)
        except RefusedError as error:
            logger.error("Request %s was refused: status %d: %r", request_id, error.status, error.body[:200])
            await responder.send(error.status, error.body, "application/json", {**shown, **error.headers})
        except client.ClientError as error:
            await _unreachable(error, responder, request_id, shown)
        finally:
            self._seconds.observe(time.monotonic() - begun)
            self._requests.add(
                (("prefill", prefill.id), ("decode", decode.id), ("status", str(responder.status or "none")))
            )

    async def _prefill(self, prefill: Peer, decode: Peer, call: Call, request_id: str) -> object:
        """Return the kv_transfer_params of a prompt that prefill has read and sent to decode."""
        body = json.dumps({"prompt": call.prompt, "decode": decode.id, "decode_url": decode.url}).encode()
        with busy(prefill):
            async with client.request(
                "POST",
                f"{prefill.url}/pd/prefill",
                body=body,
                headers={"x-request-id": request_id},
                timeout_s=self._settings.worker_timeout_s,
            ) as reply:
                if reply.status != 200:
                    raise RefusedError(reply.status, await reply.read(), reply.headers)
                return (await reply.json()).get("kv_transfer_params")

    async def _decode(
        self, decode: Peer, request: Request, responder: Responder, params: object, shown: Mapping[str, str]
    ) -> None:
        """Have decode answer the request, and pass its answer on as it comes."""
        body = json.dumps({**parse_object(request.body), "kv_transfer_params": params}).encode()
        with busy(decode):
            async with client.request(
                "POST",
                f"{decode.url}{request.path}",
                body=body,
                headers={"x-request-id": shown["x-request-id"]},
                timeout_s=self._settings.worker_timeout_s,
            ) as reply:
                if reply.status != 200:
                    raise RefusedError(reply.status, await reply.read(), reply.headers)
                kind = reply.headers.get("content-type", "application/json")
                if not kind.startswith("text/event-stream"):
                    await responder.send(200, await reply.read(), kind, shown)
                    return
                await responder.open_stream(200, kind, shown)
                async for piece in reply.pieces():
                    await responder.chunk(piece)
                await responder.close_stream()


async def _unreachable(
    error: client.ClientError, responder: Responder, request_id: str, shown: Mapping[str, str]
) -> None:
    """Answer 502 or 504 for a worker that gave no whole answer; a stream that has begun is reset."""
    logger.error("Request %s: a worker gave no whole answer: %s: %s", request_id, error.kind, error)
    if responder.status is not None:
        responder.reset()
        return
    failure = ApiError(504 if error.kind == "http_timeout" else 502, error.kind, str(error), headers=shown)
    raise failure
