# SPDX-License-Identifier: MIT
"""The gates of a soak: what they say, to whom, and that nothing that lacks is a pass. bench/soak_gates.py has 200 whole soaks."""

from __future__ import annotations

import functools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import soak_cases
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.soak_spec import PERCENTILES
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.gates import CONTROL_ONLY, GateError, judge
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.judgement import Evidence, Limits
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.model import Series
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.readings import UNREAD_GPUS
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import kinds, verdicts
from soak_world import HOUR_S, LIMITS, MIB, World

RSS = ("node-2", "service:decode", "rss_bytes")


def judged(world):
    return judge(world.evidence(), world.limits)


def gate(judgement, name, subject):
    (found,) = [one for one in judgement.gates if (one.name, one.subject) == (name, subject)]
    return found


@functools.cache
def of(name, seed=7):
    """The judgement of a kind of soak whose truth is known."""
    case = soak_cases.case(name, seed)
    return judge(case.world.evidence(), case.world.limits)


def test_a_soak_that_went_well_passes():
    found = judged(World(1))
    assert (found.verdict, found.metric_gate, found.exit_code, found.reasons) == ("pass", "pass", 0, ())
    assert {one.verdict for one in found.gates} == {"pass"}


@pytest.mark.parametrize(
    ("kind", "verdict", "names"),
    [
        pytest.param("no_samples_at_all", "no_data", "sampling", id="G01: none"),
        pytest.param("samples_stop_half_way", "no_data", "sampling", id="G01: half"),
        pytest.param("one_node_missing", "no_data", "sampling", id="G01: a node"),
        pytest.param("nan_among_the_samples", "no_data", "rss_slope", id="G02: NaN"),
        pytest.param("inf_among_the_samples", "no_data", "fds_slope", id="G02: inf"),
        pytest.param("negative_latency", "no_data", "latency", id="G02: negative latency"),
        pytest.param("clean_where_a_reset_is_planned", "pass", "", id="G02: counter reset"),
        pytest.param("load_not_sent", "no_data", "load", id="G02: nothing completed"),
        pytest.param("nothing_answered", "fail", "load", id="G02: all failed"),
        pytest.param("too_few_samples_for_a_percentile", "no_data", "latency", id="G02: fewer than needed"),
        pytest.param("reports_only_from_before", "no_data", "reports", id="G03"),
        pytest.param("load_stalls_in_an_unexpected_fault", "fail", "stall", id="G05: counted"),
        pytest.param("clean_under_chaos", "pass", "", id="G05: expected"),
        pytest.param("cut_short", "no_data", "duration", id="G07"),
        pytest.param("leak_of_1_mib_an_hour", "fail", "rss_slope", id="G08: rss"),
        pytest.param("leak_of_descriptors", "fail", "fds_slope", id="G08: descriptors"),
        pytest.param("leak_of_disk", "fail", "disk_used_slope", id="G08: disk"),
    ],
)
def test_the_catalogue_of_gates(kind, verdict, names):
    """G01, G02, G03, G05, G07, G08."""
    found = of(kind)
    assert found.verdict == verdict
    assert found.exit_code == (0 if verdict == "pass" else 4)
    assert names in {one.name for one in found.gates if one.verdict == verdict} or not names


@pytest.mark.parametrize(
    ("kind", "verdict"), [("control_of_faults", "pass"), ("control_that_feels_something", "invalid")]
)
def test_a_negative_control_says_that_nothing_was_survived(kind, verdict):
    found = of(kind)
    assert (found.verdict, found.warnings[0]) == (verdict, CONTROL_ONLY)
    assert {one.name for one in found.gates if one.verdict == "not_asked"} == {"fault_planned", "fault_applied", "rto"}
    assert of("clean_under_chaos").warnings == ()


def test_a_soak_that_passes_the_second_time_is_flaky():
    """G06."""
    assert verdicts.settle([of("load_stalls").verdict, of("clean").verdict]) == "flaky"


@pytest.mark.parametrize(("changes", "message"), soak_cases.REFUSED)
def test_a_limit_that_holds_nothing_is_refused(changes, message):
    """G04."""
    with pytest.raises(GateError) as refused:
        judge(World(1, 600.0).evidence(), replace(LIMITS, **changes))
    assert str(refused.value) == message
    assert refused.value.key == message.split(":")[0]


