# SPDX-License-Identifier: MIT
"""Kinds of soaks, each with its truth: the verdict that a person would give who knows what happened, and which gates say so.

A kind changes a world that went well and returns the gates that must not pass: (name, subject) -> verdict, or -> verdict
and the fault that must be named. All other gates must pass or be unasked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.histogram import Histogram
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.judgement import Limits
from soak_world import HOUR_S, MIB, NODES, REASONS, REPORT_S, SAMPLE_S, SERVICES, Floats, World

Wrong = Mapping[tuple[str, str], str]
Kind = Callable[[World], Wrong]

PASS, FAIL, NO_DATA, INVALID = "pass", "fail", "no_data", "invalid"
QUARTER_S = HOUR_S / 4
RSS, DECODE = ("node-2", "service:decode", "rss_bytes"), "node-2/decode"
SLOPES = ("rss_slope", "anon_slope", "fds_slope", "threads_slope")
REPORTED = ("reports", "stall", "lag", "failure_ratio")
HEIGHTS = {("invariant", f"{DECODE} assets"): NO_DATA, ("monotonic", f"{DECODE} progress"): NO_DATA}
LATENCIES = {("latency", "ttft_ms p95"): NO_DATA, ("latency", "itl_ms p99"): NO_DATA}
COUNTED = ("stall", "failure_ratio", "success", "burst")


@dataclass(frozen=True)
class Case:
    """One soak and its truth. planned_s: how long it was to be; metric_gate: what is said of the figures alone."""

    kind: str
    seed: int
    world: World
    verdict: str
    metric_gate: str
    wrong: Wrong


def report(metric: str) -> tuple[str, str, str]:
    """Return the key of what the decode worker reports."""
    return "node-2", "report:decode", metric


def of_load(*names: str, verdict: str = NO_DATA) -> Wrong:
    """Return these gates of the load with a verdict."""
    return {(name, "load"): verdict for name in names}


def of_reports(*names: str, verdict: str = NO_DATA) -> Wrong:
    """Return these gates of the decode worker's reports with a verdict."""
    return {(name, DECODE): verdict for name in names}


def of_service(service: str, *names: str, verdict: str = NO_DATA) -> Wrong:
    """Return these gates of a service with a verdict."""
    return {(name, f"{SERVICES[service]}/{service}"): verdict for name in names}


def of_node(node: str) -> Wrong:
    """Return all that cannot be told of a node without its samples."""
    found = {("sampling", node): NO_DATA, ("disk_used_slope", f"{node}/node"): NO_DATA}
    for service in NODES[node]:
        found |= of_service(service, "deaths", "restarts", *SLOPES)
    return found


KINDS: dict[str, tuple[Kind, float]] = {}


def kind(planned_s: float = HOUR_S) -> Callable[[Kind], Kind]:
    """Register a kind of soak by its function's name."""

    def register(function: Kind) -> Kind:
        KINDS[function.__name__] = (function, planned_s)
        return function

    return register


# --- what is well ---------------------------------------------------------------------------------------------------


@kind()
def clean(world: World) -> Wrong:
    return {}


@kind(3 * HOUR_S)
def clean_for_three_hours(world: World) -> Wrong:
    world.ask(max_rss_slope=0.5 * MIB)
    return {}


@kind()
def clean_under_chaos(world: World) -> Wrong:
    for number, at in enumerate((600.0, 1500.0, 2400.0)):
        world.inject(f"kill.{number}", DECODE, at)
        world.kill("decode", at, 25.0)
        world.fail(world.load(at, at + 30), 0.4, "http_reset")
        for one in world.load(at, at + 30):
            one.slow = 20.0
    return {}


@kind()
def clean_after_a_long_fault(world: World) -> Wrong:
    world.inject("cut.0", "node-2", 1000.0, 400.0)
    world.hang(world.load(1010.0, 1400.0))
    height = world.series[report("progress")][1][65] or 0.0
    world.change(report("progress"), lambda t, v: np.minimum(v, height), 1000.0, 1410.0)
    world.fail(world.load(1410.0, 1430.0), 0.3, "http_timeout")
    return {}


@kind()
def clean_where_a_reset_is_planned(world: World) -> Wrong:
    """Counters of the checks begin anew with the process that counts them."""
    world.inject("kill.0", DECODE, 1800.0)
    world.kill("decode", 1800.0, 20.0)
    world.change(report("checks_failed"), lambda t, v: v + 12.0, 0.0)
    for metric in ("checks_total", "checks_failed"):
        world.change(report(metric), lambda t, v: v - v[0], 1830.0)
    return {}


@kind(3 * HOUR_S)
def clean_sawtooth(world: World) -> Wrong:
    """A collector gives back 50 MiB every two minutes or so."""
    period, phase = world.chance.uniform(100.0, 140.0), world.chance.uniform(0.0, 100.0)
    world.change(RSS, lambda t, v: v + 50 * MIB * ((t + phase) / period % 1.0))
    return {}


@kind(3 * HOUR_S)
def clean_warm_up_that_flattens(world: World) -> Wrong:
    world.change(RSS, lambda t, v: v + 600 * MIB * (1 - np.exp(-t / 540.0)))
    world.ask(max_rss_slope=2 * MIB)
    return {}


@kind(3 * HOUR_S)
def clean_but_for_one_step(world: World) -> Wrong:
    at = world.chance.uniform(0.05, 0.5) * world.planned_s
    world.change(RSS, lambda t, v: v + 200 * MIB, at)
    return {}


