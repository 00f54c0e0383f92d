# SPDX-License-Identifier: MIT
"""Soaks: load by time alone, windows as it goes on, bursts, failures that do not spin, and memory that does not grow."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import soak_client
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload import loop, main, soak
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.bounded import MIB
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.config import LoadConfig
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.fields import FIELDS
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.histogram import Histogram
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.summary import figures
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.target import Target

WINDOW_KEYS = ["t0", "t1", "b0", "b1", "sent", "completed", "failed", "without_tokens", "errors"]
WINDOW_KEYS += ["ttft_ms", "itl_ms", "e2e_ms", "burst"]


@pytest.fixture
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of a tenth of a second."""
    monkeypatch.setattr(main, "SoakBook", lambda folder, config: soak.SoakBook(folder, config, window_s=0.1))


def good(wire: Any) -> bytes:
    return wire.streamed(wire.token("a"), wire.token("b", "length"), wire.usage(7, 2), "[DONE]")


def paced(wire: Any, delay_s: float = 0.005) -> Any:
    """Return the behaviour of a server that takes some time, so that a loop of the test stays small."""

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        await asyncio.sleep(delay_s)
        writer.write(good(wire))

    return behave


def windows_of(ran: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ran.folder / "soak_windows.jsonl").read_text().splitlines()]


def soaked(cell: Any, behave: Any, seconds: float = 0.5, **config: Any) -> Any:
    return cell.load(behave, {"TESTCELL_SOAK_SECONDS": str(seconds)}, **config)


def test_a_soak_goes_on_for_its_time_and_prompts_repeat(cell: Any, wire: Any) -> None:
    ran = soaked(cell, paced(wire), num_prompts=3)
    assert ran.status == 0
    assert len(ran.records) > 6
    assert len({request.body["prompt"] for request in ran.requests}) == 3
    assert max(record["sent_s"] for record in ran.records) < 0.5 <= ran.benchmark["duration_s"] + 0.1
    assert ran.benchmark["requested"] == {
        "num_prompts": None, "duration_s": 0.5, "request_rate": None, "max_concurrency": 1,
    }  # fmt: skip


def test_an_open_loop_keeps_its_rate_for_the_time_of_a_soak(cell: Any, wire: Any) -> None:
    ran = soaked(cell, wire.says(good(wire)), num_prompts=2, request_rate=40, arrivals="constant")
    assert sorted(record["index"] for record in ran.records) == list(range(20))
    assert sorted(record["scheduled_s"] for record in ran.records) == pytest.approx([index / 40 for index in range(20)])


def test_the_option_beats_the_environment(cell: Any, wire: Any) -> None:
    with cell.Engine(paced(wire)) as engine:
        config = {"base_url": f"http://127.0.0.1:{engine.port}", "model": "m", "num_prompts": 1}
        assert cell.run(config, {"TESTCELL_SOAK_SECONDS": "600"}, "--soak", "0.2") == 0
    benchmark = json.loads((cell.folder / "out" / "benchmark.json").read_text())
    assert benchmark["soak"]["duration_s"] == 0.2


def test_windows_follow_each_other_and_hold_every_request(cell: Any, wire: Any, short_windows: None) -> None:
    before = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)
    ran = soaked(cell, paced(wire), max_concurrency=2, warmup=2)
    windows = windows_of(ran)
    assert len(windows) >= 2
    assert all(list(window) == WINDOW_KEYS for window in windows)
    assert all(window["t0"] <= window["t1"] and window["b0"] <= window["b1"] for window in windows)
    pairs = list(zip(windows, windows[1:], strict=False))
    assert all((one["t1"], one["b1"]) == (two["t0"], two["b0"]) for one, two in pairs)
    assert windows[0]["t0"] >= before[0] - 0.001 and windows[0]["b0"] >= before[1] - 0.001
    achieved = ran.benchmark["achieved"]
    assert sum(window["sent"] for window in windows) == achieved["sent"] == len(ran.records)
    assert sum(window["completed"] for window in windows) == achieved["completed"] == len(ran.records)
    assert not any(window["burst"] for window in windows)


@pytest.mark.parametrize("key", ["ttft_ms", "itl_ms", "e2e_ms"])
def test_percentiles_are_those_of_the_merged_windows(cell: Any, wire: Any, short_windows: None, key: str) -> None:
    ran = soaked(cell, paced(wire))
    merged, told = Histogram(), ran.benchmark["metrics"][key]
    for window in windows_of(ran):
        part = window[key]
        merged.merge(Histogram(dict(part["h"]), part["n"], 0.0, part["min"] or 0.0, part["max"] or 0.0))
    assert told["count"] == merged.total
    for percent in (50, 90, 95, 99):
        (value,) = merged.percentiles([percent])
        assert told[f"p{percent}"] == pytest.approx(value, rel=0.002, abs=0.001)


