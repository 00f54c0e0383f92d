# SPDX-License-Identifier: MIT
from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

CHAT = {"model": "sim", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}


def test_a_completion_has_as_many_tokens_as_asked_for(sims: Any) -> None:
    answer = sims.start().complete("one two three", tokens=5)
    assert answer.status == 200
    assert answer.json["object"] == "text_completion"
    assert answer.json["choices"][0]["finish_reason"] == "length"
    assert answer.json["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    assert len(answer.text.split()) == 5


def test_a_stream_says_the_same_as_a_whole_answer(sims: Any) -> None:
    sim = sims.start()
    assert sim.stream().text == sim.complete().text


def test_a_stream_ends_with_reason_usage_and_done(sims: Any) -> None:
    answer = sims.start().stream("one two", tokens=3)
    *tokens, usage, done = answer.events
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [event["choices"][0]["finish_reason"] for event in tokens] == [None, None, "length"]
    assert all(event["usage"] is None for event in tokens)
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    assert done == "[DONE]"


@pytest.mark.parametrize(
    ("options", "usages"),
    [
        (None, []),
        ({"include_usage": False}, []),
        ({"include_usage": True, "continuous_usage_stats": True}, [1, 2, 2]),
    ],
)
def test_usage_is_sent_when_asked_for(sims: Any, options: object, usages: list[int]) -> None:
    events = sims.start().complete(tokens=2, stream=True, stream_options=options).events
    assert [event["usage"]["completion_tokens"] for event in events[:-1] if event.get("usage")] == usages


def test_a_chat_answers_as_the_assistant(sims: Any) -> None:
    sim = sims.start()
    whole = sim.ask("/v1/chat/completions", CHAT).json
    events = sim.ask("/v1/chat/completions", {**CHAT, "stream": True}).events
    deltas = [event["choices"][0]["delta"] for event in events[:-1]]
    assert whole["object"] == "chat.completion"
    assert whole["choices"][0]["message"]["role"] == "assistant"
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta["content"] for delta in deltas) == whole["choices"][0]["message"]["content"]
    assert events[0]["object"] == "chat.completion.chunk"
    assert events[-2]["choices"][0]["finish_reason"] == "length"


def test_prompt_and_seed_decide_the_tokens(sims: Any) -> None:
    first, second, other = sims.start(), sims.start(), sims.start(seed=1)
    assert first.complete("a").text == second.complete("a").text
    assert first.complete("a").text != first.complete("b").text
    assert first.complete("a").text != other.complete("a").text
    assert first.complete("a", seed=1).text == other.complete("a").text


def test_an_answer_may_stop_by_itself_unless_told_not_to(sims: Any) -> None:
    sim = sims.start(end_probability=1.0)
    assert sim.complete(tokens=9).json["usage"]["completion_tokens"] == 1
    assert sim.complete(tokens=9).json["choices"][0]["finish_reason"] == "stop"
    assert sim.complete(tokens=9, min_tokens=4).json["usage"]["completion_tokens"] == 4
    assert sim.complete(tokens=9, ignore_eos=True).json["usage"]["completion_tokens"] == 9


def test_a_stop_string_ends_the_answer(sims: Any) -> None:
    sim = sims.start()
    second = sim.complete(tokens=4).text.split()[1]
    cut = sim.complete(tokens=4, stop=[second])
    assert second not in cut.text
    assert cut.json["choices"][0]["finish_reason"] == "stop"


def test_models_health_and_version_are_told(sims: Any) -> None:
    sim = sims.start(model="m", max_model_len=123)
    model = sim.ask("/v1/models").json["data"][0]
    assert (model["id"], model["max_model_len"]) == ("m", 123)
    assert sim.ask("/health").json == {"status": "ok", "role": "single", "name": "single"}
    assert sim.ask("/version").json["version"]


@pytest.mark.parametrize(("given", "kept"), [("req-1.a_B", True), ("two words", False), ("x" * 200, False)])
def test_a_request_id_is_kept_when_it_is_a_plain_word(sims: Any, given: str, kept: bool) -> None:
    answer = sims.start().complete(headers={"X-Request-Id": given})
    assert (answer.headers["x-request-id"] == given) is kept
    assert answer.json["id"] == "cmpl-" + answer.headers["x-request-id"]


def test_errors_are_objects_that_clients_know(sims: Any) -> None:
    sim = sims.start()
    answer = sim.complete(model="gpt")
    assert answer.status == 404
    assert answer.json["error"]["type"] == "NotFoundError"
    assert sim.ask("/v1/completions", "{").status == 400


