# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gates of the load: did it go on, was it answered, how fast, and does one reason take over."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from . import bursts
from .histogram import Histogram, percent
from .judgement import Evidence, Gate, Limits
from .model import LoadWindow
from .saying import Found, failed, length, no_data, not_asked, number, passed
from .spans import Chaos, Span, longest, merged, touches, within
from .spans import length as length_of
from .trust import COVERAGE

LOAD = "load"
IN_FAULT = "_in_fault"
# A window's clock readings are a little late; more is two windows about the same time.
OVERLAP_S = 0.5
# These take time in every answer; between two chunks that come together there may be none.
NEVER_ZERO = ("ttft_ms", "tpot_ms", "e2e_ms")
Thresholds = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Counts:
    """Sums over windows. good: answers that brought tokens; bad: requests that failed, and answers without any."""

    sent: int
    good: int
    bad: int

    @property
    def ended(self) -> int:
        """Return the requests that ended."""
        return self.good + self.bad


def gates(evidence: Evidence, limits: Limits, chaos: Chaos) -> Iterator[Gate]:
    """Yield all gates of the load; where its counts contradict one another, only the one that says so."""
    windows = [one for one in evidence.windows if one.began_s < evidence.lasted_s]
    wrong = contradiction(windows)
    if wrong:
        yield failed("load_counts", LOAD, f"the load's windows may not be believed: {wrong}", Found(), "result_invalid")
        return
    yield continuity(windows, evidence.lasted_s)
    excused = chaos.excused()
    calm = [one for one in windows if not touches(excused, (one.began_s, one.ended_s))]
    rough = [one for one in windows if touches(excused, (one.began_s, one.ended_s))]
    yield stall(windows, limits.max_stall_secs, chaos)
    yield failure_ratio(calm, limits.max_failure_ratio, chaos)
    yield success(calm, limits.min_success_ratio, chaos, "")
    yield from latencies(_warm(calm, limits), limits.latency, chaos, "")
    yield burst(windows, limits, chaos)
    if excused:
        yield success(rough, limits.min_success_ratio_in_fault, chaos, IN_FAULT)
        yield from latencies(_warm(rough, limits), limits.latency_in_fault, chaos, IN_FAULT)


def contradiction(windows: Sequence[LoadWindow]) -> str:
    """Return what cannot be in the windows' times and counts, "" where nothing is wrong."""
    open_requests, last = 0, 0.0
    for one in windows:
        place = f"window from {one.began_s:.1f} s to {one.ended_s:.1f} s"
        counts = (one.sent, one.completed, one.failed, one.without_tokens, *one.errors.values())
        if not 0 <= one.began_s < one.ended_s < math.inf or one.began_s < last - OVERLAP_S:
            return f"the {place} comes after one that ended at {last:.1f} s"
        if min(counts) < 0:
            return f"the {place} has a count of {min(counts)}"
        if one.without_tokens > one.completed or sum(one.errors.values()) > one.failed:
            return f"the {place} has more answers without tokens than answers, or more errors than failures"
        open_requests += one.sent - one.completed - one.failed
        if open_requests < 0:
            return f"by the end of the {place} {-open_requests} more requests ended than were sent"
        last = one.ended_s
    return ""


def tally(windows: Sequence[LoadWindow]) -> Counts:
    """Return the sums over windows."""
    good = sum(one.completed - one.without_tokens for one in windows)
    return Counts(sum(one.sent for one in windows), good, sum(one.failed + one.without_tokens for one in windows))