def _wave(t: Floats, v: Floats) -> Floats:
    """Return memory that only goes up and down by half a MiB, too seldom in a quarter of an hour to tell it from a trend."""
    wave: Floats = 800 * MIB + 0.25 * MIB * np.sin(2 * np.pi * t / 500.0)
    return wave


@kind(QUARTER_S)
def clean_though_it_moves_slowly_by_a_little(world: World) -> Wrong:
    """Even if all of it were growth it would be within its limit."""
    world.change(RSS, _wave)
    return {}


@kind()
def clean_with_spikes(world: World) -> Wrong:
    chosen = world.chance.random(400)
    world.change(RSS, lambda t, v: np.where(chosen[: len(v)] < 0.03, 4 * v, v))
    return {}


@kind()
def clean_with_small_gaps(world: World) -> Wrong:
    for key in world.keys("node-1", "node", "service:"):
        world.lose(key, 1000.0, 1070.0)
    return {}


@kind()
def clean_where_nothing_fails_in_an_unexpected_fault(world: World) -> Wrong:
    world.inject("delay.0", DECODE, 1800.0, expected=False)
    return {}


@kind()
def clean_with_one_target_gone(world: World) -> Wrong:
    world.inject("kill.0", DECODE, 1800.0)
    world.inject("kill.1", DECODE, 1805.0, outcome="target_gone", applied=False)
    return {}


@kind()
def clean_though_it_ends_a_little_early(world: World) -> Wrong:
    world.cut(world.planned_s - 15.0)
    return {}


@kind()
def clean_with_changing_reasons(world: World) -> Wrong:
    for index, one in enumerate(world.load(2000.0, 2060.0)):
        world.fail([one], 0.5, REASONS[index % 2])
    return {}


@kind()
def clean_with_a_short_row_of_one_reason(world: World) -> Wrong:
    for one in world.load(1980.0, 2050.0):
        world.fail([one], 0.0, REASONS[0])
    world.fail(world.load(2000.0, 2020.0), 0.5, REASONS[0])
    return {}


@kind()
def clean_where_nothing_is_asked(world: World) -> Wrong:
    world.limits = Limits()
    world.inject("kill.0", DECODE, 1800.0)
    world.kill("decode", 1800.0, 20.0)
    return {}


@kind()
def clean_with_reports_that_mean_nothing(world: World) -> Wrong:
    world.mapped = False
    for key in world.keys("node-2", "report:"):
        del world.series[key]
    return {}


@kind()
def clean_with_windows_told_a_little_late(world: World) -> Wrong:
    world.windows[50].lasts_s += 0.3
    return {}


@kind()
def clean_with_single_failures_in_a_row(world: World) -> Wrong:
    for one in world.load(2000.0, 2060.0):
        world.fail([one], 1 / one.sent, REASONS[0])
    return {}


@kind()
def clean_though_starts_are_told_roughly(world: World) -> Wrong:
    jitter = world.chance.uniform(-0.4, 0.4, 400)
    world.change(("node-2", "service:decode", "started"), lambda t, v: v + jitter[: len(v)])
    return {}


@kind()
def clean_with_lag_now_and_then(world: World) -> Wrong:
    world.change(report("network"), lambda t, v: v + 100.0, 1000.0, 1100.0)
    return {}


@kind()
def clean_though_a_gpu_rests(world: World) -> Wrong:
    world.change(("node-2", "gpu:0", "utilisation_pct"), lambda t, v: 0 * v)
    return {}


# --- what nobody knows ------------------------------------------------------------------------------------------------


@kind()
def no_samples_at_all(world: World) -> Wrong:
    for node in NODES:
        for key in world.keys(node, "node", "service:", "gpu:"):
            del world.series[key]
    return {**of_node("node-1"), **of_node("node-2")}


@kind()
def samples_stop_half_way(world: World) -> Wrong:
    for key in world.keys("node-2", "node", "service:", "gpu:"):
        world.lose(key, world.planned_s / 2)
    return {**of_node("node-2"), ("memory_slope", "node-2/gpu:0"): NO_DATA}


@kind()
def one_node_missing(world: World) -> Wrong:
    for key in world.keys("node-1", ""):
        del world.series[key]
    return of_node("node-1")


@kind()
def no_node_is_named(world: World) -> Wrong:
    world.nodes = {}
    return {("sampling", "node"): NO_DATA}


@kind()
def samples_with_holes(world: World) -> Wrong:
    for began in (400.0, 1400.0, 2400.0):
        for key in world.keys("node-1", "node", "service:"):
            world.lose(key, began, began + 150.0)
    return of_node("node-1")


@kind()
def one_service_missing(world: World) -> Wrong:
    for key in world.keys("node-1", "service:"):
        del world.series[key]
    return of_service("router", "deaths", "restarts", *SLOPES)


@kind()
def half_of_one_series(world: World) -> Wrong:
    world.lose(RSS, 0.0, world.planned_s / 2)
    return of_service("decode", "rss_slope")


def _bad_value(value: float, metric: str, world: World) -> Wrong:
    at = world.chance.uniform(100.0, world.planned_s - 100.0)
    world.change(("node-2", "service:decode", metric), lambda t, v: v * 0 + value, at, at + SAMPLE_S)
    return of_service("decode", f"{metric.removesuffix('_bytes')}_slope")


KINDS["nan_among_the_samples"] = (partial(_bad_value, math.nan, "rss_bytes"), HOUR_S)
KINDS["inf_among_the_samples"] = (partial(_bad_value, math.inf, "fds"), HOUR_S)
KINDS["negative_among_the_samples"] = (partial(_bad_value, -4096.0, "anon_bytes"), HOUR_S)


