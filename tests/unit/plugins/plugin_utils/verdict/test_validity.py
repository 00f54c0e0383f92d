# SPDX-License-Identifier: MIT
"""What may be believed: the table of results and their verdicts (fault rows G01 to G03, findings 11)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import validity
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict.normal import (
    DefaultLimits,
    Judgement,
    Measured,
    Output,
)

LIMITS = DefaultLimits()


def judge(made: Any, summary: Any, records: Any, limits: Any = LIMITS, **more: Any) -> Judgement:
    return validity.judge(summary, records, limits, **{**made.identity, **more})


def of(made: Any, records: list[dict[str, Any]], limits: Any = LIMITS, wanted: int | None = None) -> Judgement:
    """Return the judgement of records with the summary that belongs to them."""
    return judge(made, made.benchmark(records, wanted), records, limits)


def test_a_good_result_passes_and_every_check_speaks(made: Any) -> None:
    found = of(made, [made.record(index) for index in range(20)])
    assert (found.verdict, found.reasons, found.error_kind, found.measured) == ("pass", (), "", True)
    assert {check.name for check in found.checks} == {
        "identity", "files", "consistent", "sent", "streams", "errors", "completed", "tokens", "token_share",
        "schedule_delay", "client_lag",
    }  # fmt: skip
    assert all(check.message for check in found.checks)
    json.dumps(found.as_dict(), allow_nan=False)


Records = Callable[[Any], list[dict[str, Any]]]

# Records, wanted requests, then verdict, error kind and the first reason.
RESULTS: dict[str, tuple[Records, int, str, str, str]] = {
    "error_after_200_everywhere": (
        lambda m: [m.failed(i, "engine_dead", 200) for i in range(4)],
        4, "invalid", "bench_partial", "4 of 4 answers broke off after HTTP 200 (engine_dead 4), limit 0 %",
    ),
    "error_after_200_once": (
        lambda m: [*(m.record(i) for i in range(99)), m.failed(99, "http_5xx", 200, chunks=2, output_tokens=2)],
        100, "invalid", "bench_partial", "1 of 100 answers broke off after HTTP 200 (http_5xx 1), limit 0 %",
    ),
    "error_after_200_and_the_rest_without_tokens": (
        lambda m: [m.failed(0, "http_5xx", 200), m.empty(1)],
        2, "invalid", "bench_partial", "1 of 2 answers broke off after HTTP 200 (http_5xx 1), limit 0 %",
    ),
    "no_token_at_all": (
        lambda m: [m.empty(i) for i in range(4)],
        4, "no_data", "bench_no_data", "0 output tokens were generated, at least 1 needed",
    ),
    "half_without_tokens": (
        lambda m: [m.record(0), m.empty(1)],
        2, "invalid", "bench_partial", "1 of 2 completed requests brought tokens, 100 % needed",
    ),
    "G02_all_failed": (
        lambda m: [m.failed(i) for i in range(5)],
        5, "no_data", "bench_no_data", "5 of 5 requests failed (http_refused 5), limit 0 %",
    ),
    "G02_one_failed": (
        lambda m: [m.record(0), m.failed(1, "overloaded", 503)],
        2, "invalid", "bench_partial", "1 of 2 requests failed (overloaded 1), limit 0 %",
    ),
    "G02_fewer_than_wanted": (
        lambda m: [m.record(i) for i in range(50)],
        100, "invalid", "bench_partial", "50 of 100 wanted requests were sent",
    ),
    "G01_no_request_sent": (
        lambda m: [],
        100, "no_data", "bench_no_data", "0 of 100 wanted requests were sent",
    ),
    "client_too_slow": (
        lambda m: [m.record(i, sent_s=i + 0.25, first_token_s=i + 0.35, end_s=i + 0.55) for i in range(10)],
        10, "invalid", "bench_failed", "p95 schedule delay is 250.0 ms, limit 100 ms",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RESULTS)
def test_result_has_its_verdict_and_reason(made: Any, name: str) -> None:
    records, wanted, verdict, kind, reason = RESULTS[name]
    found = of(made, records(made), wanted=wanted)
    assert (found.verdict, found.error_kind, found.reasons[0]) == (verdict, kind, reason)


def test_each_sentence_counts_the_errors_that_it_is_about(made: Any) -> None:
    broken = [made.failed(i, "http_reset", 200, chunks=1, output_tokens=1) for i in range(4)]
    refused = [made.failed(i, "http_reset") for i in range(4, 8)]
    found = of(made, [*broken, *refused, made.failed(8, "overloaded", 503), *(made.record(i) for i in range(9, 20))])
    assert found.reasons[:2] == (
        "4 of 20 answers broke off after HTTP 200 (http_reset 4), limit 0 %",
        "9 of 20 requests failed (http_reset 8, overloaded 1), limit 0 %",
    )


def test_the_scenario_s_number_counts_beside_the_client_s(made: Any) -> None:
    records = [made.record(0)]
    assert judge(made, made.benchmark(records), records, wanted=2).reasons[0] == "1 of 2 wanted requests were sent"


def test_a_load_bounded_by_time_wants_what_it_sent(made: Any) -> None:
    records = [made.record(0)]
    summary = made.benchmark(records)
    summary["requested"]["num_prompts"] = None
    assert judge(made, summary, records).verdict == "pass"
    assert judge(made, {**summary, **made.benchmark([]), "requested": {}}, []).verdict == "no_data"


LOOSE = replace(LIMITS, min_completed_ratio=0.9, max_error_ratio=0.1)


@pytest.mark.parametrize(
    ("failures", "verdict"), [(1, "pass"), (2, "invalid")], ids=["at_the_limit", "above_the_limit"]
)
def test_limits_of_the_scenario_are_used(made: Any, failures: int, verdict: str) -> None:
    records = [
        *(made.record(i) for i in range(10 - failures)),
        *(made.failed(10 - i, "http_5xx", 200) for i in range(1, failures + 1)),
    ]
    assert of(made, records, LOOSE).verdict == verdict


def test_more_tokens_may_be_asked_for(made: Any) -> None:
    found = of(made, [made.record(0)], replace(LIMITS, min_tokens=4))
    assert found.reasons == ("3 output tokens were generated, at least 4 needed",)


def test_a_limit_of_none_tokens_still_needs_one(made: Any) -> None:
    assert of(made, [made.empty(0)], replace(LIMITS, min_tokens=0, min_completed_ratio=0.0)).verdict == "no_data"


def test_a_delay_limit_of_none_is_not_held(made: Any) -> None:
    records = [made.record(0, scheduled_s=0.0, sent_s=9.0, first_token_s=9.1, end_s=9.3)]
    assert of(made, records).verdict == "invalid"
    assert of(made, records, replace(LIMITS, max_schedule_delay_ms_p95=None)).verdict == "pass"


def test_a_busy_client_is_the_bottleneck_even_when_it_sent_in_time(made: Any) -> None:
    records = [made.record(0)]
    summary = made.benchmark(records, client={"loop_lag_ms": {"p95": 140.0}})
    found = judge(made, summary, records)
    assert (found.verdict, found.reasons) == ("invalid", ("the client woke up late by 140.0 ms at p95, limit 100 ms",))


def test_a_concurrency_limit_that_delayed_an_open_loop_is_named(made: Any) -> None:
    records = [made.record(0, sent_s=0.25, first_token_s=0.35, end_s=0.55)]
    found = judge(made, made.benchmark(records, client={"held_back": 7}), records)
    assert found.reasons[0].endswith("limit 100 ms (7 requests waited for max_concurrency)")


# A server that throttles


def throttled(made: Any, count: int, rate: float) -> list[dict[str, Any]]:
    """Return requests that were sent at rate after one refusal each, due at once."""
    records = []
    for index in range(count):
        sent = index / rate
        times = {"sent_s": sent, "first_token_s": sent + 0.1, "end_s": sent + 0.3}
        records.append(made.record(index, scheduled_s=0.0, held_s=sent, attempts=2, refused=1, **times))
    return records


def asked_for(made: Any, records: list[dict[str, Any]], rate: float | None) -> dict[str, Any]:
    summary = made.benchmark(records)
    return {**summary, "requested": {**summary["requested"], "request_rate": rate}}


# Asked and achieved rate (requests/s), the least share, then the verdict and its reasons.
RATES = {
    "closed_loop": (None, 5.0, 0.9, "pass", ()),
    "asked_rate_reached": (5.2, 5.0, 0.9, "pass", ()),
    "asked_rate_missed": (
        10.0, 5.0, 0.9, "invalid", ("the server took 5 of the asked 10 requests/s, at least 90 % needed",),
    ),
    "allowed_to_miss_it": (10.0, 5.0, 0.0, "pass", ()),
}  # fmt: skip


@pytest.mark.parametrize("name", RATES)
def test_a_throttled_result_says_so_and_counts_at_the_asked_rate_only(made: Any, name: str) -> None:
    asked, achieved, least, verdict, reasons = RATES[name]
    records = throttled(made, 20, achieved)
    found = judge(made, asked_for(made, records, asked), records, replace(LIMITS, min_rate_ratio=least))
    assert (found.verdict, found.reasons) == (verdict, reasons)
    wanted = "no rate" if asked is None else f"{asked:g} requests/s"
    told = "the server throttled the load: 20 of 40 attempts were refused, requests were held for 38 s together"
    assert found.notes == (f"{told}; asked {wanted}, achieved 5 requests/s",)


def test_a_load_that_was_not_refused_says_nothing_of_throttling(made: Any) -> None:
    records = [made.record(i, held_s=0.0, attempts=1, refused=0) for i in range(5)]
    found = judge(made, asked_for(made, records, 50.0), records)
    assert (found.verdict, found.notes) == ("pass", ())


def test_lateness_cannot_be_passed_off_as_waiting_for_the_server(made: Any) -> None:
    records = [made.record(i, held_s=5.0, attempts=2, refused=1) for i in range(5)]
    assert "held_s: is 5.0 s, and the request was sent 0.000 s after its schedule" in of(made, records).reasons[0]


ODD_ATTEMPTS = {
    "held_s": ({"held_s": -1, "attempts": 1, "refused": 0}, "held_s: is -1; expected seconds from 0"),
    "attempts": ({"held_s": 0, "attempts": 1.5, "refused": 0}, "attempts: is 1.5; expected a whole number"),
    "missing": ({"held_s": 0, "attempts": 1}, "refused: is missing"),
    "too_many": ({"held_s": 0, "attempts": 1, "refused": 2}, "refused: is 2 of 1 attempts"),
    "never_sent": ({"held_s": 0, "attempts": 0, "refused": 0}, "attempts: is 0 for a completed request"),
}


@pytest.mark.parametrize("name", ODD_ATTEMPTS)
def test_attempts_that_cannot_be_are_invalid(made: Any, name: str) -> None:
    changes, message = ODD_ATTEMPTS[name]
    good = made.record(0, held_s=0.0, attempts=1, refused=0)
    summary = made.benchmark([good])
    record = {key: value for key, value in {**good, **changes}.items() if key in changes or key in made.record(0)}
    found = judge(made, summary, [record])
    assert found.verdict == "invalid"
    assert message in found.reasons[0]


# G01: nothing there


def test_g01_everything_missing_is_no_data(made: Any) -> None:
    found = judge(made, None, [])
    assert (found.verdict, found.error_kind, found.measured) == ("no_data", "bench_no_data", False)
    assert "benchmark.json and requests.jsonl are missing or empty" in found.reasons[0]


def test_g01_samples_that_stop_half_way_are_no_data(made: Any) -> None:
    found = judge(made, None, [made.record(i) for i in range(7)])
    assert (found.verdict, found.error_kind) == ("no_data", "bench_no_data")
    assert "holds 7 requests: the load client was stopped half-way" in found.reasons[0]


# G02: impossible numbers


SPOILED: dict[str, tuple[dict[str, Any], str]] = {
    "negative_ttft": ({"ttft_ms": -1.0}, "requests.jsonl:3: ttft_ms: is -1.0"),
    "nan": ({"e2e_ms": float("nan")}, "requests.jsonl:3: e2e_ms: is nan"),
    "inf": ({"end_s": float("inf")}, "requests.jsonl:3: end_s: is inf"),
    "negative_gap": ({"itl_ms": [1.0, -2.0]}, "requests.jsonl:3: itl_ms[1]: is -2.0"),
    "negative_tokens": ({"output_tokens": -3}, "requests.jsonl:3: output_tokens: is -3"),
    "fraction_of_a_token": ({"output_tokens": 1.5}, "requests.jsonl:3: output_tokens: is 1.5"),
    "text_for_a_number": ({"sent_s": "2"}, "requests.jsonl:3: sent_s: is '2'"),
    "flag_for_a_number": ({"chunks": True}, "requests.jsonl:3: chunks: is True"),
    "time_runs_backwards": (
        {"first_token_s": 1.0},
        "requests.jsonl:3: first_token_s: is 1.0 s, before the request was sent",
    ),
    "end_before_first_token": ({"end_s": 2.05, "e2e_ms": 50.0}, "requests.jsonl:3: end_s: is 2.05 s, before"),
    "sent_before_its_time": ({"scheduled_s": 2.5}, "requests.jsonl:3: sent_s: is 2.0 s, before its schedule of 2.5 s"),
    "ttft_not_of_its_times": ({"ttft_ms": 5.0}, "requests.jsonl:3: ttft_ms: is 5.0 ms, and the times give 100.000 ms"),
    "ttft_without_first_token": (
        {"first_token_s": None},
        "requests.jsonl:3: ttft_ms: is 100.0 ms, and the times give nothing",
    ),
    "ok_with_an_error": (
        {"error_kind": "http_5xx"},
        "requests.jsonl:3: ok: is true with status 200 and error_kind 'http_5xx'",
    ),
    "ok_with_a_bad_status": ({"status": 500}, "requests.jsonl:3: ok: is true with status 500"),
    "failed_without_a_kind": ({"ok": False}, "requests.jsonl:3: error_kind: is missing for a failed request"),
    "ok_without_an_end": ({"e2e_ms": None}, "requests.jsonl:3: e2e_ms: is null for a completed request"),
    "hidden_emptiness": ({"chunks": 0, "itl_ms": []}, "requests.jsonl:3: no_tokens: is False with 0 content chunks"),
    "too_many_gaps": ({"itl_ms": [1.0] * 9}, "requests.jsonl:3: itl_ms: has 9 gaps between 3 content chunks"),
    "same_index": ({"index": 0}, "requests.jsonl:3: index: 0 is also on line 1"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_g02_impossible_record_is_invalid_by_line_and_key(made: Any, name: str) -> None:
    changes, message = SPOILED[name]
    good = [made.record(index) for index in range(4)]
    found = judge(made, made.benchmark(good), [*good[:2], {**good[2], **changes}, good[3]])
    assert (found.verdict, found.error_kind) == ("invalid", "result_invalid")
    assert message in found.reasons[0]


def test_g02_missing_key_is_named(made: Any) -> None:
    records = [made.record(0)]
    summary = made.benchmark(records)
    del records[0]["sent_s"]
    assert "requests.jsonl:1: sent_s: is missing" in judge(made, summary, records).reasons[0]


@pytest.mark.parametrize(
    ("path", "value"),
    [("metrics.ttft_ms.p95", float("nan")), ("metrics.request_throughput", float("inf")), ("achieved.completed", -1)],
)
def test_g02_impossible_summary_is_invalid_by_key(made: Any, path: str, value: float) -> None:
    records = [made.record(0)]
    summary = made.benchmark(records)
    *folders, last = path.split(".")
    place = summary
    for name in folders:
        place = place[name]
    place[last] = value
    found = judge(made, summary, records)
    assert (found.verdict, found.error_kind) == ("invalid", "result_invalid")
    assert f"benchmark.json: {path}: is {value!r}" in found.reasons[0]


@pytest.mark.parametrize("part", ["requested", "achieved", "tokens", "metrics", "errors"])
def test_g02_missing_part_is_named(made: Any, part: str) -> None:
    records = [made.record(0)]
    found = judge(made, made.benchmark(records, **{part: None}), records)
    assert found.verdict == "invalid"
    assert f"benchmark.json: {part}: is missing or no mapping" in found.reasons[0]


def test_at_most_twenty_faults_are_listed_and_the_rest_counted(made: Any) -> None:
    good = [made.record(index) for index in range(50)]
    found = judge(made, made.benchmark(good), [{**item, "ttft_ms": -1} for item in good])
    assert found.reasons[0].count("ttft_ms") == 20
    assert "has 30 more faults" in found.reasons[0]


# The summary is never trusted alone


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "completed": ({"achieved": {"rate": None, "sent": 1, "completed": 2, "failed": 0, "without_tokens": 0}},
                  "achieved.completed: is 2, and the requests give 1"),
    "tokens": ({"tokens": {"input": 10, "output": 999, "estimated_requests": 0}}, "tokens.output: is 999, and the requests give 3"),
    "errors_hidden": ({"errors": {}}, "errors.http_refused: is null, and the requests give 1"),
    "zero_for_nothing": ({"metrics": {}}, "metrics.ttft_ms: is null, and the requests give a mapping"),
    "duration": ({"duration_s": 0.001}, "duration_s: is 0.001, and the requests give 1.3"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_summary_that_its_requests_do_not_bear_out_is_invalid(made: Any, name: str) -> None:
    changes, message = LIES[name]
    records = [made.record(0), made.failed(1)]
    found = judge(made, made.benchmark(records, **changes), records)
    assert (found.verdict, found.error_kind) == ("invalid", "result_invalid")
    assert f"benchmark.json: {message}" in found.reasons[0]


def test_finding_11_zeros_for_no_samples_are_refused(made: Any) -> None:
    records = [made.failed(0)]
    zeros = dict.fromkeys(("mean", "p50", "p90", "p95", "p99", "min", "max"), 0.0) | {"count": 0}
    summary = made.benchmark(records)
    summary["metrics"]["ttft_ms"] = zeros
    assert "metrics.ttft_ms: is a mapping, and the requests give null" in judge(made, summary, records).reasons[0]


def test_a_missing_line_is_seen_by_the_counts(made: Any) -> None:
    records = [made.record(index) for index in range(3)]
    found = judge(made, made.benchmark(records), records[:2])
    assert "achieved.sent: is 3, and the requests give 2" in found.reasons[0]


# G03: results of another run


@pytest.mark.parametrize(
    ("changes", "stranger"),
    [
        ({"run_id": "20251231_000000"}, "run '20251231_000000', case 'c1', attempt 1"),
        ({"case": "c2"}, "run '20260101_000000', case 'c2', attempt 1"),
        ({"attempt": 2}, "run '20260101_000000', case 'c1', attempt 2"),
        ({"attempt": True}, "attempt 0"),
        ({"run_id": None}, "run 'None'"),
    ],
)
def test_g03_results_of_another_run_are_refused(made: Any, changes: dict[str, Any], stranger: str) -> None:
    records = [made.record(0, **changes)]
    found = judge(made, made.benchmark(records, **changes), records)
    assert (found.verdict, found.error_kind, found.measured) == ("no_data", "bench_no_data", False)
    assert stranger in found.reasons[0]
    assert "not to run '20260101_000000', case 'c1', attempt 1" in found.reasons[0]


def test_g03_requests_of_another_run_beside_our_summary_are_invalid(made: Any) -> None:
    records = [made.record(0), made.record(1, run_id="20251231_000000")]
    found = judge(made, made.benchmark(records), records)
    assert (found.verdict, found.error_kind) == ("invalid", "result_invalid")
    assert "(1 of 3 entries)" in found.reasons[0]


STARTED = 1767225610.0  # 2026-01-01T00:00:10Z, as the summary says


@pytest.mark.parametrize(
    ("not_before", "verdict"), [(STARTED - 5, "pass"), (STARTED + 0.5, "pass"), (STARTED + 3600, "no_data")]
)
def test_g03_results_older_than_the_test_are_refused(made: Any, not_before: float, verdict: str) -> None:
    records = [made.record(0)]
    assert judge(made, made.benchmark(records), records, not_before=not_before).verdict == verdict


def test_an_old_result_says_how_old(made: Any) -> None:
    records = [made.record(0)]
    found = judge(made, made.benchmark(records), records, not_before=STARTED + 3600)
    assert found.reasons == ("the load began 3600.0 s before this test's start at 2026-01-01T01:00:10+00:00",)


@pytest.mark.parametrize("text", [None, 5, "yesterday", "2026-01-01T00:00:10"])
def test_a_start_that_is_no_time_is_refused(made: Any, text: Any) -> None:
    records = [made.record(0)]
    assert judge(made, made.benchmark(records, started_at=text), records, not_before=STARTED).verdict == "no_data"


# Tests without a benchmark


@pytest.mark.parametrize(
    ("outputs", "script_exit", "verdict"),
    [
        ((Output("results/", 2, 10),), 0, "pass"),
        ((Output("results/", 2, 10), Output("x.log", 1, 0)), 0, "no_data"),
        ((Output("results/", 0, 0),), 0, "no_data"),
        ((), 0, "no_data"),
        ((Output("results/", 2, 10),), 1, "no_data"),
        ((Output("results/", 2, 10),), None, "no_data"),
    ],
)
def test_a_script_needs_exit_0_and_data_in_every_result_path(
    outputs: tuple[Output, ...], script_exit: int | None, verdict: str
) -> None:
    assert validity.judge_outputs(Measured("script", outputs=outputs), script_exit).verdict == verdict
