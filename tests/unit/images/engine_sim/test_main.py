# SPDX-License-Identifier: MIT
"""Services as processes: how they start, how they end, and the faults that only a process can show."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

LOG_LINE = re.compile(
    r"(INFO|WARNING|ERROR) \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \([\w-]+ pid=\d+\) \[\w+\.py:\d+\] .+"
)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_within_a_second(spawn: Any, signum: int) -> None:
    process = spawn()
    process.api().complete()
    begun = time.monotonic()
    assert process.end(signum) == 0
    assert time.monotonic() - begun < 10.0


def test_a_hanging_request_does_not_hold_up_the_end(spawn: Any) -> None:
    process = spawn("--faults", "hang=0")
    api = process.api()
    with pytest.raises(TimeoutError):
        api.complete(wait_s=0.2)
    port = int(api.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\n\r\n")
        begun = time.monotonic()
        assert process.end() == 0
        assert time.monotonic() - begun < 10.0, "the request would hang for ever"


def test_the_log_has_time_level_service_and_request_ids(spawn: Any) -> None:
    process = spawn("--name", "engine-7")
    process.api().complete(headers={"X-Request-Id": "my-request"})
    process.end()
    lines = process.log.splitlines()
    assert all(LOG_LINE.fullmatch(line) for line in lines), lines
    assert any("(engine-7 " in line and "Received request my-request" in line for line in lines)
    assert any("Finished request my-request: length after 8 tokens" in line for line in lines)
    assert any('"POST /v1/completions HTTP/1.1" 200' in line for line in lines)


def test_settings_come_from_the_environment_too(spawn: Any) -> None:
    process = spawn(SIM_MODEL="other", SIM_FAULTS="overload=429")
    api = process.api()
    assert api.ask("/v1/models").json["data"][0]["id"] == "other"
    assert api.complete(model="other").status == 429
    process.end()
    assert "fault on: overload=429:1" in process.log


def test_a_port_that_is_taken_is_named(spawn: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = spawn("--port", str(port))
        assert process.popen.wait(10) == 1
    assert "[Errno 98]" in process.log
    assert f"cannot serve on 127.0.0.1:{port}" in process.log


@pytest.mark.parametrize(
    ("kind", "last_words"),
    [
        ("engine", "RuntimeError: worker 0 gave no output"),
        ("gpu_oom", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate"),
        ("gpu_fault", "RuntimeError: CUDA error: an illegal memory access was encountered"),
        ("nccl", "ncclRemoteError"),
    ],
)
def test_a_crash_leaves_a_traceback_and_its_exit_code(spawn: Any, kind: str, last_words: str) -> None:
    process = spawn("--faults", f"crash_after_requests=2:139,crash_kind={kind}")
    api = process.api()
    assert [api.complete().status, api.complete().status] == [200, 200]
    with pytest.raises(ConnectionError):
        api.complete()
    assert process.popen.wait(10) == 139
    traceback, last, wrapper = (
        process.log.find(text) for text in ("Traceback (most recent call last)", last_words, "See stack trace (above)")
    )
    assert 0 < traceback < last < wrapper


def test_a_crash_comes_by_time_without_any_request(spawn: Any) -> None:
    process = spawn("--faults", "crash_after_s=0.2")
    process.api()
    assert process.popen.wait(10) == 1
    assert "EngineCore encountered a fatal error." in process.log


def test_a_crash_of_a_worker_ends_the_stream_of_the_router(spawn: Any) -> None:
    prefill = spawn("--role", "prefill").api()
    decode = spawn("--role", "decode", "--itl-ms", "20", "--faults", "crash_after_requests=1:134")
    decode_api = decode.api()
    workers = ("--prefill", prefill.url, "--decode", decode_api.url, "--probe-interval-s", "0.05")
    router = spawn("--role", "router", *workers)
    connection = http.client.HTTPConnection(urlsplit(router.api().url).netloc, timeout=10)
    router.line_with("decode decode-1")
    body = {"prompt": "a", "max_tokens": 8000, "stream": True}
    connection.request("POST", "/v1/completions", json.dumps(body), {"X-Testcell-Pair": "prefill-1,decode-1"})
    reply = connection.getresponse()
    assert (reply.status, reply.readline()[:5]) == (200, b"data:")
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        decode_api.complete()
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        reply.read()
    connection.close()
    assert decode.popen.wait(10) == 134


def test_a_signal_is_ignored_when_told_so(spawn: Any) -> None:
    process = spawn("--faults", "ignore_term")
    api = process.api()
    process.popen.send_signal(signal.SIGTERM)
    process.line_with("Received SIGTERM, ignored")
    assert api.ask("/health").status == 200
    assert process.end(signal.SIGKILL) == -signal.SIGKILL


def test_the_log_is_flooded_at_a_rate_and_a_width(spawn: Any) -> None:
    process = spawn("--faults", "log_flood=400:200")
    process.api()
    flood = [process.line_with("scheduler step") for _ in range(60)]
    assert all(len(line.partition("] ")[2]) == 200 for line in flood)
    stamps = [re.search(r":(\d\d\.\d{3})Z", line) for line in (flood[0], flood[-1])]
    first, last = (float(stamp[1]) for stamp in stamps if stamp)
    assert 0.05 <= (last - first) % 60 <= 1.0


@pytest.mark.parametrize(
    ("fault", "metric", "least"),
    [
        ("leak_memory_per_s=200MiB", "process_resident_memory_bytes", 20 << 20),
        ("leak_fds_per_s=200", "process_open_fds", 20),
        ("leak_threads_per_s=200", "process_threads", 20),
    ],
)
def test_what_leaks_by_time_grows(spawn: Any, fault: str, metric: str, least: int) -> None:
    api = spawn("--faults", fault).api()
    before, limit = api.metric(metric), time.monotonic() + 5
    while api.metric(metric) - before < least:
        assert time.monotonic() < limit, f"{metric} did not grow by {least} within 5 s"


def test_a_leak_of_descriptors_stops_at_the_limit_and_says_so(spawn: Any) -> None:
    process = spawn("--faults", "leak_fds_per_request=100", descriptors=64)
    assert process.api().complete().status == 200
    process.line_with("cannot open a cache file: Too many open files")