@kind()
def nan_where_it_is_told_whether_a_service_lives(world: World) -> Wrong:
    for metric in ("running", "restarts"):
        _bad_value(math.nan, metric, world)
    return of_service("decode", "deaths", "restarts")


@kind()
def time_that_goes_back(world: World) -> Wrong:
    times, _ = world.series[RSS]
    times[100] -= 60.0
    return of_service("decode", "rss_slope")


@kind()
def a_value_without_a_time(world: World) -> Wrong:
    times, values = world.series[RSS]
    world.series[RSS] = (times[:-1], values)
    return of_service("decode", "rss_slope")


@kind()
def stale_samples_of_a_service(world: World) -> Wrong:
    for metric in ("rss_bytes", "anon_bytes", "fds", "threads", "cpu_s"):
        world.change(("node-2", "service:decode", metric), lambda t, v: v * 0 + v[0])
    return of_service("decode", *SLOPES)


@kind()
def stale_samples_of_a_gpu(world: World) -> Wrong:
    world.change(("node-2", "gpu:0", "utilisation_pct"), lambda t, v: v * 0 + 37.0)
    return {("memory_slope", "node-2/gpu:0"): NO_DATA}


@kind(240.0)
def too_short_to_tell(world: World) -> Wrong:
    world.ask(latency={}, max_lag_p95=None, burst_windows=None)
    found = {**of_service("router", *SLOPES), **of_service("decode", *SLOPES)}
    disks: Wrong = {("disk_used_slope", f"{node}/node"): NO_DATA for node in NODES}
    return {**found, **disks, ("memory_slope", "node-2/gpu:0"): NO_DATA}


@kind(HOUR_S)
def too_noisy_to_tell(world: World) -> Wrong:
    """Memory comes and goes in waves of a quarter of an hour."""
    world.change(RSS, lambda t, v: v + 80 * MIB * np.cos(2 * np.pi * t / 900.0))
    world.ask(max_rss_slope=10 * MIB)
    return of_service("decode", "rss_slope")


@kind(QUARTER_S)
def little_that_would_be_much_at_the_end(world: World) -> Wrong:
    """It moves by less than the whole time may bring, but a leak that began late could hide in it."""
    world.change(RSS, _wave)
    world.change(("node-1", "service:router", "rss_bytes"), lambda t, v: 0 * v + 800 * MIB)
    world.ask(max_rss_slope=4 * MIB)
    return of_service("decode", "rss_slope")


@kind(QUARTER_S)
def little_in_two_lives(world: World) -> Wrong:
    """Memory after a death has nothing to do with memory before it, and each life is too short."""
    world.inject("kill.0", DECODE, 450.0)
    world.kill("decode", 450.0, 20.0)
    world.change(RSS, lambda t, v: np.where(t % 450.0 > 200.0, 800.5 * MIB, 800 * MIB))
    world.lose(RSS, 450.0, 470.0)
    world.change(("node-1", "service:router", "rss_bytes"), lambda t, v: 0 * v + 800 * MIB)
    world.ask(max_rss_slope=6 * MIB)
    return of_service("decode", "rss_slope")


@kind()
def two_teeth_are_no_trend(world: World) -> Wrong:
    world.change(RSS, lambda t, v: v + 300 * MIB * (t / 1700.0 % 1.0))
    return of_service("decode", "rss_slope")


@kind()
def life_not_sampled(world: World) -> Wrong:
    del world.series["node-2", "service:decode", "running"]
    del world.series["node-2", "service:decode", "restarts"]
    return of_service("decode", "deaths", "restarts")


@kind()
def no_load_told(world: World) -> Wrong:
    world.windows = []
    return {**of_load("load", *COUNTED), **LATENCIES}


@kind()
def load_not_sent(world: World) -> Wrong:
    for one in world.windows:
        one.sent, one.completed, one.errors = 0, 0, {}
    return {**of_load("load", "stall", "failure_ratio", "success"), **LATENCIES}


@kind()
def load_that_pauses(world: World) -> Wrong:
    for one in world.load(1500.0, 1700.0):
        one.sent, one.completed, one.errors = 0, 0, {}
    return of_load("stall")


@kind()
def load_windows_missing(world: World) -> Wrong:
    world.windows = [one for one in world.windows if not 1500.0 <= one.began_s < 1800.0]
    return of_load("load", "stall")


@kind()
def load_ends_half_way(world: World) -> Wrong:
    world.windows = world.load(0.0, world.planned_s / 2)
    return of_load("load", "stall")


@kind()
def latencies_of_half_the_answers(world: World) -> Wrong:
    for one in world.windows[::2]:
        one.latencies["ttft_ms"] = Histogram()
    return {("latency", "ttft_ms p95"): NO_DATA}


@kind()
def too_few_samples_for_a_percentile(world: World) -> Wrong:
    world.ask(latency={"ttft_ms": {"p99.999": 5000.0}})
    return {("latency", "ttft_ms p99.999"): NO_DATA}


@kind()
def an_unknown_latency(world: World) -> Wrong:
    world.ask(latency={"tpot_ms": {"p95": 50.0}})
    return {("latency", "tpot_ms p95"): NO_DATA}


def _bad_latency(values: list[float], metric: str, world: World) -> Wrong:
    windows = world.load(2000.0, 2010.0)
    for one in windows:
        world.measure(one)
        bad = Histogram()
        bad.add(np.array(values, dtype=np.float32))
        bad.merge(one.latencies[metric])
        one.latencies[metric] = bad
    return {("latency", f"{metric} {'p95' if metric == 'ttft_ms' else 'p99'}"): NO_DATA}


