# SPDX-License-Identifier: MIT
"""The KV's way from a prefill worker to a decode worker: sent over HTTP, held, claimed and verified."""

from __future__ import annotations

import json
import logging
import time

from engine_sim import client, kv
from engine_sim.api import ApiError, Call, parse_object
from engine_sim.completions import refuse_overload, request_id_of
from engine_sim.engine import Engine, Ticket
from engine_sim.faults import Drawn, FaultPlan
from engine_sim.text import count_tokens
from engine_sim.wire import Request, Responder

logger = logging.getLogger("engine_sim.kv_transfer")

KEEP_S = 60.0
OTHER_PROMPT = "the prompt of another request"


def transfer_failed(status: int, request_id: str, cause: object) -> ApiError:
    """Return the error of a KV transfer that failed."""
    return ApiError(status, "kv_transfer_failed", f"KV transfer failed for request {request_id}: {cause}")


class Sender:
    """The prefill worker's side: read a prompt, compute its KV, send it to the decode worker that is named."""

    def __init__(self, engine: Engine, plan: FaultPlan) -> None:
        self._engine = engine
        self._plan = plan
        self._previous_prompt = OTHER_PROMPT
        self._decode_urls = dict(engine.settings.decode)

    async def serve_prefill(self, request: Request, responder: Responder) -> None:
        """Answer /pd/prefill: prompt, decode and decode_url in, kv_transfer_params out, the KV at decode by then.

        decode_url is how the caller reaches the decode worker; an address of our own for its name goes before.
        """
        fields = parse_object(request.body)
        prompt, decode_url = fields.get("prompt"), fields.get("decode_url")
        if not isinstance(prompt, str) or not isinstance(decode_url, str):
            raise ApiError(400, "BadRequestError", "prompt and decode_url must be strings")
        decode_url = self._decode_urls.get(str(fields.get("decode")), decode_url)
        faults = self._plan.for_request()
        refuse_overload(faults)
        request_id = request_id_of(request.headers)
        async with self._engine.work(request_id, count_tokens(prompt)) as ticket:
            await self._engine.read_prompt(ticket)
            cache = self._cache(prompt, faults)
            if faults.on("kv_fail"):
                logger.error(
                    "Prefill transfer failed for request %s: Failed to send kv chunk, Decode instance could be dead",
                    request_id,
                )
                self._count_failure()
            else:
                await self._send(request_id, cache, decode_url)
            ticket.finish_reason = "length"
        params = {
            "request_id": request_id,
            "prefill": self._engine.settings.name,
            "tokens": cache.tokens,
            "bytes": len(cache.data),
            "digest": cache.digest,
            "on_failure": faults.word("kv_fail") or faults.word("wrong_pair") or "500",
        }
        await responder.json(200, {"kv_transfer_params": params}, {"x-request-id": request_id})

    def _cache(self, prompt: str, faults: Drawn) -> kv.Kv:
        """Return the KV that is sent: the prompt's own, or that of the request before for a wrong pair."""
        other, self._previous_prompt = self._previous_prompt, prompt
        if not faults.on("wrong_pair"):
            return self._engine.compute_kv(prompt)
        return self._engine.compute_kv(other if other != prompt else OTHER_PROMPT)

    async def _send(self, request_id: str, cache: kv.Kv, decode_url: str) -> None:
        """Send a KV to a decode worker; ApiError 502 when it does not take it."""
        headers = {"x-request-id": request_id, "x-kv-digest": cache.digest, "x-kv-tokens": str(cache.tokens)}
        try:
            async with client.request(
                "PUT",
                f"{decode_url}/pd/kv",
                body=cache.data,
                headers=headers,
                timeout_s=self._engine.settings.worker_timeout_s,
            ) as reply:
                answer = await reply.read()
        except client.ClientError as error:
            cause: object = f"{decode_url}: {error}"
        else:
            if reply.status == 200:
                self._engine.metrics.kv_moved("sent", len(cache.data))
                return
            cause = f"{decode_url} answered {reply.status}: {answer[:200]!r}"
        self._count_failure()
        logger.error("Prefill transfer failed for request %s: Failed to send kv chunk: %s", request_id, cause)
        raise transfer_failed(502, request_id, cause)

    def _count_failure(self) -> None:
        self._engine.metrics.kv_failures.add(self._engine.metrics.registry.labels)


class Receiver:
    """The decode worker's side: hold the KV that comes, give it to its request once it proves to be its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._store = kv.KvStore(KEEP_S, time.monotonic)

    async def serve_kv(self, request: Request, responder: Responder) -> None:
        """Answer PUT /pd/kv: the bytes are kept when their digest is the one announced."""
        request_id = request_id_of(request.headers)
        tokens = request.headers.get("x-kv-tokens", "")
        if not tokens.isdigit():
            raise ApiError(400, "BadRequestError", f"x-kv-tokens must be a whole number, got {tokens!r}")
        received = kv.Kv(int(tokens), request.body)
        announced = request.headers.get("x-kv-digest", "")
        if received.digest != announced:
            raise transfer_failed(422, request_id, f"digest is {received.digest[:12]}, announced {announced[:12]!r}")
        self._store.put(request_id, received)
        self._engine.metrics.kv_moved("received", len(request.body))
        await responder.json(200, {"digest": received.digest, "bytes": len(request.body)})

    async def cache_of(self, call: Call, ticket: Ticket, faults: Drawn) -> kv.Kv | None:
        """Return the KV of a call: the transferred one, verified, or one computed here when none was sent ahead.

        None says that the answer is 200 with an abort; a failure that shows raises ApiError 500.
        """
        if call.transfer is None:
            await self._engine.read_prompt(ticket)
            return self._engine.compute_kv(call.prompt)
        reaction = faults.word("kv_fail") or faults.word("wrong_pair") or str(call.transfer.get("on_failure", "500"))
        try:
            received = self._claim(str(call.transfer.get("request_id", "")), call.prompt, faults)
            if reaction != "garbage":
                kv.verify(received, self._engine.compute_kv(call.prompt))
            return received
        except kv.KvError as error:
            self._engine.metrics.kv_failures.add(self._engine.metrics.registry.labels)
            logger.error(
                "Decode transfer failed for request %s with exception KVTransferError(%s)",
                ticket.request_id,
                json.dumps(str(error)),
            )
            if reaction == "200":
                return None
            raise transfer_failed(500, ticket.request_id, error) from None

    def _claim(self, request_id: str, prompt: str, faults: Drawn) -> kv.Kv:
        """Return the KV held for a request, as the faults of this worker leave it."""
        received = self._store.take(request_id)
        if faults.on("kv_fail"):
            raise kv.KvError("Failed to get kvcache from prefill instance, it might be dead")
        if faults.on("wrong_pair"):
            return self._engine.compute_kv(OTHER_PROMPT if prompt != OTHER_PROMPT else OTHER_PROMPT + "!")
        return received