@pytest.mark.parametrize("limits", ["latency", "latency_in_fault"])
@pytest.mark.parametrize("name", PERCENTILES)
def test_a_percentile_that_a_scenario_may_name_is_none_that_the_gates_refuse(limits, name):
    """G04: what was accepted before the soak is not refused after hours of it."""
    world = World(1)
    world.inject("kill.1", "node-2/decode", 1000.0, 1500.0)
    world.ask(**{limits: {"itl_ms": {name: 0.001}}})
    found = gate(judged(world), limits, f"itl_ms {name}")
    assert (found.verdict, found.limit) == ("fail", 0.001)


def test_p999_is_the_percentile_99_9():
    world = World(1)
    told = {}
    for name in ("p99", "p99.9", "p999"):
        world.ask(latency={"itl_ms": {name: 1e6}})
        told[name] = gate(judged(world), "latency", f"itl_ms {name}").value
    assert told["p999"] == told["p99.9"] > told["p99"]


def test_a_leak_is_told_with_its_interval_its_limit_and_what_it_was_taken_from():
    """G08."""
    world = World(3)
    world.change(RSS, lambda t, v: 1e9 + 70 * MIB * t / HOUR_S + np.resize([0.0, 1e5], len(t)))
    found = gate(judged(world), "rss_slope", "node-2/decode")
    assert found.why == (
        "rss of decode on node-2 grows by 70 MiB/h (95 %: 69.9 to 70), over its limit of 64 MiB/h (354 samples in 58.8 min)"
    )
    assert found.value == pytest.approx(70 * MIB, rel=0.01)
    assert (found.verdict, found.limit, found.unit) == ("fail", 64 * MIB, "bytes/h")


@pytest.mark.parametrize(
    ("kind", "name", "subject", "why"),
    [
        ("load_stalls", "stall", "load", "no request was completed for 200 s from 1,500 s on, over the limit of 120 s"),
        ("load_that_pauses", "stall", "load", "from 1,500 s on there was no load for 200 s, so a stall of 120 s would not be seen"),
        ("no_load_told", "load", "load", "the load client sent no request: there is nothing to judge"),
        ("too_few_samples_for_a_percentile", "latency", "ttft_ms p99.999", "p99.999 of ttft_ms needs 100,000 samples, and there are 13,996"),
        ("negative_latency", "latency", "itl_ms p99", "1 values of itl_ms are negative or no finite number"),
        ("zero_latency", "latency", "ttft_ms p95", "1 values of ttft_ms are 0 or below"),
        ("no_reports", "reports", "node-2/decode", "node-2/decode left no report of this soak"),
        ("no_checks_made", "failure_ratio", "node-2/decode", "node-2/decode made no check outside the windows of faults: there is no share of 0"),
        ("fault_not_supported", "fault_applied", "kill.1", "fault 'kill.1' on node-2/decode was not injected (unsupported): no netem"),
        ("fault_not_felt", "fault_applied", "kill.1", "fault 'kill.1' on node-2/decode was not felt when it was injected"),
        ("fault_left_behind", "fault_reverted", "kill.1", "fault 'kill.1' on node-2/decode is not undone; run 'testcell cleanup' before the node is used"),
        ("slow_recovery", "rto", "kill.1", "node-2/decode after fault 'kill.1' was ready only 75 s after the undo, over the limit of 60 s"),
        ("all_targets_gone", "fault_planned", "faults", "faults were planned, and none of 1 was felt: nothing was survived"),
        ("cut_short", "duration", "soak", "the soak lasted 42 min of 1 h (complete): one that was cut short never passes; finish it with 'testcell resume', or run it again"),
    ],
)  # fmt: skip
def test_what_is_said(kind, name, subject, why):
    assert gate(of(kind), name, subject).why == why


def test_g01_cards_that_could_never_be_read_are_no_cards_that_do_not_grow():
    """G01"""
    evidence = World(1).evidence()
    others = [one for one in evidence.series if not one.subject.startswith("gpu:")]
    unread = Series("node-2", UNREAD_GPUS, "memory_bytes", (), ())
    found = judge(replace(evidence, series=[*others, unread]), LIMITS)
    assert (found.verdict, found.exit_code) == ("no_data", 4)
    assert found.reasons == ("memory of gpu:unread on node-2 was never sampled",)


@pytest.mark.parametrize(
    ("target", "verdict"), [("load", "fail"), ("node-2/decode", "pass"), ("node-2", "pass"), ("node-1", "fail")]
)
def test_g05_a_service_that_dies_under_extra_load_has_died(target, verdict):
    """G05: what is aimed at the load excuses its failures, and nobody's death."""
    world = World(1)
    world.inject("burst.0", target, 1000.0, 60.0)
    world.kill("decode", 1010.0, 20.0)
    found = gate(judged(world), "deaths", "node-2/decode")
    assert (found.verdict, found.during_fault) == (verdict, "burst.0" if verdict == "fail" else "")