KINDS["negative_latency"] = (partial(_bad_latency, [-3.0], "itl_ms"), HOUR_S)
KINDS["nan_latency"] = (partial(_bad_latency, [math.nan], "ttft_ms"), HOUR_S)
KINDS["zero_latency"] = (partial(_bad_latency, [0.0], "ttft_ms"), HOUR_S)


@kind()
def chunks_that_come_together(world: World) -> Wrong:
    _bad_latency([0.0, 0.0], "itl_ms", world)
    return {}


@kind()
def no_reports(world: World) -> Wrong:
    world.reports = []
    for key in world.keys("node-2", "report:"):
        del world.series[key]
    return {**of_reports(*REPORTED), **HEIGHTS}


@kind()
def reports_only_from_before(world: World) -> Wrong:
    """G03: all that is found belongs to an older run."""
    world.reports = [at - 2 * world.planned_s for at in world.reports]
    for key in world.keys("node-2", "report:"):
        times, values = world.series[key]
        world.series[key] = (times - 2 * world.planned_s, values)
    return {**of_reports(*REPORTED), **HEIGHTS}


@kind()
def reports_whose_time_stands_still(world: World) -> Wrong:
    world.reports = [max(REPORT_S, min(at, 600.0)) for at in world.reports]
    for key in world.keys("node-2", "report:"):
        world.series[key] = (np.minimum(world.series[key][0], 600.0), world.series[key][1])
    return {**of_reports(*REPORTED), **HEIGHTS}


@kind()
def invariant_told_half_the_time(world: World) -> Wrong:
    world.lose(report("invariant:assets"), 1800.0)
    return {("invariant", f"{DECODE} assets"): NO_DATA}


@kind()
def progress_not_told(world: World) -> Wrong:
    del world.series[report("progress")]
    return {**of_reports("stall", "lag"), ("monotonic", f"{DECODE} progress"): NO_DATA}


@kind()
def no_checks_made(world: World) -> Wrong:
    world.change(report("checks_total"), lambda t, v: 0 * v)
    return of_reports("failure_ratio")


@kind()
def more_checks_failed_than_made(world: World) -> Wrong:
    world.change(report("checks_failed"), lambda t, v: v + 50.0, 1800.0)
    return of_reports("failure_ratio")


@kind()
def failed_checks_without_reasons(world: World) -> Wrong:
    world.change(report("checks_failed"), lambda t, v: v + 2.0, 1800.0)
    for reason in REASONS[:2]:
        del world.series[report(f"reason:{reason}")]
    return of_reports("burst")


@kind()
def reasons_that_are_no_numbers(world: World) -> Wrong:
    world.change(report("reason:http_5xx"), lambda t, v: v * math.nan, 1800.0, 1830.0)
    return of_reports("burst")


@kind()
def lag_within_faults_only(world: World) -> Wrong:
    """What is expected to lag tells nothing of how it lags otherwise."""
    for number in range(9):
        began = 30.0 + 400.0 * number
        world.inject(f"delay.{number}", "node-1/prefill", began, 370.0, allowance_s=10.0, recovered_s=began + 370.0)
    return of_reports("lag")


@kind()
def a_fault_from_start_to_end(world: World) -> Wrong:
    """Where all is excused, nothing is known of a service without a fault."""
    world.inject("delay.0", DECODE, 0.0, world.planned_s + 10.0, recovered_s=world.planned_s + 10.0)
    found = {**of_load("failure_ratio", "success", "burst"), **LATENCIES, **of_reports("lag", "failure_ratio", "burst")}
    return {**found, **of_service("decode", "deaths", "restarts", *SLOPES)}


# --- what went wrong ----------------------------------------------------------------------------------------------------


@kind(3 * HOUR_S)
def leak_of_1_mib_an_hour(world: World) -> Wrong:
    world.ask(max_rss_slope=0.5 * MIB)
    world.change(RSS, lambda t, v: v + MIB * t / HOUR_S)
    return of_service("decode", "rss_slope", verdict=FAIL)


@kind(3 * HOUR_S)
def leak_across_restarts(world: World) -> Wrong:
    """What was leaked is given back by each death, so that the memory at the end is that of the start."""
    world.change(RSS, lambda t, v: v + 200 * MIB * (t % 3600.0) / HOUR_S)
    for number, at in enumerate((3600.0, 7200.0)):
        world.inject(f"kill.{number}", DECODE, at - 20.0)
        world.kill("decode", at - 20.0, 20.0)
    return of_service("decode", "rss_slope", verdict=FAIL)


@kind()
def leak_under_spikes_and_gaps(world: World) -> Wrong:
    chosen = world.chance.random(400)
    world.change(RSS, lambda t, v: np.where(chosen[: len(v)] < 0.03, 4 * v, v + 200 * MIB * t / HOUR_S))
    world.lose(RSS, 1200.0, 1250.0)
    return of_service("decode", "rss_slope", verdict=FAIL)


@kind()
def leak_that_begins_late(world: World) -> Wrong:
    world.change(RSS, lambda t, v: v + 1000 * MIB * np.maximum(t - 2700.0, 0.0) / HOUR_S)
    return of_service("decode", "rss_slope", verdict=FAIL)


def _leak(node: str, subject: str, metric: str, per_hour: float, world: World) -> Wrong:
    whole = metric in ("fds", "threads")

    def grow(times: Floats, values: Floats) -> Floats:
        more = per_hour * times / HOUR_S
        return values + (np.floor(more) if whole else more)

    world.change((node, subject, metric), grow)
    return {(f"{metric.removesuffix('_bytes')}_slope", f"{node}/{subject.removeprefix('service:')}"): FAIL}


