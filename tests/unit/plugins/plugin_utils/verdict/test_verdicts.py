# SPDX-License-Identifier: MIT
"""Verdicts of cases and runs, and exit codes: absence of data is never a pass."""

from __future__ import annotations

from itertools import product

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import names, verdicts
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict.failure import Failure, of
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict.normal import Judgement

PASS = Judgement("pass", (), ())
INVALID = Judgement("invalid", ("3 of 9 answers broke off after HTTP 200",), (), "bench_partial")
NO_TOKENS = Judgement("no_data", ("0 output tokens were generated",), (), "bench_no_data")
NOTHING = Judgement("no_data", ("benchmark.json is missing",), (), "bench_no_data", measured=False)


def combine(
    judgement: Judgement | None, script_exit: int | None = 0, *failures: Failure, control_ok: bool = True
) -> verdicts.CaseVerdict:
    return verdicts.combine(
        control_ok=control_ok, script_exit=script_exit, judgement=judgement, failures=failures, at=99.0
    )


CASES = {
    "all_good": (PASS, 0, "pass", None),
    "script_failed": (PASS, 1, "fail", "test_failed"),
    "script_did_not_end": (PASS, None, "no_data", "bench_no_data"),
    "streams_200_then_an_error": (INVALID, 0, "invalid", "bench_partial"),
    "streams_200_then_an_error_and_the_client_says_1": (INVALID, 1, "invalid", "bench_partial"),
    "no_token": (NO_TOKENS, 0, "no_data", "bench_no_data"),
    "no_token_and_exit_1": (NO_TOKENS, 1, "no_data", "bench_no_data"),
    "nothing_left": (NOTHING, 0, "no_data", "bench_no_data"),
    "nothing_left_and_exit_127": (NOTHING, 127, "fail", "test_failed"),
    "nothing_judged": (None, 0, "no_data", "bench_no_data"),
    "nothing_judged_and_exit_1": (None, 1, "fail", "test_failed"),
    "test_never_ran": (None, None, "no_data", "bench_no_data"),
}


@pytest.mark.parametrize(("judgement", "script_exit", "verdict", "kind"), CASES.values(), ids=CASES)
def test_data_and_script_give_the_verdict(
    judgement: Judgement | None, script_exit: int | None, verdict: str, kind: str | None
) -> None:
    found = combine(judgement, script_exit)
    assert (found.verdict, found.result_ok) == (verdict, verdict == "pass")
    assert (found.failure.error_kind if found.failure else None) == kind
    assert bool(found.reasons) == (verdict != "pass")


FAILURES = {
    "engine_died": ("service_died", "fail"),
    "engine_ran_out_of_memory": ("gpu_oom", "fail"),
    "test_ran_too_long": ("test_timeout", "fail"),
    "node_full": ("disk_full", "error"),
    "ssh_lost": ("ssh_timeout", "error"),
    "image_absent": ("image_not_found", "error"),
    "88_artifact_missing": ("artifact_missing", "error"),
    "not_cleaned": ("cleanup_failed", "error"),
    "cancelled": ("cancelled", "cancelled"),
}


@pytest.mark.parametrize("judgement", [PASS, INVALID, None], ids=["data", "bad_data", "no_data"])
@pytest.mark.parametrize(("kind", "verdict"), FAILURES.values(), ids=FAILURES)
def test_a_failure_decides_by_its_owner(kind: str, verdict: str, judgement: Judgement | None) -> None:
    failure = of(kind, "it happened", at=1.0)
    found = combine(judgement, 0, failure, control_ok=False)
    assert (found.verdict, found.failure, found.reasons[0], found.result_ok) == (verdict, failure, "it happened", False)


def test_the_first_failure_is_kept_whatever_follows() -> None:
    late, early = of("cleanup_failed", "late", at=9.0), of("gpu_oom", "early", at=2.0)
    assert combine(None, None, late, early, control_ok=False).failure is early


def test_all_nodes_that_failed_in_the_same_way_are_told() -> None:
    """Who is told of one node alone mends that one, and comes to the next with the next run."""
    lacks = [
        of("mount_invalid", f"n{node} lacks /data", at=float(9 - node), step="prep", node=f"n{node}") for node in (1, 2)
    ]
    other = of("cleanup_failed", "late", at=9.0, step="clean", node="n2")
    twice = of("mount_invalid", "n2 lacks /models", at=9.5, step="prep", node="n2")
    assert combine(None, None, *lacks, twice, other).reasons == ("n2 lacks /data", "n1 lacks /data")
    many = [
        of("mount_invalid", f"n{node} lacks /data", at=float(node), step="prep", node=f"n{node}") for node in range(64)
    ]
    told = combine(None, None, *many).reasons
    assert told[:8] == tuple(f"n{node} lacks /data" for node in range(8))
    assert told[8:] == ("56 more like these; see the case's warnings",)


