# SPDX-License-Identifier: MIT
"""/v1/completions and /v1/chat/completions of an engine: whole and streamed answers, and how they break."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping

from engine_sim import replies
from engine_sim.api import ApiError, Call, parse_call
from engine_sim.engine import BreakError, Engine, Ticket
from engine_sim.faults import Drawn, FaultPlan
from engine_sim.kv import Kv
from engine_sim.text import Answer
from engine_sim.wire import Request, Responder

logger = logging.getLogger("engine_sim.api_server")

EVENT_STREAM = "text/event-stream; charset=utf-8"

# Gives the KV cache of a call, or None when the answer is to be 200 with an abort.
CacheOf = Callable[[Call, Ticket, Drawn], Awaitable["Kv | None"]]

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def request_id_of(headers: Mapping[str, str]) -> str:
    """Return the client's X-Request-Id when it is a plain word, else a new one."""
    given = headers.get("x-request-id", "")
    return given if _ID.fullmatch(given) else uuid.uuid4().hex


def refuse_overload(faults: Drawn) -> None:
    """Raise the refusal of an overloaded server when that fault was drawn."""
    overload = faults.get("overload")
    if overload is not None:
        raise ApiError(
            int(overload.word),
            "RateLimitError" if overload.word == "429" else "ServiceUnavailableError",
            "The request queue is full.",
            headers={"retry-after": f"{overload.second:g}"},
        )


async def for_ever() -> None:
    """Never return: what waits here ends when its client goes away."""
    await asyncio.get_running_loop().create_future()


class Completions:
    """Answer completions with an engine; `cache_of` says where the KV of a call comes from."""

    def __init__(self, engine: Engine, plan: FaultPlan, cache_of: CacheOf) -> None:
        self._engine = engine
        self._plan = plan
        self._cache_of = cache_of

    async def serve_text(self, request: Request, responder: Responder) -> None:
        """Answer /v1/completions."""
        await self._serve(request, responder, chat=False)

    async def serve_chat(self, request: Request, responder: Responder) -> None:
        """Answer /v1/chat/completions."""
        await self._serve(request, responder, chat=True)

    async def _serve(self, request: Request, responder: Responder, *, chat: bool) -> None:
        settings = self._engine.settings
        request_id = request_id_of(request.headers)
        faults = self._plan.for_request()
        refuse_overload(faults)
        call = parse_call(request.body, chat=chat, model=settings.model, max_model_len=settings.max_model_len)
        reply = replies.Reply(call, f"{'chatcmpl' if chat else 'cmpl'}-{request_id}", settings.model, int(time.time()))
        logger.info(
            "Received request %s: prompt_tokens=%d max_tokens=%d stream=%s",
            request_id,
            call.prompt_tokens,
            call.max_tokens,
            call.stream,
        )
        async with self._engine.work(request_id, call.prompt_tokens) as ticket:
            cache = await self._cache_of(call, ticket, faults)
            answer = self._engine.answer(call, cache, faults) if cache is not None else Answer((), "abort")
            send = self._stream if call.stream else self._whole
            try:
                await send(responder, reply, ticket, answer, faults)
                ticket.finish_reason = answer.finish_reason
            except BreakError as stop:
                ticket.finish_reason = "error"
                await _break(stop.kind, responder, ticket)
        logger.info("Finished request %s: %s after %d tokens", request_id, ticket.finish_reason, ticket.made)

    async def _stream(
        self, responder: Responder, reply: replies.Reply, ticket: Ticket, answer: Answer, faults: Drawn
    ) -> None:
        """Send an answer token by token."""
        await responder.open_stream(200, EVENT_STREAM, {"x-request-id": ticket.request_id})
        if reply.call.chat:
            await responder.chunk(reply.opening())
        async for token in self._engine.write(ticket, answer, faults):
            reason = answer.finish_reason if ticket.made == len(answer.tokens) else None
            await responder.chunk(reply.token(token, ticket.made, reason))
        if not answer.tokens:
            await responder.chunk(reply.token("", 0, answer.finish_reason))
        await responder.chunk(reply.closing(ticket.made))
        await responder.close_stream()

    async def _whole(
        self, responder: Responder, reply: replies.Reply, ticket: Ticket, answer: Answer, faults: Drawn
    ) -> None:
        """Send an answer in one piece."""
        tokens = [token async for token in self._engine.write(ticket, answer, faults)]
        body = reply.whole("".join(tokens), len(tokens), answer.finish_reason)
        await responder.json(200, body, {"x-request-id": ticket.request_id})


async def _break(kind: str, responder: Responder, ticket: Ticket) -> None:
    """End an answer as a broken engine does: by an error, by a reset, or not at all."""
    logger.error("request %s broke after %d tokens: %s", ticket.request_id, ticket.made, kind)
    responder.broken = True
    if kind == "stall_after":
        await for_ever()
    if kind == "reset_after":
        responder.reset()
        return
    error = ApiError(500, "InternalServerError", "EngineCore encountered an issue. See stack trace for the root cause.")
    if responder.status is None:
        raise error
    await responder.chunk(replies.event(error.body()) + replies.DONE)
    await responder.close_stream()
