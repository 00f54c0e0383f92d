# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One request from its body to its record: what is sent, what came back, and when."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import NAME, VERSION
from .answer import Answer, ErrorReader, StreamReader, WholeReader, reader_for
from .client import Client
from .config import LoadConfig
from .errors import LoadError, as_load_error
from .http1 import Head, request_bytes
from .redact import by_value


@dataclass
class Exchange:
    """The answer of one request while it comes in."""

    answer: Answer = field(default_factory=Answer)
    head: Head | None = None
    reader: StreamReader | WholeReader | ErrorReader | None = None

    @property
    def streamed(self) -> bool:
        """Tell whether the answer came as a stream; one that came whole has no first token and no gaps."""
        return isinstance(self.reader, StreamReader)

    @property
    def done(self) -> bool:
        """Tell whether the content is complete, or cannot become so."""
        return self.answer.done_at is not None or self.answer.error is not None

    def on_head(self, head: Head) -> None:
        """Choose how the body is read."""
        self.head = head
        self.reader = reader_for(self.answer, head.status, head.headers)

    def on_body(self, piece: bytes, now: float) -> None:
        """Read body bytes."""
        if self.reader is not None:
            self.reader.feed(piece, now)


@dataclass(frozen=True)
class Timing:
    """Which request it is, when it was due and when it was sent, in seconds from the start of the load.

    held_s: how long it was held for an adaptive rate; attempts, refused: how often it was sent, and refused for overload.
    Of several attempts all other figures are those of the last.
    """

    index: int
    scheduled: float
    sent: float
    held_s: float = 0.0
    attempts: int = 1
    refused: int = 0


def body_of(config: LoadConfig, prompt: str) -> bytes:
    """Return the JSON body of a request for prompt."""
    chat = config["api"] == "chat"
    said: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}]} if chat else {"prompt": prompt}
    body = {"model": config["model"], **said, "max_tokens": config["max_tokens"], "temperature": 0.0}
    body["stream"] = config["stream"]
    if config["stream"]:
        body["stream_options"] = {"include_usage": True}
    if config["ignore_eos"]:
        body["ignore_eos"] = True
    return json.dumps({**body, **(config["extra_body"] or {})}).encode()


def payload_of(config: LoadConfig, prompt: str) -> bytes:
    """Return a request for prompt as it goes over the wire."""
    headers = {
        "Host": config.target.authority,
        "User-Agent": f"{NAME}/{VERSION}",
        "Accept": "text/event-stream" if config["stream"] else "application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "Connection": "keep-alive" if config["keep_alive"] else "close",
    }
    if config.api_key:
        headers["Authorization"] = f"Bearer {config.api_key}"
    return request_bytes("POST", config.target.api_path(config["api"]), headers, body_of(config, prompt))


async def perform(client: Client, payload: bytes, exchange: Exchange, timeout_s: float) -> LoadError | None:
    """Send payload, fill exchange, and return why the request failed; None when it is complete."""
    try:
        await client.send(payload, exchange, timeout_s)
        if exchange.reader is not None and exchange.answer.done_at is None:
            exchange.reader.close(client.clock())
    except (LoadError, OSError) as exc:
        if isinstance(exchange.reader, ErrorReader):
            exchange.reader.close(client.clock())
        return exchange.answer.error or as_load_error(exc, "the request failed")
    return exchange.answer.judged()


def record_of(
    config: LoadConfig, timing: Timing, exchange: Exchange, error: LoadError | None, *, end: float, start: float
) -> dict[str, Any]:
    """Return the line of requests.jsonl for a request that ended at end (s from the start).

    start: the load's start on the clock of the exchange, whose times of tokens are absolute.
    Times are seconds from the start, rounded to microseconds; what was not measured is null, never 0.
    """
    answer, times = exchange.answer, exchange.answer.chunk_times
    first = round(times[0] - start, 6) if times and exchange.streamed else None
    sent, end = round(timing.sent, 6), round(end, 6)
    tokens = answer.completion_tokens or len(times)
    return {
        "index": timing.index,
        "run_id": config.stamp.run_id,
        "case": config.stamp.case,
        "attempt": config.stamp.attempt,
        "scheduled_s": round(timing.scheduled, 6),
        "sent_s": sent,
        "held_s": round(timing.held_s, 6),
        "attempts": timing.attempts,
        "refused": timing.refused,
        "first_token_s": first,
        "end_s": end,
        "ok": error is None,
        "status": exchange.head.status if exchange.head else None,
        "error": by_value(error.message, config.api_key)[:500] if error else None,
        "error_kind": error.kind if error else None,
        "retry_after_s": error.retry_after_s if error else None,
        "prompt_tokens": answer.prompt_tokens,
        "output_tokens": tokens,
        "tokens_estimated": bool(times) and not answer.completion_tokens,
        "no_tokens": error is None and not times,
        "chunks": len(times),
        "finish_reason": answer.finish_reason,
        "ttft_ms": None if first is None else round((first - sent) * 1000, 3),
        "e2e_ms": round((end - sent) * 1000, 3) if error is None else None,
        "itl_ms": gaps_ms(times) if exchange.streamed else [],
    }


def gaps_ms(times: list[float]) -> list[float]:
    """Return the gaps between following times (s) in ms."""
    return [round((after - before) * 1000, 3) for before, after in zip(times, times[1:])]


def end_of(exchange: Exchange, now: float) -> float:
    """Return when a request ended: at the server's end mark when there was one, else now."""
    return exchange.answer.done_at if exchange.answer.done_at is not None else now


def headline(record: Mapping[str, Any]) -> str:
    """Return a failed record as one line for the screen."""
    return f"request {record['index']} failed ({record['error_kind']}): {record['error']}"
