# SPDX-License-Identifier: MIT
"""The OpenAI API as it goes out: whole answers, the chunks of a stream, usage and errors."""

from __future__ import annotations

import json
from dataclasses import dataclass

from engine_sim.api import Call

DONE = b"data: [DONE]\n\n"


def event(value: object) -> bytes:
    """Return a value as one server-sent event."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


@dataclass(frozen=True)
class Reply:
    """Build the answers to one call; `created` is Unix time in seconds."""

    call: Call
    request_id: str
    model: str
    created: int

    def usage(self, completion_tokens: int) -> dict[str, int]:
        """Return the usage object for the tokens made so far."""
        return {
            "prompt_tokens": self.call.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": self.call.prompt_tokens + completion_tokens,
        }

    def whole(self, text: str, completion_tokens: int, finish_reason: str) -> dict[str, object]:
        """Return a whole answer."""
        said: dict[str, object] = {"text": text}
        if self.call.chat:
            said = {"message": {"role": "assistant", "content": text}}
        return {
            **self._frame("chat.completion" if self.call.chat else "text_completion"),
            "choices": [self._choice(said, finish_reason)],
            "usage": self.usage(completion_tokens),
        }

    def opening(self) -> bytes:
        """Return what a stream says before its first token: the role in a chat, else nothing."""
        return self._chunk({"delta": {"role": "assistant", "content": ""}}, None, 0) if self.call.chat else b""

    def token(self, text: str, made: int, finish_reason: str | None) -> bytes:
        """Return the event of one token; made counts the tokens up to this one."""
        said: dict[str, object] = {"delta": {"content": text}} if self.call.chat else {"text": text}
        return self._chunk(said, finish_reason, made)

    def closing(self, made: int) -> bytes:
        """Return what a whole stream says after its last token: usage when asked for, and the end mark."""
        if not self.call.include_usage:
            return DONE
        return event({**self._frame(self._chunk_object), "choices": [], "usage": self.usage(made)}) + DONE

    def _chunk(self, said: dict[str, object], finish_reason: str | None, made: int) -> bytes:
        chunk = {**self._frame(self._chunk_object), "choices": [self._choice(said, finish_reason)]}
        if self.call.continuous_usage:
            chunk["usage"] = self.usage(made)
        elif self.call.include_usage:
            chunk["usage"] = None
        return event(chunk)

    @property
    def _chunk_object(self) -> str:
        return "chat.completion.chunk" if self.call.chat else "text_completion"

    def _frame(self, kind: str) -> dict[str, object]:
        return {"id": self.request_id, "object": kind, "created": self.created, "model": self.model}

    def _choice(self, said: dict[str, object], finish_reason: str | None) -> dict[str, object]:
        return {"index": 0, **said, "logprobs": None, "finish_reason": finish_reason, "stop_reason": None}