KINDS["leak_of_anonymous_memory"] = (partial(_leak, "node-1", "service:router", "anon_bytes", 128 * MIB), HOUR_S)
KINDS["leak_of_descriptors"] = (partial(_leak, "node-2", "service:decode", "fds", 180.0), HOUR_S)
KINDS["leak_of_threads"] = (partial(_leak, "node-1", "service:router", "threads", 40.0), HOUR_S)
KINDS["leak_of_gpu_memory"] = (partial(_leak, "node-2", "gpu:0", "memory_bytes", 300 * MIB), HOUR_S)
KINDS["leak_of_disk"] = (partial(_leak, "node-1", "node", "disk_used_bytes", 600 * MIB), HOUR_S)


@kind()
def load_stalls(world: World) -> Wrong:
    world.hang(world.load(1500.0, 1700.0))
    return of_load("stall", verdict=FAIL)


@kind()
def load_stalls_from_the_start(world: World) -> Wrong:
    world.hang(world.load(0.0, 140.0))
    return of_load("stall", verdict=FAIL)


@kind()
def load_stalls_in_an_unexpected_fault(world: World) -> Wrong:
    """G05: the failure is counted, and the fault is named."""
    world.inject("cut.0", "node-2", 1490.0, 200.0, expected=False)
    world.hang(world.load(1500.0, 1690.0))
    return of_load("stall", verdict="fail during cut.0")


@kind()
def load_stalls_in_a_fault_that_was_not_felt(world: World) -> Wrong:
    world.inject("cut.0", "node-2", 1490.0, 200.0, applied=False)
    world.inject("cut.1", "node-2", 3000.0, 20.0)
    world.hang(world.load(1500.0, 1690.0))
    return {**of_load("stall", verdict="fail during cut.0"), ("fault_applied", "cut.0"): NO_DATA}


@kind()
def nothing_answered(world: World) -> Wrong:
    world.fail(world.windows, 1.0, "http_refused")
    return {**of_load("load", *COUNTED, verdict=FAIL), **LATENCIES}


@kind()
def answers_without_tokens(world: World) -> Wrong:
    for one in world.windows:
        one.without_tokens = one.completed
    return {**of_load("load", "stall", "failure_ratio", "success", verdict=FAIL), **LATENCIES}


@kind()
def many_failures(world: World) -> Wrong:
    world.fail(world.windows, 0.12, *REASONS)
    return of_load("failure_ratio", "success", verdict=FAIL)


@kind()
def some_answers_without_tokens(world: World) -> Wrong:
    for one in world.windows:
        one.without_tokens = 1
    return of_load("success", verdict=FAIL)


@kind()
def one_reason_bursts(world: World) -> Wrong:
    world.fail(world.load(1980.0, 2050.0), 0.0, REASONS[0])
    world.fail(world.load(2000.0, 2040.0), 0.4, REASONS[0], REASONS[0], REASONS[1])
    return of_load("burst", verdict=FAIL)


@kind()
def one_reason_bursts_around_a_fault(world: World) -> Wrong:
    """What the plan expects between two windows does not end the row."""
    world.inject("kill.0", "node-1/prefill", 2015.0, 1.0, allowance_s=2.0, recovered_s=2016.0)
    world.fail(world.load(1980.0, 2050.0), 0.0, REASONS[0])
    world.fail([*world.load(2000.0, 2010.0), *world.load(2020.0, 2040.0)], 0.4, REASONS[0])
    return {**of_load("burst", verdict=FAIL), ("latency_in_fault", "ttft_ms p95"): PASS}


@kind()
def slow(world: World) -> Wrong:
    for one in world.windows:
        one.slow = 6.0
    return {("latency", "ttft_ms p95"): FAIL, ("latency", "itl_ms p99"): FAIL}


@kind()
def slow_in_a_fault_and_beyond(world: World) -> Wrong:
    world.inject("loss.0", DECODE, 1000.0, 300.0)
    for one in world.load(1000.0, 1330.0):
        one.slow = 100.0
    return {("latency_in_fault", "ttft_ms p95"): "fail during loss.0"}


@kind()
def slow_in_an_unexpected_fault(world: World) -> Wrong:
    world.inject("loss.0", DECODE, 1000.0, 300.0, expected=False)
    for one in world.load(1000.0, 1330.0):
        one.slow = 30.0
    return {("latency", "ttft_ms p95"): "fail during loss.0", ("latency", "itl_ms p99"): "fail during loss.0"}


@kind()
def too_much_fails_in_a_fault(world: World) -> Wrong:
    world.inject("loss.0", DECODE, 1000.0, 100.0)
    world.fail(world.load(1000.0, 1140.0), 0.7, *REASONS)
    return of_load("success_in_fault", verdict="fail during loss.0")


def _contradiction(change: Callable[[World], None], world: World) -> Wrong:
    change(world)
    return of_load("load_counts", verdict=FAIL)


def _more_ended(world: World) -> None:
    world.windows[50].completed += 100


def _twice(world: World) -> None:
    world.windows.insert(60, replace(world.windows[50]))


def _overlapping(world: World) -> None:
    world.windows[50].lasts_s += 2.0


def _below_zero(world: World) -> None:
    world.windows[50].sent = -1
    world.windows[49].sent += 200


def _more_empty(world: World) -> None:
    world.windows[50].without_tokens = world.windows[50].completed + 1


def _backward(world: World) -> None:
    world.windows[50].lasts_s = -5.0


