# SPDX-License-Identifier: MIT
"""Whole loads against an engine that behaves well or badly: what each request is recorded as."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from typing import Any

import pytest

TOKENS = ("a", "b", "c")


def good(wire: Any, *extra: object) -> bytes:
    """Return a stream of three tokens with usage."""
    return wire.streamed(
        *(wire.token(text) for text in TOKENS), wire.token("", "length"), *extra, wire.usage(7, 3), "[DONE]"
    )


def record_of(ran: Any) -> dict[str, Any]:
    assert len(ran.records) == 1
    return ran.records[0]


def test_a_good_answer_is_measured(cell: Any, wire: Any) -> None:
    ran = cell.load(
        wire.says(good(wire)), {"TESTCELL_RUN_ID": "20260101_000000", "TESTCELL_CASE": "c", "TESTCELL_ATTEMPT": "2"}
    )
    record = record_of(ran)
    assert ran.status == 0
    assert (record["ok"], record["status"], record["finish_reason"]) == (True, 200, "length")
    assert (record["prompt_tokens"], record["output_tokens"], record["chunks"], record["tokens_estimated"]) == (
        7,
        3,
        3,
        False,
    )
    assert 0 <= record["scheduled_s"] <= record["sent_s"] <= record["first_token_s"] <= record["end_s"]
    assert len(record["itl_ms"]) == 2
    assert record["e2e_ms"] >= record["ttft_ms"] >= 0
    assert [ran.benchmark[key] for key in ("run_id", "case", "attempt")] == ["20260101_000000", "c", 2]
    assert [record[key] for key in ("run_id", "case", "attempt")] == ["20260101_000000", "c", 2]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_chunk_boundaries_do_not_matter(cell: Any, wire: Any, size: int) -> None:
    answer = good(wire)

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        for place in range(0, len(answer), size):
            writer.write(answer[place : place + size])
            await writer.drain()
            await asyncio.sleep(0)

    record = record_of(cell.load(behave))
    assert (record["ok"], record["output_tokens"], record["chunks"]) == (True, 3, 3)


def test_events_split_over_http_chunks_are_joined(cell: Any, wire: Any) -> None:
    body = wire.sse(wire.token("ä"), wire.token("b", "stop"), wire.usage(1, 2), "[DONE]")
    pieces = [body[place : place + 5] for place in range(0, len(body), 5)]
    record = record_of(cell.load(wire.says(wire.head(Transfer_Encoding="chunked") + wire.chunked(*pieces))))
    assert (record["ok"], record["output_tokens"]) == (True, 2)


def test_a_slow_first_token_shows_in_ttft(cell: Any, wire: Any) -> None:
    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        await asyncio.sleep(0.15)
        writer.write(good(wire))

    assert record_of(cell.load(behave))["ttft_ms"] >= 150


def test_gaps_between_tokens_show_in_itl_and_e2e(cell: Any, wire: Any) -> None:
    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        writer.write(wire.head(Transfer_Encoding="chunked"))
        for text in TOKENS:
            event = wire.sse(wire.token(text))
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
            await writer.drain()
            await asyncio.sleep(0.06)
        writer.write(wire.chunked(wire.sse(wire.token("", "stop"), "[DONE]")))

    record = record_of(cell.load(behave))
    assert record["e2e_ms"] >= 179
    assert len(record["itl_ms"]) == 2
    assert record["ttft_ms"] + sum(record["itl_ms"]) <= record["e2e_ms"] + 0.01


def error_event(wire: Any, error: object) -> bytes:
    return wire.streamed(wire.token("a"), wire.token("b"), error, "[DONE]")


VLLM_ERROR = {"error": {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "code": 500}}
OLD_VLLM_ERROR = {"object": "error", "message": "boom", "type": "InternalServerError", "code": 500}
KV_ERROR = {"error": {"message": "Decode transfer failed for request 7: KVTransferError", "code": 500}}
FULL_ERROR = {"error": {"message": "The request queue is full.", "code": 503}}
TYPED = b'event: error\ndata: {"error": {"message": "no", "code": 429}}\n\n'
BAD_REQUEST = {"error": {"message": "context too long", "code": 400}}

# Behaviour, then the record's status, kind and content chunks.
FAILURES: dict[str, tuple[Any, int | None, str, int]] = {
    "error_after_200": (lambda w: error_event(w, VLLM_ERROR), 200, "engine_dead", 2),
    "error_after_200_old_form": (lambda w: error_event(w, OLD_VLLM_ERROR), 200, "http_5xx", 2),
    "error_after_200_kv": (lambda w: error_event(w, KV_ERROR), 200, "kv_transfer_failed", 2),
    "error_after_200_full": (lambda w: error_event(w, FULL_ERROR), 200, "overloaded", 2),
    "error_after_200_bad_request": (lambda w: error_event(w, BAD_REQUEST), 200, "http_4xx", 2),
    "error_after_200_text_only": (lambda w: error_event(w, {"error": "boom"}), 200, "http_5xx", 2),
    "error_after_200_event_type": (lambda w: w.head(Content_Length=len(TYPED)) + TYPED, 200, "overloaded", 0),
    "error_in_a_whole_answer": (lambda w: w.whole(VLLM_ERROR), 200, "engine_dead", 0),
    "engine_gave_up": (lambda w: w.streamed(w.token("a"), w.token("", "abort"), "[DONE]"), 200, "http_5xx", 1),
    "no_end_mark": (lambda w: w.streamed(w.token("a"), w.token("b")), 200, "response_invalid", 2),
    "no_end_mark_and_close": (lambda w: w.head(Connection="close") + w.sse(w.token("a")), 200, "response_invalid", 1),
    "not_json": (lambda w: w.streamed(w.token("a"), "{oops", "[DONE]"), 200, "response_invalid", 1),
    "json_list": (lambda w: w.streamed([1], "[DONE]"), 200, "response_invalid", 0),
    "whole_answer_not_json": (lambda w: w.whole(b"<html>"), 200, "response_invalid", 0),
    "whole_answer_without_finish": (lambda w: w.whole({"choices": [{"text": "a"}]}), 200, "response_invalid", 1),
    "not_http": (lambda w: b"SSH-2.0-OpenSSH_9.2\r\n", None, "response_invalid", 0),
    "gzip_although_not_accepted": (lambda w: w.whole({}, Content_Encoding="gzip"), None, "response_invalid", 0),
    "62_redirect": (lambda w: w.whole({}, 302, Location="http://169.254.169.254/"), 302, "request_blocked", 0),
    "bad_request": (lambda w: w.whole(BAD_REQUEST, 400), 400, "http_4xx", 0),
    "not_found": (lambda w: w.whole(b"nope", 404), 404, "http_4xx", 0),
    "too_many": (lambda w: w.whole({}, 429, Retry_After=3), 429, "overloaded", 0),
    "unavailable": (lambda w: w.whole({}, 503, Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"), 503, "overloaded", 0),
    "server_error": (lambda w: w.whole({"error": {"message": "x"}}, 500), 500, "http_5xx", 0),
    "server_error_kv": (lambda w: w.whole(KV_ERROR, 500), 500, "kv_transfer_failed", 0),
    "no_content": (lambda w: b"HTTP/1.1 204 No Content\r\n\r\n", 204, "response_invalid", 0),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
def test_bad_answer_is_a_failed_request_of_its_kind(cell: Any, wire: Any, name: str) -> None:
    answer, status, kind, chunks = FAILURES[name]

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        writer.write(answer(wire))
        if b"Connection: close" in answer(wire):
            await writer.drain()
            writer.close()

    ran = cell.load(behave)
    record = record_of(ran)
    assert (record["ok"], record["status"], record["error_kind"], record["chunks"]) == (False, status, kind, chunks)
    assert record["error"]
    assert record["e2e_ms"] is None
    assert ran.status == 1
    assert ran.benchmark["errors"] == {kind: 1}
    assert set(ran.benchmark["metrics"].values()) == {None}


def test_retry_after_is_recorded(cell: Any, wire: Any) -> None:
    assert record_of(cell.load(wire.says(wire.whole({}, 429, Retry_After=3))))["retry_after_s"] == 3.0


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(0, id="before_the_answer"),
        pytest.param(20, id="in_the_headers"),
        pytest.param(200, id="in_the_body"),
        pytest.param(-5, id="before_the_last_chunk"),
    ],
)
@pytest.mark.parametrize("abort", [True, False], ids=["reset", "close"])
def test_a_broken_connection_is_a_reset(cell: Any, wire: Any, written: int, abort: bool) -> None:
    answer = wire.streamed(wire.token("a"), wire.token("b"), wire.token("c", "stop"))

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        writer.write(answer[:written])
        await writer.drain()
        if abort:
            raise ConnectionResetError
        writer.close()
        await writer.wait_closed()

    record = record_of(cell.load(behave))
    assert (record["ok"], record["error_kind"]) == (False, "http_reset")


def test_a_hang_ends_at_the_time_limit(cell: Any, wire: Any) -> None:
    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        writer.write(wire.head(Transfer_Encoding="chunked") + b"5\r\n: hi\n\r\n")
        await asyncio.sleep(30)

    ran = cell.load(behave, timeout_s=0.2)
    record = record_of(ran)
    assert (record["ok"], record["error_kind"], record["status"]) == (False, "http_timeout", 200)
    assert "within 0.2 s" in record["error"]
    assert record["end_s"] - record["sent_s"] >= 0.199


def test_nobody_listening_is_refused(cell: Any, wire: Any) -> None:
    with cell.Engine(wire.says(b"")) as engine:
        port = engine.port
    assert cell.run({"base_url": f"http://127.0.0.1:{port}", "model": "m", "num_prompts": 2}) == 1
    records = [json.loads(line) for line in (cell.folder / "out" / "requests.jsonl").read_text().splitlines()]
    assert [record["error_kind"] for record in records] == ["http_refused", "http_refused"]


def test_an_answer_without_tokens_is_flagged_and_measures_nothing(cell: Any, wire: Any) -> None:
    ran = cell.load(wire.says(wire.streamed(wire.token("", "stop"), wire.usage(7, 0), "[DONE]")), num_prompts=2)
    assert [record["no_tokens"] for record in ran.records] == [True, True]
    assert ran.benchmark["achieved"]["without_tokens"] == ran.benchmark["achieved"]["completed"] == 2
    assert set(ran.benchmark["metrics"].values()) == {None}


def test_usage_without_any_content_counts_as_no_tokens(cell: Any, wire: Any) -> None:
    record = record_of(cell.load(wire.says(wire.streamed(wire.token("", "length"), wire.usage(7, 64), "[DONE]"))))
    assert (record["ok"], record["no_tokens"], record["output_tokens"], record["ttft_ms"]) == (True, True, 64, None)


def test_missing_usage_is_estimated_by_chunks_and_said(cell: Any, wire: Any) -> None:
    ran = cell.load(wire.says(wire.streamed(*map(wire.token, TOKENS), wire.token("", "stop"), "[DONE]")))
    record = record_of(ran)
    assert (record["output_tokens"], record["tokens_estimated"], record["prompt_tokens"]) == (3, True, None)
    assert ran.benchmark["tokens"] == {"input": None, "output": 3, "estimated_requests": 1}
    assert "1 of 1 answers had no usage" in ran.benchmark["warnings"][0]


@pytest.mark.parametrize("end", ["finish_reason", "done_mark"])
def test_either_end_mark_completes_a_stream(cell: Any, wire: Any, end: str) -> None:
    last = [wire.token("c", "stop")] if end == "finish_reason" else [wire.token("c"), "[DONE]"]
    assert record_of(cell.load(wire.says(wire.streamed(*last))))["ok"] is True


def test_a_body_that_never_ends_after_its_end_mark_is_complete(cell: Any, wire: Any) -> None:
    body = wire.sse(wire.token("a", "stop"), "[DONE]")

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        writer.write(wire.head(Transfer_Encoding="chunked") + b"%x\r\n%s\r\n" % (len(body), body))
        await asyncio.sleep(30)

    assert record_of(cell.load(behave, timeout_s=0.3))["ok"] is True


def test_an_answer_that_is_not_streamed_has_no_first_token(cell: Any, wire: Any) -> None:
    answer = wire.whole(
        {"choices": [{"text": "abc", "finish_reason": "stop"}], "usage": {"prompt_tokens": 2, "completion_tokens": 3}}
    )
    ran = cell.load(wire.says(answer), stream=False)
    record = record_of(ran)
    assert (record["ok"], record["output_tokens"], record["ttft_ms"], record["itl_ms"]) == (True, 3, None, [])
    assert ran.benchmark["metrics"]["ttft_ms"] is None
    assert ran.benchmark["metrics"]["e2e_ms"]["count"] == 1
    assert "stream_options" not in ran.requests[0].body


def test_reasoning_counts_as_content(cell: Any, wire: Any) -> None:
    thinking = {"choices": [{"delta": {"reasoning_content": "hm"}, "finish_reason": None}]}
    role = {"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
    record = record_of(
        cell.load(wire.says(wire.streamed(role, thinking, wire.token("a", "stop", chat=True), "[DONE]")), api="chat")
    )
    assert record["chunks"] == 2


@pytest.mark.parametrize(
    ("api", "path", "key"), [("completions", "/v1/completions", "prompt"), ("chat", "/v1/chat/completions", "messages")]
)
def test_the_request_is_the_api_s(cell: Any, wire: Any, api: str, path: str, key: str) -> None:
    ran = cell.load(
        wire.says(good(wire)),
        {"TESTCELL_API_KEY": "hush"},
        api=api,
        max_tokens=9,
        ignore_eos=True,
        extra_body={"top_k": 1},
    )
    request = ran.requests[0]
    assert (request.path, key in request.body) == (path, True)
    wanted = {"model": "tiny", "max_tokens": 9, "stream": True, "ignore_eos": True, "top_k": 1, "temperature": 0.0}
    assert wanted.items() <= request.body.items()
    assert request.body["stream_options"] == {"include_usage": True}
    assert request.headers["authorization"] == "Bearer hush"


def test_no_secret_reaches_the_files(cell: Any, wire: Any, capsys: pytest.CaptureFixture[str]) -> None:
    answer = wire.whole({"error": {"message": "bad key hush"}}, 401)
    ran = cell.load(
        wire.says(answer),
        {"TESTCELL_API_KEY": "hush"},
        extra_body={"auth": {"api_key": "hush2"}},
        metadata={"hf_token": "hush3"},
    )
    for text in [*(path.read_text() for path in ran.folder.iterdir()), capsys.readouterr().out]:
        assert "hush" not in text


def test_every_prompt_is_different_and_warm_up_is_not_counted(cell: Any, wire: Any) -> None:
    ran = cell.load(wire.says(good(wire)), num_prompts=6, max_concurrency=3, warmup=2)
    assert len({request.body["prompt"] for request in ran.requests}) == 8
    assert len(ran.records) == 6
    assert ran.benchmark["warmup"] == {"requested": 2, "completed": 2}


def test_the_same_seed_sends_the_same_prompts(cell: Any, wire: Any) -> None:
    first, second = (cell.load(wire.says(good(wire)), num_prompts=3, seed=4) for _ in range(2))
    assert [request.body for request in first.requests] == [request.body for request in second.requests]


def test_a_closed_loop_keeps_its_concurrency(cell: Any, wire: Any) -> None:
    running, most = 0, 0

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        while most < 4:
            await asyncio.sleep(0.001)
        running -= 1
        writer.write(good(wire))

    ran = cell.load(behave, num_prompts=12, max_concurrency=4, timeout_s=20)
    assert most == 4
    assert sorted(record["index"] for record in ran.records) == list(range(12))
    assert ran.benchmark["requested"]["max_concurrency"] == 4


def test_a_closed_loop_request_is_due_when_the_one_before_ended(cell: Any, wire: Any) -> None:
    ran = cell.load(wire.says(good(wire)), num_prompts=3)
    ends = [record["end_s"] for record in ran.records]
    assert [record["scheduled_s"] for record in ran.records] == [0.0, *ends[:2]]


def test_a_duration_bounds_a_closed_loop(cell: Any, wire: Any) -> None:
    ran = cell.load(wire.says(good(wire)), num_prompts=None, duration_s=0.2)
    assert ran.benchmark["requested"]["num_prompts"] is None
    assert ran.benchmark["achieved"]["sent"] == len(ran.records) >= 1
    assert all(record["scheduled_s"] < 0.2 for record in ran.records)


def test_a_dead_server_does_not_make_a_timed_loop_spin(cell: Any, wire: Any) -> None:
    ran = cell.load(wire.says(wire.whole({}, 503)), num_prompts=None, duration_s=0.35)
    assert 1 <= len(ran.records) <= 4


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_an_open_loop_sends_by_the_clock_whatever_the_server_does(cell: Any, wire: Any, arrivals: str) -> None:
    arrived = 0

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        nonlocal arrived
        arrived += 1
        while arrived < 10:  # the first answer waits for the last request
            await asyncio.sleep(0.001)
        writer.write(good(wire))

    ran = cell.load(behave, num_prompts=10, request_rate=100, arrivals=arrivals, timeout_s=20)
    records = sorted(ran.records, key=lambda record: record["index"])
    assert [record["ok"] for record in records] == [True] * 10
    assert records[-1]["scheduled_s"] == pytest.approx(0.09)
    assert all(record["sent_s"] >= record["scheduled_s"] - 0.002 for record in records)
    assert ran.benchmark["requested"]["request_rate"] == 100
    assert ran.benchmark["achieved"]["rate"] is not None


def test_a_limit_on_an_open_loop_shows_as_schedule_delay(cell: Any, wire: Any) -> None:
    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        await asyncio.sleep(0.05)
        writer.write(good(wire))

    ran = cell.load(behave, num_prompts=6, request_rate=1000, max_concurrency=1)
    assert ran.benchmark["client"]["held_back"] >= 1
    assert ran.benchmark["schedule_delay_ms"]["max"] >= 200
    assert any("max_concurrency 1 made" in warning for warning in ran.benchmark["warnings"])


def test_connections_are_kept_or_not_as_wanted(cell: Any, wire: Any) -> None:
    kept = cell.load(wire.says(good(wire)), num_prompts=4)
    fresh = cell.load(wire.says(good(wire)), num_prompts=4, keep_alive=False)
    assert {request.connection for request in kept.requests} == {0}
    assert {request.connection for request in fresh.requests} == {0, 1, 2, 3}
    assert fresh.requests[0].headers["connection"] == "close"


def test_an_idle_connection_that_the_server_closed_is_replaced(cell: Any, wire: Any) -> None:
    answers = iter([good(wire), b"", good(wire), good(wire)])

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        answer = next(answers)
        if not answer:
            raise ConnectionResetError
        writer.write(answer)

    ran = cell.load(behave, num_prompts=3)
    assert [record["ok"] for record in ran.records] == [True, True, True]
    assert ran.benchmark["client"]["stale_retries"] == 1


def test_goodput_counts_requests_that_keep_every_limit(cell: Any, wire: Any) -> None:
    loose = cell.load(
        wire.says(good(wire)), num_prompts=3, goodput={"ttft_ms": 60_000, "tpot_ms": 60_000, "e2e_ms": 60_000}
    )
    tight = cell.load(wire.says(good(wire)), num_prompts=3, goodput={"e2e_ms": 0.000001})
    assert loose.benchmark["metrics"]["goodput"] == loose.benchmark["metrics"]["request_throughput"]
    assert tight.benchmark["metrics"]["goodput"] == 0


def test_mixed_results_exit_with_0_and_count_both(cell: Any, wire: Any) -> None:
    answers = iter([good(wire), wire.whole({}, 500), good(wire)])

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        writer.write(next(answers))

    ran = cell.load(behave, num_prompts=3)
    assert ran.status == 0
    assert [ran.benchmark["achieved"][key] for key in ("sent", "completed", "failed")] == [3, 2, 1]
    assert ran.benchmark["metrics"]["ttft_ms"]["count"] == 2


def test_a_signal_stops_the_load_and_leaves_both_files(cell: Any, wire: Any) -> None:
    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        await asyncio.sleep(30)

    ran = cell.load(behave, num_prompts=50)
    assert ran.status == 143
    assert ran.benchmark["interrupted"] == "SIGTERM"
    assert [record["error_kind"] for record in ran.records] == ["cancelled"]
    assert ran.benchmark["requested"]["num_prompts"] == 50


def test_an_old_summary_is_gone_before_the_load_begins(cell: Any, wire: Any) -> None:
    (cell.folder / "out").mkdir()
    old = cell.folder / "out" / "benchmark.json"
    old.write_text("{}")
    seen = []

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        seen.append(old.exists())
        writer.write(good(wire))

    cell.load(behave)
    assert seen == [False]
    assert {path.name for path in (cell.folder / "out").iterdir()} == {"benchmark.json", "requests.jsonl"}


def test_requests_are_readable_while_the_load_goes_on(cell: Any, wire: Any) -> None:
    seen = []

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        seen.append((cell.folder / "out" / "requests.jsonl").read_text().count("\n"))
        writer.write(good(wire))

    cell.load(behave, num_prompts=3)
    assert seen == [0, 1, 2]


def test_the_table_at_the_end_names_counts_and_first_failures(
    cell: Any, wire: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    cell.load(wire.says(wire.whole({}, 503)), num_prompts=5)
    out = capsys.readouterr().out
    assert "5 sent, 0 completed, 5 failed (overloaded 5)" in out
    assert out.count("failed (overloaded): HTTP 503") == 3
    assert "TTFT           -" in out


def test_bad_configuration_exits_with_2_and_writes_nothing(cell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cell.run({"base_url": "http://h", "model": "m", "num_prompts": 0}) == 2
    assert "test_config.json: num_prompts: has a wrong value; got int 0" in capsys.readouterr().err
    assert not (cell.folder / "out").exists()


def test_a_value_from_the_command_line_replaces_the_file_s(cell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cell.run({"base_url": "http://h", "model": "m", "num_prompts": 5}, None, "--set", "num_prompts=zero") == 2
    assert 'got str "zero"' in capsys.readouterr().err


def test_output_that_cannot_be_written_exits_with_3(cell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (cell.folder / "out").write_text("a file")
    assert cell.run({"base_url": "http://127.0.0.1:9", "model": "m", "num_prompts": 5}) == 3
    assert "cannot write to" in capsys.readouterr().err


def test_the_first_of_several_result_paths_is_meant(cell: Any, wire: Any) -> None:
    from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.main import main

    paths = os.pathsep.join(str(cell.folder / name) for name in ("one", "two"))
    with cell.Engine(wire.says(good(wire))) as engine:
        config = {"base_url": f"http://127.0.0.1:{engine.port}", "model": "m", "num_prompts": 1}
        (cell.folder / "c.json").write_text(json.dumps(config))
        status = main(
            ["--config", str(cell.folder / "c.json"), "--out", paths, "--quiet"], {"SCENARIO_RESULT_PATH": paths}
        )
    assert status == 0
    assert (cell.folder / "one" / "benchmark.json").exists()
    assert not (cell.folder / "two").exists()


def test_a_blocked_address_fails_every_request_by_name(cell: Any) -> None:
    assert cell.run({"base_url": "http://169.254.169.254", "model": "m", "num_prompts": 1}) == 1
    benchmark = json.loads((cell.folder / "out" / "benchmark.json").read_text())
    assert benchmark["errors"] == {"request_blocked": 1}