def continuity(windows: Sequence[LoadWindow], lasted_s: float) -> Gate:
    """Say whether the load's own account covers the soak, and whether there was any load."""
    counts, ended = tally(windows), (0.0, lasted_s)
    told = length_of(within([(one.began_s, one.ended_s) for one in windows], ended)) / lasted_s if lasted_s > 0 else 0.0
    facts = Found(told, COVERAGE, "of the time")
    if not counts.sent:
        return no_data("load", LOAD, "the load client sent no request: there is nothing to judge", facts)
    if not counts.good:
        return failed("load", LOAD, f"none of {counts.sent:,} requests brought a token", facts, "engine_dead")
    seen = f"{told:.1%} of {length(lasted_s)} are covered by what the load client says of itself"
    if told < COVERAGE:
        return no_data("load", LOAD, f"{seen}, expected at least {COVERAGE:.0%}", facts, "bench_partial")
    return passed("load", LOAD, f"{seen} ({counts.sent:,} requests)", facts)


def stall(windows: Sequence[LoadWindow], limit: float | None, chaos: Chaos) -> Gate:
    """Say for how long at most no request was completed while some waited; time without requests is no proof of anything."""
    if limit is None:
        return not_asked("stall", LOAD, "no limit is set for how long no request may be completed")
    end, excused = chaos.ended_s, chaos.excused()
    quiet = _quiet(windows, end)
    moments = [0.0, *(edge for one in windows if _good(one) for edge in (one.began_s, one.ended_s)), end]
    spans = [(began, ended) for began, ended in zip(moments[::2], moments[1::2], strict=True) if began < ended]
    value, span = longest(spans, merged([*excused, *quiet]))
    facts = Found(value, limit, "s")
    told = f"no request was completed for {number(value)} s from {number(span[0])} s on"
    if value > limit:
        why = f"{told}, over the limit of {number(limit)} s"
        return failed("stall", LOAD, why, replace(facts, at_s=span[0], during=chaos.during(*span)))
    idle, (when, _) = longest(quiet, excused)
    if idle > limit:
        why = f"from {number(when)} s on there was no load for {number(idle)} s, so a stall of {number(limit)} s would not be seen"
        return no_data("stall", LOAD, why, replace(facts, at_s=when))
    return passed("stall", LOAD, f"{told}, within the limit of {number(limit)} s", facts)


def failure_ratio(windows: Sequence[LoadWindow], limit: float | None, chaos: Chaos) -> Gate:
    """Hold the share of requests that failed, or were answered without a token, to its limit."""
    if limit is None:
        return not_asked("failure_ratio", LOAD, "no limit is set for the share of failures")
    counts = tally(windows)
    if not counts.ended:
        return no_data("failure_ratio", LOAD, "no request ended outside the windows of faults", Found(None, limit))
    value = counts.bad / counts.ended
    told = f"{counts.bad:,} of {counts.ended:,} requests failed"
    return _of_counts("failure_ratio", value, limit, value > limit, told, windows, chaos)


def success(windows: Sequence[LoadWindow], limit: float | None, chaos: Chaos, where: str) -> Gate:
    """Hold the share of requests that were answered with tokens to its limit. where: "" or `_in_fault`."""
    name = "success" + where
    place = "inside" if where else "outside"
    if limit is None:
        return not_asked(name, LOAD, f"no limit is set for the share of answers {place} the windows of faults")
    counts = tally(windows)
    if not counts.ended:
        return no_data(name, LOAD, f"no request ended {place} the windows of faults", Found(None, limit))
    value = counts.good / counts.ended
    told = f"{counts.good:,} of {counts.ended:,} requests were answered {place} the windows of faults"
    return _of_counts(name, value, limit, value < limit, told, windows, chaos)


def _of_counts(
    name: str, value: float, limit: float, wrong: bool, told: str, windows: Sequence[LoadWindow], chaos: Chaos
) -> Gate:
    """Return the gate of a share; where it is wrong, it is placed where most requests failed."""
    facts = Found(value, limit, "of the requests")
    if not wrong:
        return passed(name, LOAD, f"{told} ({value:.2%}), within the limit of {limit:.2%}", facts)
    worst = max(windows, key=lambda one: one.failed + one.without_tokens)
    during = chaos.during(worst.began_s, worst.ended_s)
    why = f"{told} ({value:.2%}), beyond the limit of {limit:.2%}, most of them at {number(worst.began_s)} s"
    return failed(name, LOAD, why, replace(facts, at_s=worst.began_s, during=during))


