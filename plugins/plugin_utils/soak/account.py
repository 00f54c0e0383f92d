# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""summary.json and run_config.json of a soak: what it was to do and what came of it, as plain JSON types."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..report.values import finite
from . import timeline
from .histogram import Histogram
from .judgement import NO_DATA, NOT_ASKED, PASS
from .model import LoadWindow, Series
from .record import FaultStory, SoakRecord, iso

SCHEMA_VERSION = 1
OK, FAILED = "ok", "failed"
PERCENTILES = (50, 90, 95, 99, 99.9)
# Series whose course is told in the summary; of these a leak is made.
RESOURCES = ("rss_bytes", "anon_bytes", "fds", "threads", "memory_bytes")
MOST_PROBLEMS = 200


def config(record: SoakRecord) -> dict[str, Any]:
    """Return run_config.json: the settings that counted, where things ran, every planned fault, and by which seed."""
    asked = record.asked
    found: dict[str, Any] = finite(
        {
            "schema_version": SCHEMA_VERSION,
            **record.identity,
            "profile": asked.settings.profile,
            "settings": asdict(asked.settings),
            "nodes": {node: list(services) for node, services in asked.services.items()},
            "load_node": asked.load_node,
            "schedule": [asdict(one) for one in asked.schedule],
        }
    )
    return found


def summary(record: SoakRecord) -> dict[str, Any]:
    """Return summary.json of a soak. Times are seconds since the load began, latencies ms, slopes an hour."""
    said, evidence = record.judgement, record.evidence
    stories = record.stories()
    found: dict[str, Any] = finite(
        {
            "schema_version": SCHEMA_VERSION,
            **record.identity,
            "profile": record.asked.settings.profile,
            "negative_control": record.limits.negative_control,
            "overall_status": OK if record.verdict == PASS else FAILED,
            "verdict": record.verdict,
            "why": record.why,
            "failure": record.failure,
            "gates_verdict": said.verdict,
            "metric_gate": said.metric_gate,
            "error_kind": said.error_kind,
            "reasons": list(said.reasons),
            "warnings": list(said.warnings),
            "began_at": iso(record.began_unix_s),
            "planned_s": evidence.planned_s,
            "lasted_s": evidence.lasted_s,
            "ended_how": evidence.ended_how,
            "chaos_events_total": sum(one.fault.began_s is not None for one in stories),
            "chaos_events_planned": len(stories),
            "report_samples_total": sum(len(one.times) for one in evidence.reports),
            "headline": headline(record, stories),
            "gates": [gate.as_dict() for gate in said.gates],
            "faults": [of_fault(one) for one in stories],
            "requests": requests(record),
            "latencies": latencies(record),
            "resources": [of_series(one) for one in evidence.series if one.metric in RESOURCES],
            "problems": [problem.render() for problem in record.left.problems[:MOST_PROBLEMS]],
            "problems_total": len(record.left.problems),
        }
    )
    return found


def headline(record: SoakRecord, stories: Sequence[FaultStory]) -> dict[str, Any]:
    """Return the figures by which nights are compared: the worst of each, None where there is none."""
    by_name: dict[str, list[float]] = {}
    for gate in record.judgement.gates:
        if gate.value is not None and math.isfinite(gate.value):
            by_name.setdefault(gate.name, []).append(gate.value)
    rtos = [one.rto_s for one in stories if one.rto_s is not None]
    verdicts = [gate.verdict for gate in record.judgement.gates]
    return {
        "gates": len(verdicts) - verdicts.count(NOT_ASKED),
        "gates_passed": verdicts.count(PASS),
        "gates_no_data": verdicts.count(NO_DATA),
        "faults": len(stories),
        "faults_felt": sum(one.fault.applied is True and one.fault.outcome == "injected" for one in stories),
        "lag_p95": max(by_name.get("lag", ()), default=None),
        "failure_ratio": max(by_name.get("failure_ratio", ()), default=None),
        "stall_s": max(by_name.get("stall", ()), default=None),
        "success_ratio_in_fault": min(by_name.get("success_in_fault", ()), default=None),
        "rss_slope_bytes_per_h": max(by_name.get("rss_slope", ()), default=None),
        "rto_max_s": max(rtos, default=None),
    }


def of_fault(story: FaultStory) -> dict[str, Any]:
    """Return one fault as summary.json has it."""
    fault = story.fault
    return {
        "id": fault.id,
        "kind": fault.kind,
        "target": fault.target,
        "params": story.planned.params,
        "planned_at_s": story.planned.at_s,
        "duration_s": story.planned.duration_s,
        "recovery_s": story.planned.recovery_s,
        "expected": fault.expected,
        "outcome": fault.outcome,
        "effect": story.effect,
        "measured": dict(fault.measured),
        "felt_before": fault.control,
        "began_s": fault.began_s,
        "undone_s": fault.undone_s,
        "nothing_left": fault.reverted,
        "recovered_s": fault.recovered_s,
        "rto_s": story.rto_s,
        "why": fault.why,
    }


def requests(record: SoakRecord) -> dict[str, Any]:
    """Return the counts of all requests, and of those outside and inside the windows in which failures are expected."""
    inside, outside = record.parted
    return {
        name: _counts(windows)
        for name, windows in (("all", record.evidence.windows), ("outside", outside), ("inside", inside))
    }


def latencies(record: SoakRecord) -> dict[str, Any]:
    """Return percentiles of each latency outside and inside the windows of faults, those of the warm-up left out."""
    inside, outside = record.parted
    names = list(dict.fromkeys(name for one in record.evidence.windows for name in one.latencies))
    return {
        name: {"outside": _percentiles(name, outside, record), "inside": _percentiles(name, inside, record)}
        for name in names
    }


def of_series(series: Series) -> dict[str, Any]:
    """Return how a series went: its first, least, largest and last value."""
    known = [value for value in series.values if value is not None and math.isfinite(value)]
    figures = (known[0], min(known), max(known), known[-1]) if known else (None,) * 4
    return {
        "node": series.node,
        "subject": series.subject,
        "metric": series.metric,
        "samples": len(known),
        **dict(zip(("first", "min", "max", "last"), figures, strict=True)),
    }


def _counts(windows: Iterable[LoadWindow]) -> dict[str, Any]:
    found = dict.fromkeys(timeline.COUNTS, 0)
    errors: dict[str, int] = {}
    for one in windows:
        for name in found:
            found[name] += getattr(one, name)
        for kind, count in one.errors.items():
            errors[kind] = errors.get(kind, 0) + count
    return {**found, "success_ratio": timeline.success_ratio(found), "errors": errors}


def _percentiles(name: str, windows: Sequence[LoadWindow], record: SoakRecord) -> dict[str, Any]:
    total = Histogram()
    for one in windows:
        if name in one.latencies and one.began_s >= record.limits.warmup_secs:
            total.merge(one.latencies[name])
    found: Mapping[str, Any] = {f"p{percent:g}": _rounded(total.percentile(percent)) for percent in PERCENTILES}
    return {"count": total.total, **found}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
