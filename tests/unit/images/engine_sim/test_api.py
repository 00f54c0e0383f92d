# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
from typing import Any

import pytest
from engine_sim.api import ApiError, Call, parse_call


def parse(fields: object, *, chat: bool = False) -> Call:
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return parse_call(body, chat=chat, model="sim", max_model_len=100)


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"prompt": "a b c"}, "prompt_tokens", 3),
        ({"prompt": ["a b"]}, "prompt", "a b"),
        ({"prompt": [1, 2, 3]}, "prompt_tokens", 3),
        ({"prompt": [[4, 5]]}, "prompt_tokens", 2),
        ({"prompt": "a"}, "max_tokens", 16),
        ({"prompt": "a", "max_tokens": None}, "max_tokens", 16),
        ({"prompt": "a", "max_tokens": 7}, "max_tokens", 7),
        ({"prompt": "a", "seed": 3}, "seed", 3),
        ({"prompt": "a"}, "seed", None),
        ({"prompt": "a", "stop": "x"}, "stops", ("x",)),
        ({"prompt": "a", "stop": ["x", "y"]}, "stops", ("x", "y")),
        ({"prompt": "a", "stream": True}, "stream", True),
        ({"prompt": "a", "stream_options": {"include_usage": True}}, "include_usage", True),
        ({"prompt": "a", "stream_options": {"continuous_usage_stats": True}}, "continuous_usage", True),
        ({"prompt": "a", "ignore_eos": True}, "ignore_eos", True),
        ({"prompt": "a", "temperature": 0.5, "a_new_key": {}}, "prompt", "a"),
        ({"prompt": "a", "n": 1}, "prompt", "a"),
        ({"prompt": "a", "kv_transfer_params": {"request_id": "x"}}, "transfer", {"request_id": "x"}),
    ],
)
def test_a_completion_is_read(fields: dict[str, Any], attribute: str, value: object) -> None:
    assert getattr(parse(fields), attribute) == value


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({}, "max_tokens", 64),
        ({"max_completion_tokens": 5, "max_tokens": 9}, "max_tokens", 5),
        ({"max_tokens": 9}, "max_tokens", 9),
        ({}, "prompt", "<user>hi\n<assistant>"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]},
            "prompt",
            "<user>ab\n<assistant>",
        ),
    ],
)
def test_a_chat_is_read(fields: dict[str, Any], attribute: str, value: object) -> None:
    assert getattr(parse({"messages": [{"role": "user", "content": "hi"}], **fields}, chat=True), attribute) == value


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        (b"{", 400, "not JSON"),
        (b"[" * 100_000, 400, "not JSON"),
        ([], 400, "must be a JSON object, got list"),
        ({}, 400, "prompt must be one string"),
        ({"prompt": ""}, 400, "empty"),
        ({"prompt": ["a", "b"]}, 400, "prompt must be one string"),
        ({"prompt": "a", "model": "gpt"}, 404, "The model `gpt` does not exist"),
        ({"prompt": "a", "max_tokens": 0}, 400, "max_tokens must be at least 1, got 0"),
        ({"prompt": "a", "max_tokens": "many"}, 400, "max_tokens must be an integer, got 'many'"),
        ({"prompt": "a", "max_tokens": True}, 400, "max_tokens must be an integer, got True"),
        ({"prompt": "a", "max_tokens": 100}, 400, "maximum context length is 100 tokens"),
        ({"prompt": "a " * 120}, 400, "your prompt contains 121 tokens"),
        ({"prompt": "a", "stop": [3]}, 400, "stop must be"),
        ({"prompt": "a", "n": 2}, 400, "n must be 1, got 2"),
    ],
)
def test_a_bad_completion_is_refused_with_the_reason(fields: object, status: int, message: str) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        parse(fields)
    assert caught.value.status == status
    error = caught.value.body()["error"]
    assert isinstance(error, dict)
    assert error["code"] == status


@pytest.mark.parametrize("messages", [None, [], "hi", ["hi"], [{"content": "hi"}]])
def test_a_chat_without_messages_is_refused(messages: object) -> None:
    with pytest.raises(ApiError, match="message"):
        parse({"messages": messages}, chat=True)
