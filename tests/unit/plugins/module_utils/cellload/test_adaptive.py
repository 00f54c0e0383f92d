# SPDX-License-Identifier: MIT
"""Loads at an adaptive rate against a real server that limits: what is sent, what is recorded, what is believed of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload import turnstile
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import clients
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict.normal import DefaultLimits

ENVIRON = {"TESTCELL_RUN_ID": "20260101_000000", "TESTCELL_CASE": "c1", "TESTCELL_ATTEMPT": "1"}
QUICK = {"window_s": 0.2, "max_wait_s": 30}


@dataclass
class Limited:
    """An engine that takes so many requests a second, and answers others as it is told to."""

    wire: Any
    rate: float
    burst: float = 5.0
    refusal: dict[str, Any] = field(default_factory=dict)
    status: int = 429
    delay_s: float = 0.0
    taken: int = 0
    refused: int = 0
    running: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        self._tokens, self._at = self.burst, time.monotonic()

    def takes(self) -> bool:
        """Tell whether a request that comes now is taken."""
        now = time.monotonic()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    async def __call__(self, writer: asyncio.StreamWriter, received: Any) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        took = self.takes()
        self.taken, self.refused = self.taken + took, self.refused + (not took)
        if took:
            await asyncio.sleep(self.delay_s)
            writer.write(good(self.wire))
        else:
            writer.write(self.wire.whole({"error": {"message": "slow down"}}, self.status, **self.refusal))
        self.running -= 1


def good(wire: Any) -> bytes:
    return wire.streamed(wire.token("a"), wire.token("b", "stop"), wire.usage(5, 2), "[DONE]")


def answers(wire: Any, *statuses: int, **headers: object) -> Callable[..., Any]:
    """Return the behaviour that answers with these statuses in turn, and with 200 afterwards."""
    left = list(statuses)

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        status = left.pop(0) if left else 200
        writer.write(good(wire) if status == 200 else wire.whole({}, status, **headers))

    return behave


def judged(ran: Any, limits: Any = DefaultLimits(max_schedule_delay_ms_p95=None)) -> Any:  # noqa: B008 - frozen
    measured = clients.get("testcell").read(ran.folder.parent, ("out/",))
    ours = {"run_id": "20260101_000000", "case": "c1", "attempt": 1}
    return clients.judge(measured, limits, **ours, script_exit=ran.status)


def test_off_by_default_a_refusal_is_a_failed_request(cell: Any, wire: Any) -> None:
    ran = cell.load(answers(wire, 429))
    assert (len(ran.requests), ran.records[0]["error_kind"], ran.records[0]["attempts"]) == (1, "overloaded", 1)
    assert (ran.benchmark["adaptive_rate"], ran.benchmark["throttled"]["refused"]) == (None, 0)


@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_refused_request_is_sent_again_and_counted(cell: Any, wire: Any, status: int) -> None:
    ran = cell.load(answers(wire, status, status), ENVIRON, adaptive_rate=QUICK)
    record = ran.records[0]
    assert (record["ok"], record["attempts"], record["refused"], record["status"]) == (True, 3, 2, 200)
    assert len({str(request.body) for request in ran.requests}) == 1
    counts = ran.benchmark["throttled"]
    assert (counts["attempts"], counts["refused"], counts["requests"], counts["never_sent"]) == (3, 2, 1, 0)
    assert counts["held_s"] == pytest.approx(record["held_s"], abs=0.001)
    assert ran.benchmark["adaptive_rate"]["retries"] == 2


def test_an_overloaded_engine_that_answers_200_and_then_its_refusal_is_asked_again(cell: Any, wire: Any) -> None:
    full = wire.streamed({"error": {"message": "The request queue is full.", "code": 503}}, "[DONE]")
    left = [full, good(wire)]

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        writer.write(left.pop(0))

    assert cell.load(behave, adaptive_rate=QUICK).records[0]["attempts"] == 2


@pytest.mark.parametrize("status", [400, 401, 404, 500, 502])
def test_other_failures_are_never_sent_again(cell: Any, wire: Any, status: int) -> None:
    ran = cell.load(answers(wire, status), adaptive_rate=QUICK)
    assert (len(ran.requests), ran.records[0]["ok"], ran.records[0]["refused"]) == (1, False, 0)


def test_tokens_that_came_are_not_asked_for_again(cell: Any, wire: Any) -> None:
    cut = wire.streamed(wire.token("a"), {"error": {"message": "The request queue is full.", "code": 503}}, "[DONE]")
    ran = cell.load(wire.says(cut), adaptive_rate=QUICK)
    assert (len(ran.requests), ran.records[0]["error_kind"]) == (1, "overloaded")


def test_latencies_are_those_of_the_attempt_that_was_answered(cell: Any, wire: Any) -> None:
    ran = cell.load(answers(wire, 429, 429, Retry_After=1), ENVIRON, adaptive_rate=QUICK)
    record = ran.records[0]
    assert record["sent_s"] >= 2.0
    assert record["ttft_ms"] == pytest.approx((record["first_token_s"] - record["sent_s"]) * 1000, abs=0.01)
    assert record["e2e_ms"] < record["held_s"] * 1000
    assert record["held_s"] >= 2.0
    assert ran.benchmark["schedule_delay_ms"]["max"] < 1000, "what the server made it wait is not the client's lateness"
    assert judged(ran).verdict == "pass"


@pytest.mark.parametrize(
    ("headers", "least_s"),
    [
        ({"Retry_After": 1}, 1.0),
        ({"Retry_After_Ms": 700, "Retry_After": 5}, 0.7),
        ({"Retry_After": "Tue, 14 Nov 2023 22:13:51 GMT", "Date": "Tue, 14 Nov 2023 22:13:50 GMT"}, 1.0),
        ({"X_RateLimit_Remaining_Requests": 0, "X_RateLimit_Reset_Requests": "800ms"}, 0.8),
    ],
    ids=["seconds", "milliseconds", "date", "reset"],
)
def test_nothing_is_sent_before_the_server_s_time(
    cell: Any, wire: Any, headers: dict[str, Any], least_s: float
) -> None:
    times: list[float] = []
    refuse = answers(wire, 429, **headers)

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        times.append(time.monotonic())
        await refuse(writer, received)

    ran = cell.load(behave, num_prompts=3, adaptive_rate={"window_s": 0.1, "max_wait_s": 20})
    assert times[1] - times[0] >= least_s - 0.01
    assert all(record["ok"] for record in ran.records)


def test_what_is_refused_for_good_has_failed_as_overloaded(cell: Any, wire: Any) -> None:
    ran = cell.load(wire.says(wire.whole({}, 429)), ENVIRON, adaptive_rate={"max_attempts": 3, "window_s": 0.1})
    record = ran.records[0]
    assert (record["error_kind"], record["status"], record["attempts"], record["refused"]) == ("overloaded", 429, 3, 3)
    assert record["error"] == "HTTP 429: {} (sent 3 times)"
    assert ran.benchmark["adaptive_rate"]["retries_denied"] == 1
    assert (ran.status, judged(ran).verdict) == (1, "no_data")


def test_a_longer_wait_than_a_request_has_ends_the_load_and_not_the_day(cell: Any, wire: Any) -> None:
    ran = cell.load(
        answers(wire, *[429] * 50, Retry_After=3600), ENVIRON, num_prompts=20, adaptive_rate={"max_wait_s": 5}
    )
    assert len(ran.requests) == 1
    assert {record["error_kind"] for record in ran.records} == {"overloaded"}
    assert ran.benchmark["achieved"]["rate"] is None
    assert "the server asks to wait for 3" in ran.records[-1]["error"]
    assert (ran.benchmark["throttled"]["never_sent"], ran.benchmark["achieved"]["failed"]) == (19, 20)
    assert judged(ran).verdict == "no_data"


def test_a_server_that_takes_nothing_is_given_up(cell: Any, wire: Any) -> None:
    settings = {"window_s": 0.05, "max_wait_s": 0.5, "min": 5}
    ran = cell.load(wire.says(wire.whole({}, 503)), num_prompts=200, max_concurrency=4, adaptive_rate=settings)
    assert len(ran.records) == 200
    assert len(ran.requests) < 60
    assert "the server took no request for 0.5 s" in ran.records[-1]["error"]


def test_all_requests_together_have_a_budget(cell: Any, wire: Any) -> None:
    settings = {"max_retry_ratio": 0, "window_s": 0.05, "min": 1000, "max_wait_s": 60}
    ran = cell.load(wire.says(wire.whole({}, 429)), num_prompts=60, max_concurrency=30, adaptive_rate=settings)
    assert ran.benchmark["adaptive_rate"]["retries"] == 100
    assert len(ran.requests) == 160


def test_a_closed_loop_finds_what_the_server_takes(cell: Any, wire: Any) -> None:
    engine = Limited(wire, rate=40, burst=5)
    ran = cell.load(engine, ENVIRON, num_prompts=160, max_concurrency=8, adaptive_rate=QUICK)
    assert [record["ok"] for record in ran.records] == [True] * 160
    assert engine.refused == ran.benchmark["throttled"]["refused"] > 0
    assert engine.refused <= 0.25 * engine.taken
    assert ran.benchmark["duration_s"] >= (160 - 5) / 40 - 0.1
    assert engine.most <= 8
    course = ran.benchmark["adaptive_rate"]
    assert 10 <= course["final_rate"] <= 80
    times = [point["t_s"] for point in course["series"]]
    assert times == sorted(times) and len(times) > 5
    assert all(point["rate"] is None or 0.1 <= point["rate"] <= 1000 for point in course["series"])
    found = judged(ran)
    assert found.verdict == "pass"
    assert found.notes[0].startswith("the server throttled the load: ")
    assert "achieved" in found.notes[0]
    assert any("refused" in warning for warning in ran.benchmark["warnings"])


def test_an_open_loop_under_its_limit_is_not_touched(cell: Any, wire: Any) -> None:
    engine = Limited(wire, rate=10_000, burst=1000)
    ran = cell.load(engine, ENVIRON, num_prompts=50, request_rate=200, adaptive_rate=True)
    assert engine.refused == 0
    assert max(record["held_s"] for record in ran.records) < 1.0
    assert ran.benchmark["adaptive_rate"]["final_rate"] is None
    found = judged(ran)
    assert (found.verdict, found.notes) == ("pass", ())


def test_an_open_loop_that_was_throttled_is_no_measurement_at_the_asked_rate(cell: Any, wire: Any) -> None:
    engine = Limited(wire, rate=20, burst=2)
    ran = cell.load(engine, ENVIRON, num_prompts=60, request_rate=100, adaptive_rate=QUICK)
    assert all(record["ok"] for record in ran.records)
    asked, achieved = ran.benchmark["requested"]["request_rate"], ran.benchmark["achieved"]["rate"]
    assert (asked, achieved < 30) == (100, True)
    found = judged(ran)
    assert (found.verdict, found.error_kind) == ("invalid", "overloaded")
    assert found.reasons == (f"the server took {achieved:g} of the asked 100 requests/s, at least 90 % needed",)
    loose = judged(ran, DefaultLimits(max_schedule_delay_ms_p95=None, min_rate_ratio=0.0))
    assert (loose.verdict, len(loose.notes)) == ("pass", 1)


def test_max_concurrency_holds_while_requests_are_tried_again(cell: Any, wire: Any) -> None:
    engine = Limited(wire, rate=30, burst=3, delay_s=0.05)
    ran = cell.load(engine, num_prompts=40, request_rate=400, max_concurrency=3, adaptive_rate=QUICK)
    assert engine.most <= 3
    assert all(record["ok"] for record in ran.records)


def test_a_duration_ends_a_load_whose_rate_is_low(cell: Any, wire: Any) -> None:
    settings = {"initial": 2, "max": 2}
    ran = cell.load(wire.says(good(wire)), num_prompts=None, duration_s=1.2, max_concurrency=4, adaptive_rate=settings)
    assert 2 <= len(ran.records) <= 3
    assert all(record["sent_s"] < 1.2 for record in ran.records)


def test_the_warm_up_keeps_the_rate_too(cell: Any, wire: Any) -> None:
    ran = cell.load(answers(wire, 429, 429), num_prompts=2, warmup=2, max_concurrency=2, adaptive_rate=QUICK)
    assert ran.benchmark["warmup"] == {"requested": 2, "completed": 2}
    assert ran.benchmark["throttled"]["refused"] == 0


def test_first_come_first_served() -> None:
    order: list[int] = []

    async def main() -> None:
        gate = turnstile.Turnstile(turnstile.Settings(initial=200, max=200), time.monotonic, lambda: 0)

        async def one(number: int) -> None:
            await gate.enter(float("inf"))
            order.append(number)

        await asyncio.gather(*(one(number) for number in range(20)))

    asyncio.run(main())
    assert order == list(range(20))