for name, change in (
    ("more_requests_ended_than_sent", _more_ended),
    ("windows_of_the_same_time", _twice),
    ("windows_that_overlap", _overlapping),
    ("a_negative_count", _below_zero),
    ("more_empty_answers_than_answers", _more_empty),
    ("a_window_that_ends_before_it_begins", _backward),
):
    KINDS[name] = (partial(_contradiction, change), HOUR_S)


@kind()
def a_service_dies(world: World) -> Wrong:
    world.kill("decode", 1800.0, 30.0)
    return of_service("decode", "deaths", verdict=FAIL)


@kind()
def a_service_is_restarted_by_its_engine(world: World) -> Wrong:
    world.kill("decode", 1800.0, 5.0, by_engine=True)
    return of_service("decode", "deaths", "restarts", verdict=FAIL)


@kind()
def a_service_is_another_one_soon_after_the_start(world: World) -> Wrong:
    """Between two samples, so that nobody sees it down."""
    world.change(("node-2", "service:decode", "started"), lambda t, v: v + 5.0, 30.0)
    return of_service("decode", "deaths", verdict=FAIL)


@kind()
def a_fault_kills_another_service(world: World) -> Wrong:
    world.inject("kill.0", DECODE, 1800.0)
    world.kill("decode", 1800.0, 20.0)
    world.kill("router", 1810.0, 20.0)
    return of_service("router", "deaths", verdict="fail during kill.0")


@kind()
def a_service_stays_down_after_a_fault(world: World) -> Wrong:
    world.inject("kill.0", DECODE, 1800.0, recovered_s=2000.0)
    world.kill("decode", 1800.0, 200.0)
    return {**of_service("decode", "deaths", verdict="fail during kill.0"), ("rto", "kill.0"): "fail during kill.0"}


@kind()
def a_node_is_taken_down(world: World) -> Wrong:
    """Whatever runs on a node that is hit may go with it."""
    world.inject("dockerd_restart.0", "node-2", 1800.0)
    world.kill("decode", 1800.0, 20.0, by_engine=True)
    return {}


@kind()
def reports_pause(world: World) -> Wrong:
    gone = [at for at in world.reports if 1800.0 <= at < 1875.0]
    world.reports = [at for at in world.reports if at not in gone]
    for key in world.keys("node-2", "report:"):
        world.lose(key, 1800.0, 1875.0)
    return of_reports("reports", verdict=FAIL)


@kind()
def reports_stop(world: World) -> Wrong:
    world.reports = [at for at in world.reports if at < 1800.0]
    for key in world.keys("node-2", "report:"):
        world.lose(key, 1800.0)
    return {**of_reports("reports", verdict=FAIL), **of_reports("stall")}


@kind()
def progress_stops(world: World) -> Wrong:
    for metric in ("progress", "network"):
        world.change(report(metric), lambda t, v: v * 0 + v[0], 1800.0, 2000.0)
    return of_reports("stall", verdict=FAIL)


@kind()
def progress_flaps(world: World) -> Wrong:
    def flap(times: Floats, values: Floats) -> Floats:
        down: Floats = values[0] - np.arange(len(values)) % 2
        return down

    world.change(report("progress"), flap, 1800.0, 2000.0)
    world.change(report("network"), lambda t, v: v * 0 + v[0], 1800.0, 2000.0)
    return {**of_reports("stall", verdict=FAIL), ("monotonic", f"{DECODE} progress"): FAIL}


@kind()
def progress_goes_on_slowly_after_a_restart(world: World) -> Wrong:
    """A process that counts anew makes progress, and its height has gone back all the same."""
    world.inject("kill.0", DECODE, 1800.0)
    world.kill("decode", 1800.0, 20.0)
    for metric in ("progress", "network"):
        world.change(report(metric), lambda t, v: v - v[0], 1830.0)
    return {("monotonic", f"{DECODE} progress"): "fail during kill.0"}


@kind()
def height_goes_back_once(world: World) -> Wrong:
    at = world.reports[100]
    world.change(report("progress"), lambda t, v: v - 20.0, at, at + 1.0)
    return {("monotonic", f"{DECODE} progress"): FAIL}


@kind()
def lag_is_high(world: World) -> Wrong:
    world.change(report("network"), lambda t, v: v + 100.0, 1000.0, 1600.0)
    return of_reports("lag", verdict=FAIL)


@kind()
def invariant_breaks_once(world: World) -> Wrong:
    at = world.reports[100]
    world.change(report("invariant:assets"), lambda t, v: 0 * v, at, at + 1.0)
    return {("invariant", f"{DECODE} assets"): FAIL}


@kind()
def invariant_breaks_in_a_fault(world: World) -> Wrong:
    """No fault excuses state that is wrong."""
    at = world.reports[100]
    world.inject("kill.0", DECODE, at - 5.0)
    world.change(report("invariant:assets"), lambda t, v: 0 * v, at, at + 1.0)
    return {("invariant", f"{DECODE} assets"): "fail during kill.0"}


@kind()
def checks_fail(world: World) -> Wrong:
    world.change(report("checks_failed"), lambda t, v: np.cumsum(np.full(len(v), 4.0)))
    for reason in REASONS[:2]:
        world.change(report(f"reason:{reason}"), lambda t, v: np.cumsum(np.full(len(v), 2.0)))
    return of_reports("failure_ratio", verdict=FAIL)


@kind()
def checks_fail_in_a_row_for_one_reason(world: World) -> Wrong:
    began = world.reports[100]
    for metric in ("checks_failed", "reason:http_5xx"):
        world.change(report(metric), lambda t, v: v + 10.0 * np.minimum(np.arange(1, len(v) + 1), 4), began)
    return of_reports("burst", verdict=FAIL)


