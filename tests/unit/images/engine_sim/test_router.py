# SPDX-License-Identifier: MIT
from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from engine_sim.pool import Pool

PAIRS = [f"prefill-{p},decode-{d}" for p in (1, 2) for d in (1, 2)]


def pair_of(answer: Any) -> str:
    return f"{answer.headers['x-testcell-prefill']},{answer.headers['x-testcell-decode']}"


@pytest.mark.parametrize("stream", [False, True])
def test_apart_or_in_one_piece_the_engine_says_the_same(sims: Any, stream: bool) -> None:
    together, apart = sims.start(), sims.disaggregated()
    prompts = [f"prompt number {number}" for number in range(4)]
    assert [apart.complete(prompt, stream=stream).text for prompt in prompts] == [
        together.complete(prompt, stream=stream).text for prompt in prompts
    ]


def test_a_chat_goes_through_the_pair(sims: Any) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
    apart = sims.disaggregated().ask("/v1/chat/completions", body).json
    assert apart["choices"] == sims.start().ask("/v1/chat/completions", body).json["choices"]


def test_the_kv_really_goes_from_prefill_to_decode(sims: Any) -> None:
    router = sims.disaggregated(prefill=1, decode=1)
    answer = router.complete("one two three", tokens=5)
    prefill, decode = sims.named("prefill-1"), sims.named("decode-1")
    assert answer.json["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    assert prefill.metric("engine_sim:kv_transfer_bytes_total") == 3 * 256
    assert decode.metric("engine_sim:kv_transfer_bytes_total") == 3 * 256
    assert (prefill.metric("vllm:prompt_tokens_total"), prefill.metric("vllm:generation_tokens_total")) == (3, 0)
    assert (decode.metric("vllm:prompt_tokens_total"), decode.metric("vllm:generation_tokens_total")) == (0, 5)


def test_turns_go_through_all_pairs_alike(sims: Any) -> None:
    router = sims.disaggregated()
    seen = Counter(pair_of(router.complete(tokens=1)) for _ in range(8))
    assert seen == Counter(dict.fromkeys(PAIRS, 2))


@pytest.mark.parametrize(
    ("prefill", "decode"), [(1, 1), (1, 2), (2, 1), (1, 3), (2, 3), (2, 4), (4, 2), (3, 3), (4, 6)]
)
def test_each_pair_gets_as_many_turns_as_any_other(prefill: int, decode: int) -> None:
    pool = Pool(
        *(
            [(f"{kind}-{number}", "http://x") for number in range(count)]
            for kind, count in (("p", prefill), ("d", decode))
        )
    )
    for peer in (*pool.peers["prefill"], *pool.peers["decode"]):
        peer.healthy = True
    turns = [pool.choose("") for _ in range(2 * prefill * decode)]
    seen = Counter((one.id, other.id) for one, other in turns)
    assert sorted(seen.values()) == [2] * (prefill * decode)


@pytest.mark.parametrize("pair", PAIRS)
def test_a_header_names_the_pair(sims: Any, pair: str) -> None:
    answer = sims.disaggregated().complete(headers={"X-Testcell-Pair": pair}, stream=True)
    assert answer.status == 200
    assert pair_of(answer) == pair


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("prefill-1", "X-Testcell-Pair must be PREFILL,DECODE, got 'prefill-1'"),
        ("prefill-9,decode-1", "no prefill worker 'prefill-9'; known: prefill-1, prefill-2"),
        ("prefill-1,prefill-2", "no decode worker 'prefill-2'; known: decode-1, decode-2"),
    ],
)
def test_a_pair_that_does_not_exist_is_refused(sims: Any, pair: str, message: str) -> None:
    answer = sims.disaggregated().complete(headers={"X-Testcell-Pair": pair})
    assert (answer.status, answer.json["error"]["message"]) == (400, message)


def test_workers_are_listed_with_health_and_counts(sims: Any) -> None:
    router = sims.disaggregated(prefill=1, decode=2)
    router.complete(headers={"X-Testcell-Pair": "prefill-1,decode-2"})
    listed = router.ask("/workers").json
    assert listed["counts"] == {
        "prefill": {"registered": 1, "healthy": 1},
        "decode": {"registered": 2, "healthy": 2},
    }
    assert [worker["requests"] for worker in listed["decode"]] == [0, 1]
    worker = listed["prefill"][0]
    assert worker.pop("probed_s_ago") >= 0
    assert worker == {
        "id": "prefill-1",
        "role": "prefill",
        "url": sims.named("prefill-1").url,
        "healthy": True,
        "error": None,
        "requests": 1,
        "failures": 0,
        "inflight": 0,
    }


