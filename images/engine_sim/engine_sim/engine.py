# SPDX-License-Identifier: MIT
"""The engine proper: it admits requests, reads prompts and writes tokens at its pace, and measures itself."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from engine_sim import kv, text
from engine_sim.admission import Admission, QueueFullError
from engine_sim.api import ApiError, Call
from engine_sim.faults import Drawn
from engine_sim.metrics import EngineMetrics, Finished
from engine_sim.settings import Settings


class BreakError(Exception):
    """A fault ends the answer here; `kind` is error_after, reset_after or stall_after."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass
class Ticket:
    """How far one request has come; times are those of the monotonic clock."""

    request_id: str
    prompt_tokens: int
    arrived: float
    admitted: float = 0.0
    read: float = 0.0
    last_token: float = 0.0
    made: int = 0
    finish_reason: str = "abort"


class Engine:
    """One engine: its places, its pace, its metrics."""

    def __init__(self, settings: Settings, metrics: EngineMetrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.admission = Admission(settings.max_concurrency, settings.max_queue)
        self._jitter = random.Random(f"jitter{settings.seed}{settings.name}")
        self._tokens_held = 0

    @asynccontextmanager
    async def work(self, request_id: str, prompt_tokens: int) -> AsyncIterator[Ticket]:
        """Hold a place for a request; its end is counted by the ticket's finish_reason, `abort` if none was set."""
        ticket = Ticket(request_id, prompt_tokens, time.monotonic())
        try:
            await self.admission.enter()
        except QueueFullError:
            raise ApiError(
                503, "ServiceUnavailableError", "The request queue is full.", headers={"retry-after": "1"}
            ) from None
        ticket.admitted = ticket.read = time.monotonic()
        self._tokens_held += prompt_tokens
        try:
            yield ticket
        except ApiError:
            ticket.finish_reason = "error"
            raise
        finally:
            self._tokens_held -= prompt_tokens + ticket.made
            self.admission.leave()
            self._count(ticket)

    async def read_prompt(self, ticket: Ticket) -> None:
        """Take the time that reading the prompt takes."""
        await asyncio.sleep(ticket.prompt_tokens / self.settings.prefill_tokens_per_s)
        ticket.read = time.monotonic()
        self.metrics.prompt.add(self.metrics.registry.labels, ticket.prompt_tokens)

    def compute_kv(self, prompt: str) -> kv.Kv:
        """Return the KV cache of a prompt under this engine's model."""
        settings = self.settings
        return kv.compute(settings.model, prompt, text.count_tokens(prompt), settings.kv_bytes_per_token)

    def answer(self, call: Call, cache: kv.Kv, faults: Drawn) -> text.Answer:
        """Return the answer that follows from a KV cache, as the faults of the request leave it."""
        if faults.on("zero_tokens"):
            return text.Answer((), "stop")
        source = f"{cache.digest}:{self.settings.seed if call.seed is None else call.seed}"
        end = 0.0 if call.ignore_eos else self.settings.end_probability
        written = text.write(source, call.max_tokens, minimum=call.min_tokens, end_probability=end)
        return text.spoil(written, source) if faults.on("garbage") else text.cut_at(written, call.stops)

    async def write(self, ticket: Ticket, answer: text.Answer, faults: Drawn) -> AsyncIterator[str]:
        """Yield the tokens of an answer at the engine's pace; BreakError where a fault ends it."""
        break_at, break_kind = _break_of(answer, faults)
        due = time.monotonic() + faults.amount("slow_ttft")
        for place, token in enumerate(answer.tokens):
            if place == break_at:
                raise BreakError(break_kind)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._count_token(ticket)
            yield token
            due = max(due + self._interval_s(), ticket.last_token)
        if len(answer.tokens) == break_at:
            raise BreakError(break_kind)

    def scrape(self) -> str:
        """Return the engine's metrics as scrape text."""
        metrics, labels = self.metrics, self.metrics.registry.labels
        metrics.running.set(labels, self.admission.running)
        metrics.waiting.set(labels, self.admission.waiting)
        metrics.kv_usage.set(labels, min(1.0, self._tokens_held / self.settings.kv_capacity_tokens))
        return metrics.registry.render()

    def _interval_s(self) -> float:
        """Return the time to the next token."""
        return self.settings.itl_ms / 1000 * (1 + self.settings.jitter * self._jitter.uniform(-1, 1))

    def _count_token(self, ticket: Ticket) -> None:
        """Count one token of a request."""
        now = time.monotonic()
        if ticket.made == 0:
            self.metrics.first_token(now - ticket.arrived)
        else:
            self.metrics.next_token(now - ticket.last_token)
        ticket.made += 1
        ticket.last_token = now
        self._tokens_held += 1

    def _count(self, ticket: Ticket) -> None:
        """Count a request that ended."""
        now = time.monotonic()
        self.metrics.finished(
            Finished(
                finish_reason=ticket.finish_reason,
                prompt_tokens=ticket.prompt_tokens,
                output_tokens=ticket.made,
                e2e_s=now - ticket.arrived,
                queue_s=ticket.admitted - ticket.arrived,
                prefill_s=ticket.read - ticket.admitted,
                decode_s=now - ticket.read,
            )
        )


def _break_of(answer: text.Answer, faults: Drawn) -> tuple[int, str]:
    """Return after how many tokens a fault ends the answer, and which one; -1 when none does.

    An answer that is no longer than that breaks before its last token, so it never looks whole.
    """
    breaks = [(faults.count(kind), kind) for kind in ("error_after", "reset_after", "stall_after")]
    wanted = min(((count, kind) for count, kind in breaks if count is not None), default=(-1, ""))
    return (min(wanted[0], max(0, len(answer.tokens) - 1)), wanted[1]) if wanted[1] else (-1, "")