def test_a_soaks_result_has_the_keys_of_any_other(cell: Any, wire: Any) -> None:
    plain, long = cell.load(wire.says(good(wire))), soaked(cell, paced(wire))
    assert list(long.benchmark) == list(plain.benchmark)
    assert list(long.benchmark["metrics"]) == list(plain.benchmark["metrics"])
    assert list(long.benchmark["metrics"]["e2e_ms"]) == list(plain.benchmark["metrics"]["e2e_ms"])
    assert long.benchmark["achieved"] == figures(long.records)["achieved"]
    assert long.benchmark["tokens"] == figures(long.records)["tokens"]
    assert plain.benchmark["soak"] is None
    assert long.benchmark["soak"] == {
        "duration_s": 0.5,
        "window_s": 10.0,
        "percentile_relative_error": 0.002,
        "left_out": {"completed": 0, "failed": 0, "windows": 0},
        "pauses": 0,
    }


def test_both_files_of_a_soak_are_proved(cell: Any, wire: Any) -> None:
    ran = soaked(cell, paced(wire))
    for key, name in (("requests", "requests.jsonl"), ("windows", "soak_windows.jsonl")):
        content = (ran.folder / name).read_bytes()
        facts = {"name": name, "lines": content.count(b"\n"), "sha256": hashlib.sha256(content).hexdigest()}
        assert ran.benchmark["files"][key] == facts


def test_windows_are_readable_while_the_soak_goes_on(cell: Any, wire: Any, short_windows: None) -> None:
    seen: list[int] = []

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        seen.append((cell.folder / "out" / "soak_windows.jsonl").read_text().count("\n"))
        await asyncio.sleep(0.005)
        writer.write(good(wire))

    soaked(cell, behave)
    assert seen[0] == 0
    assert max(seen) >= 2


def test_an_old_soaks_windows_are_gone_before_another_load_begins(cell: Any, wire: Any) -> None:
    soaked(cell, paced(wire), seconds=0.1)
    ran = cell.load(wire.says(good(wire)))
    assert {path.name for path in ran.folder.iterdir()} == {"benchmark.json", "requests.jsonl"}


@pytest.mark.parametrize("rate", [None, 50], ids=["closed", "open"])
def test_a_signal_ends_a_soak_with_a_last_window(cell: Any, wire: Any, rate: float | None) -> None:
    """F31: what was under way when the soak was told to end is counted, as cancelled."""

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        await asyncio.sleep(30)

    ran = soaked(cell, behave, seconds=600, request_rate=rate, max_concurrency=1)
    (window,) = windows_of(ran)
    assert (ran.status, ran.benchmark["interrupted"]) == (143, "SIGTERM")
    assert window["sent"] == window["failed"] == window["errors"]["cancelled"] == 1
    assert ran.benchmark["achieved"]["failed"] == len(ran.records) == 1


def test_a_server_that_is_away_does_not_make_a_soak_spin(cell: Any, wire: Any) -> None:
    """F29, F30: pauses of 50 ms and more after each failure, twice as long each time, counted, by each worker for itself."""
    answers = wire.whole({}, 500)
    ran = soaked(cell, wire.says(answers), seconds=0.6, max_concurrency=2)
    assert 2 <= len(ran.records) <= 2 * 5
    assert ran.benchmark["soak"]["pauses"] == len(ran.records)


def test_a_soak_goes_on_when_its_server_comes_back(cell: Any, wire: Any) -> None:
    answers = iter([wire.whole({}, 500)] * 3)

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        await asyncio.sleep(0.005)
        writer.write(next(answers, good(wire)))

    ran = soaked(cell, behave, seconds=1.5)
    outcomes = [record["ok"] for record in sorted(ran.records, key=lambda record: record["index"])]
    assert outcomes[:3] == [False] * 3
    assert len(outcomes) > 3 and all(outcomes[3:])
    assert ran.benchmark["soak"]["pauses"] == 3


