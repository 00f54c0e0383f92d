# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server answered: tokens and their times, usage, the finish reason, and the error that came after a 200."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .complaints import kind_of_text
from .errors import LoadError
from .pace.hints import OVERLOADED, asked_wait_s
from .sse import Event, SseError, SseParser

MAX_WHOLE_BYTES = 16 * 1024 * 1024
MAX_ERROR_TEXT = 500
GIVEN_UP = ("abort", "error")


@dataclass
class Answer:
    """One answer as it grows. Times are those of the clock the caller uses, in seconds.

    chunk_times: one for each piece that carried text; done_at: when the server said that the stream is complete.
    """

    chunk_times: list[float] = field(default_factory=list)
    done_at: float | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    error: LoadError | None = None

    def take(self, data: Any, now: float) -> None:
        """Take in one JSON object of the stream, or the whole answer when it was not streamed."""
        if not isinstance(data, dict):
            problem = f"the answer is a {type(data).__name__}, not an object"
            self.error = self.error or LoadError("response_invalid", problem)
            return
        error = data.get("error") or (data if data.get("object") == "error" else None)
        if error:
            self.error = self.error or server_error(error, 200)
            return
        self._usage(data.get("usage"))
        choices = data.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            self._choice(choice if isinstance(choice, dict) else {}, now)

    def _choice(self, choice: Mapping[str, Any], now: float) -> None:
        if has_text(choice):
            self.chunk_times.append(now)
        reason = choice.get("finish_reason")
        if reason is not None:
            self.finish_reason = str(reason)[:100]

    def _usage(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self.prompt_tokens = token_count(usage.get("prompt_tokens"), self.prompt_tokens)
            self.completion_tokens = token_count(usage.get("completion_tokens"), self.completion_tokens)

    def judged(self) -> LoadError | None:
        """Return why this answer, whose transfer is over, is a failure; None when it is complete."""
        if self.error:
            return self.error
        if self.finish_reason in GIVEN_UP:
            return LoadError("http_5xx", f"the engine gave the request up: finish_reason is {self.finish_reason!r}")
        if self.done_at is None and self.finish_reason is None:
            ended = f"the answer ended after {len(self.chunk_times)} content chunks"
            return LoadError("response_invalid", f"{ended} without [DONE] and without a finish_reason")
        return None


def has_text(choice: Mapping[str, Any]) -> bool:
    """Tell whether a choice of a chunk or of a whole answer carries generated content."""
    said = choice.get("delta") or choice.get("message") or {}
    parts = [choice.get("text")]
    if isinstance(said, dict):
        parts += [said.get(key) for key in ("content", "reasoning_content", "reasoning", "tool_calls")]
    return any(parts)


def token_count(value: Any, default: int | None) -> int | None:
    """Return value when it can be a number of tokens, else default."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default


def server_error(error: Any, status: int) -> LoadError:
    """Return the failure that a server's error object or text stands for."""
    code = error.get("code") if isinstance(error, dict) else None
    text = error.get("message") if isinstance(error, dict) else error
    text = (text if isinstance(text, str) else json.dumps(error, default=str))[:MAX_ERROR_TEXT]
    number = str(code) if str(code).isascii() and str(code).isdigit() else str(status)
    kind = kind_of_text(text) or kind_of_status(int(number[:4])) or "http_5xx"
    after = "the stream ended in an error after HTTP 200" if status == 200 else f"HTTP {status}"
    return LoadError(kind, f"{after}: {text}" if text else after)


def kind_of_status(status: int) -> str:
    """Return the kind of an HTTP status, or "" for a success."""
    if 300 <= status < 400:
        return "request_blocked"
    if status in OVERLOADED:
        return "overloaded"
    if 400 <= status < 500:
        return "http_4xx"
    return "http_5xx" if status >= 500 else ""


class StreamReader:
    """Read a streamed answer out of body bytes."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._parser = SseParser()

    def feed(self, piece: bytes, now: float) -> None:
        """Take in body bytes that arrived at now."""
        self._guarded(self._parser.feed, now, piece)

    def close(self, now: float) -> None:
        """Take in what is left when the body is complete."""
        self._guarded(self._parser.close, now)

    def _guarded(self, parse: Any, now: float, *args: bytes) -> None:
        try:
            events = parse(*args)
        except SseError as exc:
            self._answer.error = self._answer.error or LoadError("response_invalid", str(exc))
            return
        for event in events:
            self._event(event, now)

    def _event(self, event: Event, now: float) -> None:
        answer = self._answer
        if answer.done_at is not None or answer.error:
            return
        if event.data.strip() == "[DONE]":
            answer.done_at = now
            return
        try:
            data = json.loads(event.data)
        except (ValueError, RecursionError):
            data = None
        if event.type == "error":
            answer.error = server_error(data.get("error", data) if isinstance(data, dict) else event.data, 200)
        elif data is None:
            answer.error = LoadError("response_invalid", f"an event of the stream is not JSON: {event.data[:120]!r}")
        else:
            answer.take(data, now)


class WholeReader:
    """Read an answer that is not streamed: one JSON object, known when the body is complete."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes, now: float) -> None:
        """Keep body bytes; more than 16 MiB is an error."""
        self._size += len(piece)
        if self._size <= MAX_WHOLE_BYTES:
            self._pieces.append(piece)

    def close(self, now: float) -> None:
        """Take in the whole body, which ended at now."""
        if self._size > MAX_WHOLE_BYTES:
            self._answer.error = LoadError("response_invalid", f"the answer is larger than {MAX_WHOLE_BYTES} bytes")
            return
        body = b"".join(self._pieces)
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            self._answer.error = LoadError("response_invalid", f"the answer is not JSON: {body[:120]!r}")
            return
        self._answer.take(data, now)
        self._answer.done_at = now if self._answer.finish_reason else None


class ErrorReader:
    """Read the body of an answer that is no success, for its text."""

    def __init__(self, answer: Answer, status: int, headers: Mapping[str, str]) -> None:
        self._answer = answer
        self._status = status
        self._headers = headers
        self._body = b""

    def feed(self, piece: bytes, now: float) -> None:
        """Keep the first 64 KiB."""
        self._body = (self._body + piece)[: 64 * 1024] if len(self._body) < 64 * 1024 else self._body

    def close(self, now: float) -> None:
        """Turn status, what it asks for and body into the answer's error."""
        if 300 <= self._status < 400:
            goal = self._headers.get("location", "nowhere")[:200]
            self._answer.error = LoadError("request_blocked", f"HTTP {self._status}: redirect to {goal!r} refused")
            return
        error = server_error(self._object(), self._status)
        error.kind = kind_of_text(error.message) or kind_of_status(self._status) or "response_invalid"
        error.retry_after_s = asked_wait_s(self._headers, time.time())
        self._answer.error = error

    def _object(self) -> Any:
        text = self._body.decode("utf-8", "replace").strip()
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            return text
        return data.get("error", data) if isinstance(data, dict) else text


def reader_for(answer: Answer, status: int, headers: Mapping[str, str]) -> StreamReader | WholeReader | ErrorReader:
    """Return the reader that fits an answer's status and content type."""
    if status != 200:
        return ErrorReader(answer, status, headers)
    if headers.get("content-type", "").lower().startswith("text/event-stream"):
        return StreamReader(answer)
    return WholeReader(answer)