@kind()
def checks_fail_within_a_fault(world: World) -> Wrong:
    world.inject("cut.0", DECODE, 1500.0, 400.0)
    for metric in ("checks_failed", "reason:http_5xx"):
        growing = lambda t, v: v + 30.0 * np.minimum(np.arange(1, len(v) + 1), 20)  # noqa: E731 - one line for both
        world.change(report(metric), growing, 1530.0)
    return {}


# --- the faults themselves ------------------------------------------------------------------------------------------------


def _fault(changes: Mapping[str, Any], gate: str, verdict: str, world: World) -> Wrong:
    world.inject("kill.0", DECODE, 1000.0)
    world.inject("kill.1", DECODE, 2000.0, **changes)
    return {(gate, "kill.1"): verdict}


NEVER: dict[str, Any] = {
    "outcome": "unsupported",
    "applied": None,
    "began_s": None,
    "undone_s": None,
    "recovered_s": None,
    "reverted": None,
}
for name, changes, gate, verdict in (
    ("fault_not_supported", {**NEVER, "why": "no netem"}, "fault_applied", NO_DATA),
    ("fault_not_reached", {**NEVER, "outcome": "not_reached"}, "fault_applied", NO_DATA),
    ("fault_not_felt", {"applied": False}, "fault_applied", NO_DATA),
    ("fault_perhaps_felt", {"applied": None}, "fault_applied", NO_DATA),
    ("fault_not_injected", {"outcome": "not_applied", "applied": False}, "fault_applied", NO_DATA),
    ("fault_left_behind", {"reverted": False}, "fault_reverted", "fail during kill.1"),
    ("fault_perhaps_left_behind", {"reverted": None}, "fault_reverted", "no_data during kill.1"),
    ("fault_felt_before", {"control": True}, "negative_control", FAIL),
    ("fault_without_control", {"control": None}, "negative_control", NO_DATA),
    ("slow_recovery", {"recovered_s": 2020.0 + 75.0}, "rto", "fail during kill.1"),
    ("no_recovery", {"recovered_s": None}, "rto", "fail during kill.1"),
    ("recovery_before_the_fault", {"recovered_s": 1900.0}, "rto", "no_data during kill.1"),
):
    KINDS[name] = (partial(_fault, changes, gate, verdict), HOUR_S)


@kind()
def fault_never_undone(world: World) -> Wrong:
    world.inject("kill.0", DECODE, 3000.0, undone_s=None, recovered_s=None)
    return {("fault_reverted", "kill.0"): "no_data during kill.0", ("rto", "kill.0"): "no_data during kill.0"}


@kind()
def the_soak_ends_before_recovery(world: World) -> Wrong:
    world.inject("kill.0", DECODE, 3540.0, recovered_s=None)
    return {("rto", "kill.0"): "no_data during kill.0"}


@kind()
def all_targets_gone(world: World) -> Wrong:
    world.inject("kill.0", DECODE, 1000.0, outcome="target_gone", applied=False)
    return {("fault_planned", "faults"): NO_DATA}


@kind()
def faults_planned_and_none_told(world: World) -> Wrong:
    world.ask(chaos=True)
    return {("fault_planned", "faults"): NO_DATA}


@kind()
def control_of_faults(world: World) -> Wrong:
    for number, at in enumerate((600.0, 1500.0, 2400.0)):
        world.only_measure(f"kill.{number}", DECODE, at)
    world.only_measure("kill.9", DECODE, 2700.0, **{**NEVER, "outcome": "target_gone"})
    return {}


@kind()
def control_in_which_a_service_dies(world: World) -> Wrong:
    """No fault was there, so none explains it."""
    world.only_measure("kill.0", DECODE, 1800.0)
    world.kill("decode", 1800.0, 10.0)
    return of_service("decode", "deaths", verdict=FAIL)


@kind()
def control_in_which_the_load_fails(world: World) -> Wrong:
    world.only_measure("kill.0", DECODE, 1800.0)
    world.fail(world.load(1800.0, 2400.0), 0.9, *REASONS[:3])
    return of_load("failure_ratio", "success", verdict=FAIL)


@kind()
def control_without_targets(world: World) -> Wrong:
    world.only_measure("kill.0", DECODE, 1800.0, **{**NEVER, "outcome": "target_gone"})
    return {("negative_control", "faults"): NO_DATA}


def _control(changes: Mapping[str, Any], gate: str, verdict: str, world: World) -> Wrong:
    world.only_measure("kill.0", DECODE, 1000.0)
    world.only_measure("kill.1", DECODE, 2000.0, **changes)
    return {(gate, "kill.1"): verdict}


for name, changes, gate, verdict in (
    ("control_that_feels_something", {"applied": True}, "negative_control", FAIL),
    ("control_that_feels_something_before", {"control": True}, "negative_control", FAIL),
    ("control_that_was_injected", {"outcome": "injected", "applied": False}, "negative_control", FAIL),
    ("control_that_looked_at_nothing", {"measured": {}}, "negative_control", NO_DATA),
    ("control_without_a_look_before", {"control": None}, "negative_control", NO_DATA),
    ("control_not_reached", {**NEVER, "outcome": "not_reached"}, "negative_control", NO_DATA),
    ("control_that_leaves_something", {"reverted": False}, "fault_reverted", "fail during kill.1"),
):
    KINDS[name] = (partial(_control, changes, gate, verdict), HOUR_S)


# --- the whole ------------------------------------------------------------------------------------------------------------


@kind()
def cut_short(world: World) -> Wrong:
    """G07: nothing is wrong, and it is no pass."""
    world.cut(0.7 * world.planned_s)
    return {("duration", "soak"): NO_DATA}