@pytest.mark.parametrize("kind", verdicts.CONCLUSIONS)
def test_conclusions_drawn_from_the_data_do_not_outrank_it(kind: str) -> None:
    failure = of(kind, "the client ended with 1", at=1.0)
    found = combine(INVALID, 1, failure)
    assert (found.verdict, found.failure, found.reasons) == ("invalid", failure, INVALID.reasons)


def test_a_broken_cell_without_a_named_failure_is_an_error() -> None:
    found = combine(PASS, 0, control_ok=False)
    assert (found.verdict, found.control_ok, found.result_ok) == ("error", False, False)
    assert found.failure is not None
    assert (found.failure.error_kind, found.failure.at) == ("internal_error", 99.0)


def test_only_control_script_and_data_together_make_a_pass() -> None:
    judgements, codes, controls = (PASS, INVALID, NO_TOKENS, NOTHING, None), (0, 1, None), (True, False)
    passing = [
        chosen
        for chosen in product(judgements, codes, controls)
        if combine(chosen[0], chosen[1], control_ok=chosen[2]).verdict == "pass"
    ]
    assert passing == [(PASS, 0, True)]


@pytest.mark.parametrize(
    ("attempts", "verdict"),
    [
        (["pass"], "pass"),
        (["fail"], "fail"),
        (["fail", "pass"], "flaky"),
        (["no_data", "error", "pass"], "flaky"),
        (["fail", "invalid"], "invalid"),
        (["pass", "fail"], "fail"),
        (["pass", "pass"], "pass"),
        ([], "skipped"),
    ],
)
def test_g06_a_pass_that_needed_a_second_attempt_is_flaky(attempts: list[str], verdict: str) -> None:
    assert verdicts.settle(attempts) == verdict


RUNS = {
    "all_pass": (["pass", "pass"], "pass", 0),
    "one_fails": (["pass", "fail"], "fail", 1),
    "one_invalid": (["pass", "invalid"], "invalid", 4),
    "one_without_data": (["no_data", "pass"], "no_data", 4),
    "G06_one_flaky": (["pass", "flaky"], "flaky", 4),
    "one_error": (["fail", "error", "invalid"], "error", 5),
    "one_cancelled": (["cancelled", "fail"], "cancelled", 130),
    "fail_before_invalid": (["invalid", "fail"], "fail", 1),
    "some_skipped": (["skipped", "pass"], "pass", 0),
    "all_skipped": (["skipped"], "no_data", 4),
    "nothing_ran": ([], "no_data", 4),
}


@pytest.mark.parametrize(("cases", "verdict", "code"), RUNS.values(), ids=RUNS)
def test_a_run_is_as_good_as_its_gravest_case(cases: list[str], verdict: str, code: int) -> None:
    assert (verdicts.of_run(cases), verdicts.exit_code(cases)) == (verdict, code)


def test_every_verdict_has_a_place_and_a_code() -> None:
    assert set(verdicts.GRAVITY) == set(verdicts.EXIT_CODES) == set(names.VERDICTS)


def test_a_policy_may_let_flaky_pass() -> None:
    assert verdicts.exit_code(["flaky", "pass"], flaky_passes=True) == 0
    assert verdicts.exit_code(["flaky", "fail"], flaky_passes=True) == 1


def test_circumstances_of_the_run_outrank_its_cases() -> None:
    assert verdicts.exit_code(["pass"], nodes_clean=False) == 7
    assert verdicts.exit_code(["fail", "pass"], gates_alone=True) == 4
    assert verdicts.exit_code(["fail", "error"], gates_alone=True) == 5
    assert verdicts.exit_code(["fail"], gates_alone=True, nodes_clean=False) == 7
    assert verdicts.exit_code([], nodes_clean=False, lease_held=True) == 6
    assert verdicts.exit_code(["pass"], lease_held=True, signal="SIGTERM") == 143
    assert verdicts.exit_code(["pass"], signal="SIGINT") == 130
