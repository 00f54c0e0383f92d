# SPDX-License-Identifier: MIT
"""The OpenAI API as it comes in: a request body becomes a Call, or an error a client understands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from engine_sim.text import count_tokens

CHAT_DEFAULT_TOKENS = 64
COMPLETION_DEFAULT_TOKENS = 16


class ApiError(Exception):
    """A request is answered with an error: `status`, OpenAI's `kind` of it, and headers such as Retry-After."""

    def __init__(self, status: int, kind: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.headers = dict(headers or {})

    def body(self) -> dict[str, object]:
        """Return the error object, the same in a whole answer and in a stream."""
        return {"error": {"message": str(self), "type": self.kind, "param": None, "code": self.status}}


@dataclass(frozen=True)
class Call:
    """What a client asks for; `transfer` names the KV that a prefill worker has sent ahead."""

    chat: bool
    prompt: str
    prompt_tokens: int
    max_tokens: int
    min_tokens: int
    ignore_eos: bool
    stops: tuple[str, ...]
    seed: int | None
    stream: bool
    include_usage: bool
    continuous_usage: bool
    transfer: Mapping[str, object] | None


def parse_object(body: bytes) -> dict[str, object]:
    """Return a request body as a JSON object."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "BadRequestError", f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ApiError(400, "BadRequestError", f"the body must be a JSON object, got {type(value).__name__}")
    return value


def parse_call(body: bytes, *, chat: bool, model: str, max_model_len: int) -> Call:
    """Return what a completions or chat body asks for, its lengths within the model's context."""
    fields = parse_object(body)
    _check_model(fields, model)
    prompt = _chat_prompt(fields) if chat else _completion_prompt(fields)
    prompt_tokens = count_tokens(prompt)
    limit = _token_limit(fields, chat)
    room = max_model_len - prompt_tokens
    if prompt_tokens < 1:
        raise ApiError(400, "BadRequestError", "The prompt is empty.")
    if room < 1 or (limit is not None and limit > room):
        raise ApiError(
            400,
            "BadRequestError",
            f"This model's maximum context length is {max_model_len} tokens. However, you requested "
            f"{limit or 0} output tokens and your prompt contains {prompt_tokens} tokens.",
        )
    default = CHAT_DEFAULT_TOKENS if chat else COMPLETION_DEFAULT_TOKENS
    options = fields.get("stream_options")
    options = options if isinstance(options, dict) else {}
    transfer = fields.get("kv_transfer_params")
    return Call(
        chat=chat,
        prompt=prompt,
        prompt_tokens=prompt_tokens,
        max_tokens=min(default, room) if limit is None else limit,
        min_tokens=_integer(fields, "min_tokens", 0) or 0,
        ignore_eos=fields.get("ignore_eos") is True,
        stops=_stops(fields),
        seed=_integer(fields, "seed", None),
        stream=fields.get("stream") is True,
        include_usage=options.get("include_usage") is True,
        continuous_usage=options.get("continuous_usage_stats") is True,
        transfer=transfer if isinstance(transfer, dict) else None,
    )


def _check_model(fields: Mapping[str, object], model: str) -> None:
    """Refuse a model that is not served, and several answers at once."""
    if fields.get("model", model) != model:
        raise ApiError(404, "NotFoundError", f"The model `{fields['model']}` does not exist.")
    if fields.get("n", 1) not in (1, None):
        raise ApiError(400, "BadRequestError", f"n must be 1, got {fields['n']!r}")


def _completion_prompt(fields: Mapping[str, object]) -> str:
    """Return the prompt of a completion: a string, a list of one string, or a list of token numbers."""
    prompt = fields.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], (str, list)):
        prompt = prompt[0]
    if isinstance(prompt, list) and prompt and all(isinstance(token, int) for token in prompt):
        return " ".join(str(token) for token in prompt)
    if isinstance(prompt, str):
        return prompt
    raise ApiError(400, "BadRequestError", "prompt must be one string or one list of token numbers")


def _chat_prompt(fields: Mapping[str, object]) -> str:
    """Return the messages of a chat as one prompt."""
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "BadRequestError", "messages must be a list of at least one message")
    return "".join(_message_text(message) for message in messages) + "<assistant>"


def _message_text(message: object) -> str:
    """Return one chat message as text; content is a string or a list of text parts."""
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise ApiError(400, "BadRequestError", "each message must be an object with a role")
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return f"<{message['role']}>{content or ''}\n"


def _token_limit(fields: Mapping[str, object], chat: bool) -> int | None:
    """Return the wanted number of output tokens, None when the client leaves it open."""
    names = ("max_completion_tokens", "max_tokens") if chat else ("max_tokens",)
    for name in names:
        limit = _integer(fields, name, None)
        if limit is not None:
            if limit < 1:
                raise ApiError(400, "BadRequestError", f"{name} must be at least 1, got {limit}.")
            return limit
    return None


def _stops(fields: Mapping[str, object]) -> tuple[str, ...]:
    """Return the stop strings of a request."""
    stop = fields.get("stop")
    stops = [stop] if isinstance(stop, str) else stop
    if stops is None:
        return ()
    if not isinstance(stops, list) or not all(isinstance(text, str) and text for text in stops):
        raise ApiError(400, "BadRequestError", "stop must be a string or a list of strings")
    return tuple(stops)


def _integer(fields: Mapping[str, object], name: str, default: int | None) -> int | None:
    """Return an integer field; null means absent."""
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise ApiError(400, "BadRequestError", f"{name} must be an integer, got {value!r}")
    return value
