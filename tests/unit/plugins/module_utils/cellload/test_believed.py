# SPDX-License-Identifier: MIT
"""From the wire to the verdict: what the client leaves for a good and a bad engine, and whether it is believed."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import clients, verdicts
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict.normal import DefaultLimits

ENVIRON = {"TESTCELL_RUN_ID": "20260101_000000", "TESTCELL_CASE": "c1", "TESTCELL_ATTEMPT": "1"}
LIMITS = DefaultLimits(max_schedule_delay_ms_p95=None)  # a slow machine is no reason for these tests to fail


def verdict_of(ran: Any, **identity: Any) -> tuple[str, str]:
    """Return verdict and first reason of a load, with the client's exit status as the script's."""
    measured = clients.get("testcell").read(ran.folder.parent, ("out/",))
    ours = {"run_id": "20260101_000000", "case": "c1", "attempt": 1, **identity}
    judgement = clients.judge(measured, LIMITS, **ours, script_exit=ran.status)
    found = verdicts.combine(control_ok=True, script_exit=ran.status, judgement=judgement, failures=(), at=0.0)
    return found.verdict, found.reasons[0] if found.reasons else ""


def good(wire: Any) -> bytes:
    return wire.streamed(wire.token("a"), wire.token("b", "stop"), wire.usage(5, 2), "[DONE]")


def broken(wire: Any) -> bytes:
    return wire.streamed(
        wire.token("a"), {"error": {"message": "EngineCore encountered an issue.", "code": 500}}, "[DONE]"
    )


@pytest.mark.parametrize(
    "config", [{"max_concurrency": 3}, {"request_rate": 200}, {"stream": True, "warmup": 2}, {"keep_alive": False}]
)
def test_a_good_engine_is_believed(cell: Any, wire: Any, config: dict[str, Any]) -> None:
    assert verdict_of(cell.load(wire.says(good(wire)), ENVIRON, num_prompts=8, **config)) == ("pass", "")


def test_goodput_is_believed_too(cell: Any, wire: Any) -> None:
    assert verdict_of(cell.load(wire.says(good(wire)), ENVIRON, num_prompts=3, goodput={"ttft_ms": 1e6}))[0] == "pass"


def test_an_answer_that_is_not_streamed_is_believed(cell: Any, wire: Any) -> None:
    answer = wire.whole(
        {"choices": [{"text": "abc", "finish_reason": "stop"}], "usage": {"prompt_tokens": 2, "completion_tokens": 3}}
    )
    assert verdict_of(cell.load(wire.says(answer), ENVIRON, stream=False))[0] == "pass"


def test_streams_that_say_200_and_then_an_error_are_invalid(cell: Any, wire: Any) -> None:
    ran = cell.load(wire.says(broken(wire)), ENVIRON, num_prompts=5)
    assert ran.status == 1
    assert verdict_of(ran) == ("invalid", "5 of 5 answers broke off after HTTP 200 (engine_dead 5), limit 0 %")


def test_one_such_stream_among_good_ones_is_enough(cell: Any, wire: Any) -> None:
    answers = iter([good(wire), good(wire), broken(wire), good(wire)])

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        writer.write(next(answers))

    ran = cell.load(behave, ENVIRON, num_prompts=4)
    assert (ran.status, verdict_of(ran)[0]) == (0, "invalid")


def test_an_engine_that_generates_no_token_has_no_data(cell: Any, wire: Any) -> None:
    ran = cell.load(
        wire.says(wire.streamed(wire.token("", "stop"), wire.usage(5, 0), "[DONE]")), ENVIRON, num_prompts=5
    )
    assert (ran.status, verdict_of(ran)) == (0, ("no_data", "0 output tokens were generated, at least 1 needed"))


def test_an_engine_that_only_claims_tokens_has_no_data(cell: Any, wire: Any) -> None:
    ran = cell.load(
        wire.says(wire.streamed(wire.token("", "stop"), wire.usage(5, 64), "[DONE]")), ENVIRON, num_prompts=5
    )
    assert verdict_of(ran)[0] == "no_data"


def test_an_engine_that_is_not_there_gives_no_data(cell: Any, wire: Any) -> None:
    ran = cell.load(wire.says(wire.whole({}, 503)), ENVIRON, num_prompts=5)
    assert verdict_of(ran) == ("no_data", "5 of 5 requests failed (overloaded 5), limit 0 %")


def test_a_load_that_was_stopped_is_not_believed(cell: Any, wire: Any) -> None:
    count = 0

    async def behave(writer: asyncio.StreamWriter, received: Any) -> None:
        nonlocal count
        count += 1
        if count == 3:
            threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGTERM)).start()
            await asyncio.sleep(30)
        writer.write(good(wire))

    ran = cell.load(behave, ENVIRON, num_prompts=10)
    assert (ran.status, verdict_of(ran)) == (143, ("invalid", "3 of 10 wanted requests were sent"))


def test_g03_the_files_of_the_last_run_are_not_this_run_s(cell: Any, wire: Any) -> None:
    ran = cell.load(wire.says(good(wire)), ENVIRON)
    found, reason = verdict_of(ran, run_id="20260101_000001")
    assert found == "no_data"
    assert "belong to run '20260101_000000'" in reason