def latencies(windows: Sequence[LoadWindow], asked: Thresholds, chaos: Chaos, where: str) -> Iterator[Gate]:
    """Yield a gate for each percentile that is asked for. where: "" or `_in_fault`."""
    for metric, limits in asked.items():
        all_samples = Histogram()
        for one in windows:
            if metric in one.latencies:
                all_samples.merge(one.latencies[metric])
        for percentile, limit in limits.items():
            lacking = _lacking(metric, percentile, all_samples, windows)
            name = f"latency{where}"
            if lacking:
                yield no_data(name, f"{metric} {percentile}", lacking, Found(None, limit, "ms"))
            else:
                yield _latency(name, metric, percentile, limit, all_samples, windows, chaos)


def _latency(
    name: str,
    metric: str,
    percentile: str,
    limit: float,
    samples: Histogram,
    windows: Sequence[LoadWindow],
    chaos: Chaos,
) -> Gate:
    wanted = percent(percentile) or 0.0
    value = samples.percentile(wanted) or 0.0
    subject, facts = f"{metric} {percentile}", Found(value, limit, "ms")
    told = f"{percentile} of {metric} is {number(value)} ms"
    if value <= limit:
        return passed(
            name, subject, f"{told}, within the limit of {number(limit)} ms ({samples.total:,} samples)", facts
        )
    worst = max(
        (one for one in windows if metric in one.latencies),
        key=lambda one: one.latencies[metric].percentile(wanted) or 0.0,
    )
    during = chaos.during(worst.began_s, worst.ended_s)
    why = f"{told}, over its limit of {number(limit)} ms ({samples.total:,} samples)"
    return failed(name, subject, why, replace(facts, at_s=worst.began_s, during=during))


def _lacking(metric: str, percentile: str, samples: Histogram, windows: Sequence[LoadWindow]) -> str:
    """Return why a percentile cannot be told, "" where it can."""
    if samples.refused:
        return f"{samples.refused:,} values of {metric} are negative or no finite number"
    if metric in NEVER_ZERO and samples.zeros:
        return f"{samples.zeros:,} values of {metric} are 0 or below"
    least = math.ceil(100 / max(round(100 - (percent(percentile) or 0.0), 9), 0.001))
    if samples.total < least:
        return f"{percentile} of {metric} needs {least:,} samples, and there are {samples.total:,}"
    good = tally(windows).good
    if metric in NEVER_ZERO and samples.total < COVERAGE * good:
        return f"{metric} is known of {samples.total:,} of {good:,} answers, expected at least {COVERAGE:.0%}"
    return ""


def burst(windows: Sequence[LoadWindow], limits: Limits, chaos: Chaos) -> Gate:
    """Say whether one reason makes most of the failures in window after window."""
    if limits.burst_windows is None:
        return not_asked("burst", LOAD, "no limit is set for windows in which one reason dominates")
    found = [bursts.Window((w.began_s, w.ended_s), dict(w.errors), w.failed, w.completed + w.failed) for w in windows]
    return bursts.gate(LOAD, found, limits.burst_windows, limits.max_failure_ratio, chaos)


def _quiet(windows: Sequence[LoadWindow], end: float) -> list[Span]:
    """Return when there was no load: no window, or one in which nothing was sent and nothing was open."""
    busy: list[Span] = []
    open_requests = 0
    for one in windows:
        if one.sent or open_requests:
            busy.append((one.began_s, one.ended_s))
        open_requests += one.sent - one.completed - one.failed
    edges = [0.0, *(edge for span in merged(busy) for edge in span), end]
    return [(began, ended) for began, ended in zip(edges[::2], edges[1::2], strict=True) if ended - began > OVERLAP_S]


def _good(window: LoadWindow) -> bool:
    return window.completed > window.without_tokens


def _warm(windows: Sequence[LoadWindow], limits: Limits) -> list[LoadWindow]:
    return [one for one in windows if one.began_s >= limits.warmup_secs]