def test_metrics_have_the_names_of_vllm_and_count(sims: Any) -> None:
    sim = sims.start()
    sim.complete("one two three", tokens=5)
    sim.stream("one two", tokens=1)
    names = [
        ("vllm:num_requests_running", 0),
        ("vllm:num_requests_waiting", 0),
        ("vllm:kv_cache_usage_perc", 0),
        ("vllm:prompt_tokens_total", 5),
        ("vllm:generation_tokens_total", 6),
        ("vllm:num_preemptions_total", 0),
        ("vllm:request_success_total", 2),
        ("vllm:time_to_first_token_seconds_count", 2),
        ("vllm:inter_token_latency_seconds_count", 4),
        ("vllm:time_per_output_token_seconds_count", 4),
        ("vllm:request_time_per_output_token_seconds_count", 1),
        ("vllm:e2e_request_latency_seconds_count", 2),
        ("vllm:request_queue_time_seconds_count", 2),
        ("vllm:request_prefill_time_seconds_count", 2),
        ("vllm:request_decode_time_seconds_count", 2),
        ("vllm:request_inference_time_seconds_count", 2),
        ("vllm:request_prompt_tokens_sum", 5),
        ("vllm:request_generation_tokens_sum", 6),
    ]
    assert [(name, sim.metric(name)) for name, _ in names] == names
    assert sim.metric('vllm:request_success_total{engine="0",model_name="sim",finished_reason="length"') == 0
    assert sim.metric("process_resident_memory_bytes") > 1 << 20
    assert sim.metric("process_open_fds") > 3


def test_speeds_are_kept(sims: Any) -> None:
    sim = sims.start(itl_ms=20.0, jitter=0.0, prefill_tokens_per_s=100.0)
    sim.complete("one two three four five", tokens=6)
    assert sim.metric("vllm:request_prefill_time_seconds_sum") >= 0.05
    assert sim.metric("vllm:request_decode_time_seconds_sum") >= 5 * 0.020
    assert sim.metric("vllm:inter_token_latency_seconds_sum") == pytest.approx(5 * 0.020, abs=0.05)


def test_more_requests_than_places_wait_and_one_too_many_is_refused(sims: Any) -> None:
    sim = sims.start("stall_after=0", max_concurrency=1, max_queue=1)
    body = json.dumps({"prompt": "a", "stream": True})
    held = [http.client.HTTPConnection(urlsplit(sim.url).netloc, timeout=10) for _ in range(2)]
    for connection, running, waiting in zip(held, (1, 1), (0, 1)):
        connection.request("POST", "/v1/completions", body)
        _until(lambda r=running, w=waiting: (_running(sim), sim.metric("vllm:num_requests_waiting")) == (r, w))
    refused = sim.complete()
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert refused.json["error"]["message"] == "The request queue is full."
    for connection in held:
        connection.close()
    _until(lambda: _running(sim) == 0 and sim.metric("vllm:num_requests_waiting") == 0)
    assert sim.metric("vllm:request_queue_time_seconds_count") >= 1


def test_a_client_that_goes_away_ends_its_request(sims: Any) -> None:
    sim = sims.start(itl_ms=50.0)
    parts = urlsplit(sim.url)
    body = json.dumps({"prompt": "a", "max_tokens": 8000, "stream": True}).encode()
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as sock:
        sock.sendall(b"POST /v1/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        assert _running(sim) == 1
    _until(lambda: _running(sim) == 0)
    aborted = 'vllm:request_success_total{engine="0",model_name="sim",finished_reason="abort"}'
    assert aborted + " 1" in sim.ask("/metrics").body.decode()


def test_a_request_at_work_may_finish_while_the_service_stops(sims: Any) -> None:
    sim = sims.start(itl_ms=10.0, jitter=0.0)
    answers: list[Any] = []
    client = threading.Thread(target=lambda: answers.append(sim.stream(tokens=20)))
    client.start()
    _until(lambda: _running(sim) == 1)
    begun = time.monotonic()
    sims.stop(sim)
    assert time.monotonic() - begun < 1.0
    client.join(5)
    assert answers[0].events[-1] == "[DONE]"


def _running(sim: Any) -> float:
    value: float = sim.metric("vllm:num_requests_running")
    return value


def _until(true: Any) -> None:
    """Ask again until it is true; fail after five seconds."""
    limit = time.monotonic() + 5
    while not true():
        assert time.monotonic() < limit, "it did not come true within 5 s"