@kind()
def cut_by_two_minutes(world: World) -> Wrong:
    world.cut(world.planned_s - 120.0)
    return {("duration", "soak"): NO_DATA}


@kind()
def planned_for_no_known_time(world: World) -> Wrong:
    world.planned_s = math.nan
    return {("duration", "soak"): NO_DATA}


@kind()
def killed_at_the_end(world: World) -> Wrong:
    world.ended_how = "killed"
    return {("duration", "soak"): NO_DATA}


@kind()
def failed_and_cut_short(world: World) -> Wrong:
    world.hang(world.load(600.0, 800.0))
    world.cut(0.7 * world.planned_s)
    return {("duration", "soak"): NO_DATA, **of_load("stall", verdict=FAIL)}


@kind()
def smoke_without_reports(world: World) -> Wrong:
    world.ask(missing="warn")
    return no_reports(world)


@kind()
def smoke_without_samples(world: World) -> Wrong:
    world.ask(missing="warn")
    return no_samples_at_all(world)


@kind()
def smoke_cut_short(world: World) -> Wrong:
    world.ask(missing="warn")
    return cut_short(world)


@kind()
def smoke_with_a_stall_and_no_reports(world: World) -> Wrong:
    world.ask(missing="warn")
    return {**no_reports(world), **load_stalls(world)}


# In a smoke these are only said.
ONLY_SAID = ("smoke_without_reports",)


def case(name: str, seed: int) -> Case:
    """Return the case of a kind and a seed."""
    function, planned_s = KINDS[name]
    world = World(seed, planned_s)
    wrong = {gate: verdict for gate, verdict in function(world).items() if verdict != PASS}
    words = {verdict.split()[0] for verdict in wrong.values()}
    figures = FAIL if FAIL in words else "insufficient_data" if words else PASS
    unbelievable = any(gate[0] in ("load_counts", "negative_control") and wrong[gate] == FAIL for gate in wrong)
    verdict = INVALID if unbelievable else FAIL if FAIL in words else NO_DATA if words else PASS
    return Case(name, seed, world, PASS if name in ONLY_SAID else verdict, figures, wrong)


def cases(count: int, seed: int) -> Iterator[Case]:
    """Yield so many cases: each kind once, then each with another seed."""
    names = list(KINDS)
    for number in range(count):
        yield case(names[number % len(names)], seed + number)


# Series alone, with what is known of their growth an hour: that it is above or below something, or that nothing is (None).
_HOUR = np.arange(0.0, HOUR_S, 10.0)
_FLAT = 500.0 + np.random.default_rng(1).normal(0.0, 1.0, len(_HOUR))
SERIES: dict[str, tuple[Floats, Floats, list[float], Callable[[float, float], bool] | None]] = {
    "nothing": (_HOUR[:0], _FLAT[:0], [], None),
    "one sample": (_HOUR[:1], _FLAT[:1], [], None),
    "few that agree": (_HOUR[:30], np.full(30, 5.0), [], None),
    "always the same": (_HOUR, np.full(len(_HOUR), 5.0), [], lambda low, high: low == high == 0.0),
    "an exact line": (_HOUR, _HOUR.copy(), [], lambda low, high: low == high == HOUR_S),
    "lives of one sample": (_HOUR, _FLAT, list(_HOUR), None),
    "lives of two blocks": (_HOUR[:40], _FLAT[:40], [float(at) for at in _HOUR[:40:4]], None),
    "a curve that is still bending": (_HOUR, _FLAT + 300.0 * (1.0 - np.exp(-_HOUR / 900.0)), [], None),
    "two teeth and a spike at the end": (
        _HOUR,
        _FLAT + 300.0 * (_HOUR / 1700.0 % 1.0) + 5000.0 * (_HOUR > 3575.0),
        [],
        lambda low, high: low < 64.0 < high,
    ),
    "noise": (_HOUR, _FLAT, [], lambda low, high: -3.0 < low < 0.5 and -0.5 < high < 3.0),
    "growth": (_HOUR, _FLAT + 10.0 * _HOUR / HOUR_S, [], lambda low, high: 7.0 < low < 10.5 and 9.5 < high < 13.0),
}

# Limits that nothing can be held to, and what is said of them.
REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"max_stall_secs": math.nan}, "max_stall_secs: is nan; expected a finite number from 0"),
    ({"max_rss_slope": -1.0}, "max_rss_slope: is -1.0; expected a finite number from 0"),
    ({"min_success_ratio": math.inf}, "min_success_ratio: is inf; expected a finite number from 0"),
    ({"max_lag_p95": "20"}, "max_lag_p95: is '20'; expected a finite number from 0"),
    ({"latency": {"ttft_ms": {"p95": math.nan}}}, "latency.ttft_ms.p95: is nan; expected a finite number from 0"),
    (
        {"latency": {"ttft_ms": {"q95": 1.0}}},
        "latency.ttft_ms.q95: is no percentile; expected p and a number between 0 and 100, such as p95",
    ),
    (
        {"latency_in_fault": {"e2e_ms": {"p100": 1.0}}},
        "latency_in_fault.e2e_ms.p100: is no percentile; expected p and a number between 0 and 100, such as p95",
    ),
    (
        {"latency": {"ttft_ms": {"p": 1.0}}},
        "latency.ttft_ms.p: is no percentile; expected p and a number between 0 and 100, such as p95",
    ),
    ({"burst_windows": 0}, "burst_windows: is 0; expected at least 1"),
    ({"missing": "ignore"}, "missing: 'ignore' is not known; allowed: warn, fail"),
)
