# SPDX-License-Identifier: MIT
"""Each fault of the catalogue, switched on, and what a client then sees."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine_sim.fault_catalogue import CATALOGUE
from engine_sim.text import GARBAGE

SHORT_S = 0.3
Look = Callable[[Any], None]


def tokens_in(answer: Any) -> int:
    """Return how many events of a stream carry text."""
    events = [event for event in answer.events if isinstance(event, dict)]
    return sum(bool(choice["text"]) for event in events for choice in event.get("choices", []))


def hangs(ask: Callable[[], object]) -> bool:
    """Say whether a question gets no bytes in a short while."""
    try:
        ask()
    except TimeoutError:
        return True
    return False


def not_ready(sim: Any) -> None:
    assert sim.ask("/health").status == 503
    assert sim.ask("/health").json["status"] == "starting"
    assert (sim.complete().status, sim.complete().headers["retry-after"]) == (503, "1")


def health_hangs_after_two(sim: Any) -> None:
    assert [sim.complete().status, sim.stream().status] == [200, 200]
    assert hangs(lambda: sim.complete(wait_s=SHORT_S))
    assert hangs(lambda: sim.ask("/health", wait_s=SHORT_S))


def hangs_behind_a_healthy_face(sim: Any) -> None:
    assert sim.complete().status == 200
    assert hangs(lambda: sim.complete(wait_s=SHORT_S))
    assert sim.ask("/health").status == 200


def dead_behind_a_healthy_face(sim: Any) -> None:
    answer = sim.stream()
    assert (answer.status, answer.json["error"]["type"]) == (500, "EngineDeadError")
    assert "EngineCore encountered an issue" in answer.json["error"]["message"]
    assert sim.ask("/health").status == 200


def overloaded(status: int, retry_after: str) -> Look:
    def look(sim: Any) -> None:
        answer = sim.complete()
        assert (answer.status, answer.headers["retry-after"]) == (status, retry_after)
        assert answer.json["error"]["code"] == status
        assert sim.ask("/health").status == 200

    return look


def two_a_minute_pass(sim: Any) -> None:
    answers = [sim.complete() for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert 10_000 < float(answers[2].headers["retry-after-ms"]) <= 30_000
    assert answers[2].json["error"]["type"] == "RateLimitError"
    assert sim.ask("/health").status == 200


def first_token_is_late(sim: Any) -> None:
    assert tokens_in(sim.stream()) == 8
    assert 0.2 <= sim.metric("vllm:time_to_first_token_seconds_sum") < 2
    assert sim.metric("vllm:inter_token_latency_seconds_sum") < 0.1


def error_after(tokens: int) -> Look:
    def look(sim: Any) -> None:
        answer = sim.stream()
        assert answer.status == 200
        assert tokens_in(answer) == tokens
        *_, error, done = answer.events
        assert (error["error"]["type"], error["error"]["code"]) == ("InternalServerError", 500)
        assert done == "[DONE]"
        assert not any("usage" in event and event["usage"] for event in answer.events[:-1])
        assert sim.complete().status == 500
        assert sim.metric("vllm:request_success_total") == 2
        assert sim.metric("vllm:num_requests_running") == 0

    return look


def reset_midway(sim: Any) -> None:
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        sim.stream()
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        sim.complete()
    assert sim.ask("/health").status == 200


def stalls(sim: Any) -> None:
    assert hangs(lambda: sim.stream(wait_s=SHORT_S))
    assert hangs(lambda: sim.complete(wait_s=SHORT_S))
    assert sim.metric("vllm:generation_tokens_total") == 2 * 3


def no_token_at_all(sim: Any) -> None:
    whole, streamed = sim.complete(), sim.stream()
    assert (whole.status, streamed.status) == (200, 200)
    assert whole.json["usage"]["completion_tokens"] == 0
    assert (whole.text, whole.json["choices"][0]["finish_reason"]) == ("", "stop")
    assert tokens_in(streamed) == 0
    assert streamed.events[-2]["usage"]["completion_tokens"] == 0
    assert streamed.events[0]["choices"][0]["finish_reason"] == "stop"


def only_garbage(sim: Any) -> None:
    answer = sim.complete(tokens=20)
    assert answer.json["usage"]["completion_tokens"] == 20
    assert answer.text and set(answer.text) <= set("".join(GARBAGE))


def memory_grows_by_request(sim: Any) -> None:
    before = sim.metric("process_resident_memory_bytes")
    for _ in range(5):
        sim.complete()
    assert sim.metric("process_resident_memory_bytes") - before >= 4 * (8 << 20)


def descriptors_grow_by_request(sim: Any) -> None:
    before = sim.metric("process_open_fds")
    for _ in range(5):
        sim.complete()
    assert sim.metric("process_open_fds") - before == pytest.approx(35, abs=3)


@pytest.mark.parametrize(
    ("faults", "look"),
    [
        ("slow_start=60", not_ready),
        ("never_healthy", not_ready),
        ("hang=2", health_hangs_after_two),
        ("engine_dead=hang:1", hangs_behind_a_healthy_face),
        ("engine_dead=500", dead_behind_a_healthy_face),
        ("overload=429:7", overloaded(429, "7")),
        ("overload=503", overloaded(503, "1")),
        ("rate_limit=0.033333:2", two_a_minute_pass),
        ("slow_ttft=0.2", first_token_is_late),
        ("error_after=0", error_after(0)),
        ("error_after=3", error_after(3)),
        ("error_after=99", error_after(7)),
        ("reset_after=3", reset_midway),
        ("stall_after=3", stalls),
        ("zero_tokens", no_token_at_all),
        ("garbage", only_garbage),
        ("leak_memory_per_request=8MiB", memory_grows_by_request),
        ("leak_fds_per_request=7", descriptors_grow_by_request),
    ],
)
def test_an_engine_goes_wrong_as_told(sims: Any, faults: str, look: Look) -> None:
    look(sims.start(faults))


def kv_of_another_request_is_an_error(router: Any, honest: str) -> None:
    answer = router.stream()
    assert (answer.status, answer.json["error"]["type"]) == (500, "kv_transfer_failed")
    assert "the KV is of another request" in answer.json["error"]["message"]


def kv_of_another_request_is_not_noticed(router: Any, honest: str) -> None:
    answer = router.stream()
    assert (answer.status, tokens_in(answer)) == (200, 8)
    assert answer.events[-2]["usage"]["completion_tokens"] == 8
    assert answer.text != honest


def lost_kv_is_an_error(router: Any, honest: str) -> None:
    answer = router.stream()
    assert (answer.status, answer.json["error"]["type"]) == (500, "kv_transfer_failed")
    assert "Failed to get kvcache from prefill instance" in answer.json["error"]["message"]


def lost_kv_is_answered_with_200(router: Any, honest: str) -> None:
    whole, streamed = router.complete(), router.stream()
    assert (whole.status, streamed.status) == (200, 200)
    assert (whole.text, whole.json["choices"][0]["finish_reason"]) == ("", "abort")
    assert whole.json["usage"]["completion_tokens"] == 0
    assert (tokens_in(streamed), streamed.events[-1]) == (0, "[DONE]")
    assert router.ask("/health").status == 200


def stream_breaks_through_the_router(router: Any, honest: str) -> None:
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        router.stream()


def error_event_comes_through_the_router(router: Any, honest: str) -> None:
    answer = router.stream()
    assert (answer.status, tokens_in(answer), answer.events[-2]["error"]["code"]) == (200, 3, 500)


def refusal_comes_through_the_router(router: Any, honest: str) -> None:
    answer = router.complete()
    assert (answer.status, answer.headers["retry-after"]) == (503, "4")


@pytest.mark.parametrize(
    ("faults", "look"),
    [
        ("wrong_pair=500", kv_of_another_request_is_an_error),
        ("wrong_pair@decode=500", kv_of_another_request_is_an_error),
        ("wrong_pair=garbage", kv_of_another_request_is_not_noticed),
        ("wrong_pair@decode=garbage", kv_of_another_request_is_not_noticed),
        ("kv_fail=500", lost_kv_is_an_error),
        ("kv_fail@decode=500", lost_kv_is_an_error),
        ("kv_fail=200", lost_kv_is_answered_with_200),
        ("kv_fail@decode=200", lost_kv_is_answered_with_200),
        ("reset_after=3", stream_breaks_through_the_router),
        ("error_after=3", error_event_comes_through_the_router),
        ("overload@prefill=503:4", refusal_comes_through_the_router),
        ("overload@decode=503:4", refusal_comes_through_the_router),
    ],
)
def test_a_pair_goes_wrong_as_told(sims: Any, faults: str, look: Callable[[Any, str], None]) -> None:
    look(sims.disaggregated(faults, prefill=1, decode=1), sims.start().complete().text)


def test_one_bad_worker_spoils_its_pairs_only(sims: Any) -> None:
    router = sims.disaggregated("wrong_pair@prefill-2=500")
    statuses = {
        pair: router.complete(headers={"X-Testcell-Pair": pair}).status
        for pair in ("prefill-1,decode-1", "prefill-1,decode-2", "prefill-2,decode-1", "prefill-2,decode-2")
    }
    assert list(statuses.values()) == [200, 200, 500, 500]


def test_the_wrong_kv_is_that_of_the_request_before(sims: Any) -> None:
    router = sims.disaggregated("wrong_pair=garbage", prefill=1, decode=1)
    router.complete("the first prompt")
    assert router.complete("the second prompt").text == sims.start().complete("the first prompt").text


def test_a_fault_with_a_probability_meets_some_requests(sims: Any) -> None:
    sim = sims.start("error_after%0.5#3=0")
    statuses = [sim.complete(tokens=1).status for _ in range(20)]
    again = sims.start("error_after%0.5#3=0")
    assert set(statuses) == {200, 500}
    assert [again.complete(tokens=1).status for _ in range(20)] == statuses


def test_a_slow_start_ends(sims: Any) -> None:
    sim = sims.start("slow_start=0.000001")
    assert sim.ask("/health").status == 200


def test_a_hanging_worker_is_not_healthy_for_the_router(sims: Any) -> None:
    router = sims.disaggregated("hang@decode-1=0")
    sims.probe(router)
    listed = router.ask("/workers").json
    assert listed["counts"]["decode"]["healthy"] == 1
    assert listed["decode"][0]["error"].startswith("http_timeout")


def test_a_worker_that_never_answers_is_a_gateway_timeout(sims: Any) -> None:
    router = sims.disaggregated("engine_dead@decode=hang", prefill=1, decode=1, worker_timeout_s=SHORT_S)
    answer = router.complete()
    assert (answer.status, answer.json["error"]["type"]) == (504, "http_timeout")


def test_every_fault_is_seen_in_a_test() -> None:
    here = Path(__file__)
    others = ("test_main.py", "test_reports.py")
    tables = here.read_text() + "".join(here.with_name(name).read_text() for name in others)
    assert [name for name in CATALOGUE if not re.search(rf"\b{name}\b", tables)] == []


def test_every_fault_is_in_the_reference() -> None:
    page = (Path(__file__).parents[4] / "docs" / "reference" / "engine-sim.md").read_text()
    assert [name for name in CATALOGUE if f"`{name}" not in page] == []