def test_a_server_that_comes_back_at_another_address_is_found(
    cell: Any, wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F30: a container that is started again may have another address."""
    asked: list[str] = []

    def look_up(host: str, port: int, *args: object, **kind: object) -> list[Any]:
        asked.append(host)
        address = "127.0.0.2" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    with cell.Engine(paced(wire)) as engine:
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        config = {"base_url": f"http://engine.test:{engine.port}", "model": "m", "num_prompts": 1}
        assert cell.run(config, None, "--soak", "0.6") == 0
    benchmark = json.loads((cell.folder / "out" / "benchmark.json").read_text())
    assert benchmark["errors"] == {"http_refused": 1}
    assert benchmark["achieved"]["completed"] >= 1
    assert asked == ["engine.test"] * 2


def test_a_log_on_a_full_disk_does_not_end_a_soak(cell: Any, wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """F25, F27: what the client says is lost, what it measures is not."""
    full = open("/dev/full", "w")  # noqa: SIM115 - closing it fails, as its buffer cannot be written
    monkeypatch.setattr(sys, "stdout", full)
    ran = soaked(cell, paced(wire), seconds=0.3)
    monkeypatch.undo()
    with pytest.raises(OSError, match="No space left"):
        full.close()
    assert ran.status == 0
    assert ran.benchmark["achieved"]["completed"] == len(ran.records) > 0


@pytest.mark.parametrize("failures", range(1, 13))
def test_pauses_grow_from_50_ms_to_a_second_and_never_beyond(failures: int) -> None:
    assert loop.longest_pause_s(failures) == min(1.0, 0.1 * 2 ** (failures - 1))


@pytest.mark.parametrize("burst", [{"requests_per_s": 60}, {"concurrency": 4}], ids=["rate", "concurrency"])
@pytest.mark.parametrize("rate", [None, 10], ids=["closed", "open"])
def test_a_burst_comes_on_top_of_the_steady_load(
    cell: Any, wire: Any, short_windows: None, burst: dict[str, int], rate: float | None
) -> None:
    most = running = 0

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        nonlocal most, running
        running += 1
        most = max(most, running)
        while most < 3:  # the steady load has one request in flight at most
            await asyncio.sleep(0.001)
        running -= 1
        writer.write(good(wire))

    more = {"every_s": 1, "length_s": 0.3, **burst}
    ran = soaked(cell, behave, 1.5, request_rate=rate, max_concurrency=1, timeout_s=30, burst=more)
    assert most >= 3
    assert all(record["ok"] for record in ran.records)
    assert len(ran.records) == len({record["index"] for record in ran.records})
    assert {window["burst"] for window in windows_of(ran)} == {False, True}


def test_a_load_that_is_no_soak_says_that_it_had_no_burst(cell: Any, wire: Any) -> None:
    ran = cell.load(wire.says(good(wire)), burst={"every_s": 1, "length_s": 0.3, "concurrency": 3})
    assert "burst is of soaks only; this load had none" in ran.benchmark["warnings"]


def test_an_open_loop_without_answers_holds_a_bounded_number_of_requests(
    cell: Any, wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "MOST_UNDER_WAY", 5)
    hung = asyncio.Event()

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        await hung.wait()

    ran = soaked(cell, behave, 0.3, request_rate=100, arrivals="constant", timeout_s=2)
    assert ran.benchmark["errors"] == {"http_timeout": 5, "resource_limit": 25}
    left_out = [record for record in ran.records if record["error_kind"] == "resource_limit"]
    assert {record["attempts"] for record in left_out} == {0}


class Quiet:
    """The part of a load that a book asks."""

    def __init__(self, config: LoadConfig) -> None:
        self.config, self.sent, self.pauses = config, 0, 0

    def now(self) -> float:
        return 0.0


def record(index: int) -> dict[str, Any]:
    return {
        "index": index, "run_id": "20260101_000000", "case": "c", "attempt": 1, "scheduled_s": index / 100,
        "sent_s": index / 100, "held_s": 0.0, "attempts": 1, "refused": 0, "first_token_s": index / 100 + 0.1,
        "end_s": index / 100 + 0.5, "ok": True, "status": 200, "error": None, "error_kind": None, "retry_after_s": None,
        "prompt_tokens": 128, "output_tokens": 64, "tokens_estimated": False, "no_tokens": False, "chunks": 64,
        "finish_reason": "length", "ttft_ms": 100.0 + index % 97, "e2e_ms": 500.0 + index % 89,
        "itl_ms": [5.0 + (index * place) % 13 / 10 for place in range(7)],
    }  # fmt: skip


def test_what_a_book_holds_does_not_grow_with_the_requests(tmp_path: Path) -> None:
    values = {key: entry.default for key, entry in FIELDS.items()}
    config = LoadConfig(Target("http", "127.0.0.1", 1), values, soak_s=1.0)
    load: Any = Quiet(config)
    held: list[int] = []
    with soak.SoakBook(tmp_path, config, room=MIB) as book:
        book.attend(load).close()
        tracemalloc.start()
        try:
            for index in range(12_000):
                book.keep(record(index))
                book.note_lag(index % 7 / 10)
                if index % 100 == 99:
                    book._end_window(load)
                if index % 2_000 == 1_999:
                    held.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    assert book.figures()["achieved"]["completed"] == 12_000
    assert max(held[1:]) - held[1] < 64 * 1024, "a float of each request alone would be 80 times 2,000 bytes"
    assert (tmp_path / "requests.jsonl").stat().st_size <= MIB


def test_a_client_needs_no_more_memory_after_50_000_requests() -> None:
    done = soak_client.course(50_000, soak=True)
    achieved = done.result["achieved"]
    assert achieved["completed"] >= 50_000 - soak_client.WORKERS
    assert achieved["sent"] == achieved["completed"] + achieved["failed"]
    assert done.growth_bytes < 4 * MIB, "a load that is no soak grows by over 40 MiB in as many"