def test_stale_samples_are_called_so():
    found = gate(of("stale_samples_of_a_service"), "rss_slope", "node-2/decode")
    assert (
        found.why
        == "neither rss of decode on node-2 nor anything else of it changes in 354 samples, though requests were answered: the samples are stale"
    )


def test_a_quiet_service_is_not_stale_where_nothing_was_asked_of_it():
    world = World(1)
    for metric in ("rss_bytes", "anon_bytes", "fds", "threads", "cpu_s"):
        world.change(("node-2", "service:decode", metric), lambda t, v: v * 0 + v[0])
    for one in world.windows:
        one.sent, one.completed, one.errors = 0, 0, {}
    assert gate(judged(world), "rss_slope", "node-2/decode").verdict == "pass"


@pytest.mark.parametrize(
    ("kind", "verdict", "metric_gate", "warned"),
    [
        pytest.param("smoke_without_reports", "pass", "insufficient_data", True, id="what lacks is said"),
        pytest.param(
            "smoke_without_samples", "no_data", "insufficient_data", True, id="what all stands on must be there"
        ),
        pytest.param("smoke_cut_short", "no_data", "insufficient_data", False, id="cut short"),
        pytest.param("smoke_with_a_stall_and_no_reports", "fail", "fail", True, id="what fails, fails"),
    ],
)
def test_a_smoke_warns_of_data_that_lacks(kind, verdict, metric_gate, warned):
    found = of(kind)
    assert (found.verdict, found.metric_gate, bool(found.warnings)) == (verdict, metric_gate, warned)
    assert not set(found.warnings) & set(found.reasons)


@pytest.mark.parametrize(("planned", "lasted"), [(math.nan, 600.0), (600.0, math.nan), (0.0, 0.0), (600.0, math.inf)])
def test_a_length_that_is_none_is_no_pass(planned, lasted):
    evidence = replace(World(1, 600.0).evidence(), planned_s=planned, lasted_s=lasted)
    found = judge(evidence, replace(LIMITS, missing="warn"))
    assert gate(found, "duration", "soak").verdict == "no_data"
    assert found.verdict in ("no_data", "fail")


def test_nothing_at_all_is_no_pass():
    """G01: in no profile, whatever is asked."""
    nothing = Evidence((), (), (), (), 1200.0, 1200.0, "complete")
    for missing in ("warn", "fail"):
        found = judge(nothing, Limits(missing=missing))
        assert (found.verdict, found.metric_gate, found.exit_code) == ("no_data", "insufficient_data", 4)
        assert {"load", "sampling"} <= {one.name for one in found.gates if one.verdict == "no_data"}


def test_what_nobody_asked_is_neither_good_nor_bad():
    world = World(1, 1200.0)
    found = judge(world.evidence(), Limits())
    assert found.verdict == "pass"
    assert {one.name for one in found.gates if one.verdict == "not_asked"} >= {
        "stall",
        "lag",
        "reports",
        "failure_ratio",
        "success",
        "burst",
        "rss_slope",
    }


def test_every_failure_has_a_kind_of_the_catalogue_and_only_failures_have_one():
    for name in soak_cases.KINDS:
        for one in of(name).gates:
            assert (one.error_kind in kinds.KINDS) == (one.verdict in ("fail", "no_data")), one


def test_a_judgement_is_plain_json():
    found = of("leak_of_1_mib_an_hour")
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert told["verdict"] == "fail" and told["exit_code"] == 4
    assert {"name", "subject", "verdict", "value", "limit", "unit", "why", "at_s", "during_fault", "error_kind"} == set(
        told["gates"][0]
    )


def test_the_gravest_is_told_first():
    found = of("failed_and_cut_short")
    assert found.reasons[0].startswith("no request was completed")
    assert found.reasons[1].startswith("the soak lasted")
    assert found.error_kind == "bench_failed"


def test_a_late_recovery_excuses_no_more_than_its_gate_allows():
    """Without a limit for the recovery, a fault may be felt for as long as the plan allows, however late it was over."""
    world = World(1)
    world.inject("kill.0", "node-2/decode", 1000.0, recovered_s=1600.0)
    world.hang(world.load(1030.0, 1600.0))
    world.ask(max_rto_secs=None)
    assert gate(judged(world), "stall", "load").value == pytest.approx(550.0)