def test_a_worker_that_is_gone_is_seen_and_passed_over(sims: Any) -> None:
    router = sims.disaggregated()
    sims.stop(sims.named("decode-1"))
    sims.probe(router)
    listed = router.ask("/workers").json
    assert listed["counts"]["decode"] == {"registered": 2, "healthy": 1}
    assert listed["decode"][0]["error"].startswith("http_refused: ")
    assert {router.complete(tokens=1).headers["x-testcell-decode"] for _ in range(4)} == {"decode-2"}
    assert router.ask("/health").status == 200


def test_a_router_without_a_healthy_pair_is_not_healthy(sims: Any) -> None:
    router = sims.disaggregated(prefill=1, decode=1)
    sims.stop(sims.named("prefill-1"))
    sims.probe(router)
    assert router.ask("/health").status == 503
    refused = router.complete()
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert refused.json["error"]["message"] == "no healthy prefill worker"


@pytest.mark.parametrize(("gone", "kind"), [("prefill-1", "http_refused"), ("decode-1", "kv_transfer_failed")])
def test_a_named_worker_that_is_gone_is_a_bad_gateway_with_its_address(sims: Any, gone: str, kind: str) -> None:
    router = sims.disaggregated()
    address = sims.named(gone).url
    sims.stop(sims.named(gone))
    answer = router.complete(headers={"X-Testcell-Pair": "prefill-1,decode-1"})
    assert (answer.status, answer.json["error"]["type"]) == (502, kind)
    assert address in answer.json["error"]["message"]
    assert pair_of(answer) == "prefill-1,decode-1"


def test_a_worker_of_the_wrong_role_is_not_healthy(sims: Any) -> None:
    decode = sims.start(role="decode", name="d")
    router = sims.start(role="router", name="r", prefill=(("p", decode.url),), decode=(("d", decode.url),))
    sims.probe(router)
    assert router.ask("/workers").json["prefill"][0]["error"] == "is a decode worker, not prefill"


def test_prefill_uses_its_own_address_of_a_decode_worker(sims: Any, closed_port: Callable[[], int]) -> None:
    decode = sims.start(role="decode", name="decode-1")
    prefill = sims.start(role="prefill", name="prefill-1", decode=(("decode-1", decode.url),))
    unreachable = f"http://127.0.0.1:{closed_port()}"
    body = {"prompt": "one two", "decode": "decode-1", "decode_url": unreachable}
    assert prefill.ask("/pd/prefill", body).status == 200
    assert prefill.ask("/pd/prefill", {**body, "decode": "decode-2"}).status == 502
    assert decode.metric("engine_sim:kv_transfer_bytes_total") == 2 * 256


def test_kv_whose_digest_is_not_the_announced_one_is_refused(sims: Any) -> None:
    decode = sims.start(role="decode", name="d")
    headers = {"x-request-id": "r", "x-kv-digest": "0" * 64, "x-kv-tokens": "1"}
    answer = decode.ask("/pd/kv", b"bytes", headers=headers, method="PUT")
    assert (answer.status, answer.json["error"]["type"]) == (422, "kv_transfer_failed")


def test_workers_answer_by_themselves_too(sims: Any) -> None:
    router, single = sims.disaggregated(prefill=1, decode=1), sims.start()
    said = {sims.named(name).complete().text for name in ("prefill-1", "decode-1")}
    assert said == {single.complete().text} == {router.complete().text}


def test_a_bad_request_is_refused_before_any_worker_sees_it(sims: Any) -> None:
    router = sims.disaggregated()
    assert router.complete(tokens=0).status == 400
    assert sum(worker["requests"] for worker in router.ask("/workers").json["prefill"]) == 0


def test_the_router_counts_by_pair_and_status(sims: Any) -> None:
    router = sims.disaggregated(prefill=1, decode=1)
    router.complete()
    text = router.ask("/metrics").body.decode()
    counted = 'engine_sim:router_requests_total{prefill="prefill-1",decode="decode-1",status="200"} 1'
    assert counted in text
    assert 'engine_sim:router_workers{role="decode",state="healthy"} 1' in text
