# SPDX-License-Identifier: MIT
"""Records of soaks as tests need them: from nothing at all to eight hours with hundreds of faults."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import fault_log, gates, left, profiles
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.begin import Begin
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.histogram import Histogram
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.judgement import Evidence, Reports
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.model import LoadWindow, Series
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.readings import Readings
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.record import SoakRecord
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.schedule import Injection
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.settings import SoakSettings

BEGAN = 1_700_000_000.0
GATES: dict[str, Any] = {"max_rto_secs": 60, "min_success_ratio": 0.99, "latency": {"ttft_ms": {"p95": 500.0}}}


def settings(duration_s: int, **more: Any) -> SoakSettings:
    """Return settings of a short soak."""
    plain: dict[str, Any] = {
        "profile": "soak_smoke",
        "missing": profiles.MISSING["soak_smoke"],
        "topologies": ("single",),
        "chaos_plan": "",
        "duration_secs": duration_s,
        "max_stall_secs": 60,
        "max_lag_p95": 20.0,
        "max_failure_ratio": 0.05,
        "max_rss_slope": 64 << 20,
        "enable_chaos": True,
        "negative_control": False,
        "out_dir": "",
        "sample_interval_secs": 1,
        "warmup_secs": 10,
        "reports": (),
        "metrics": (),
        "gates": GATES,
    }
    return SoakSettings(**{**plain, **more})


def window(began_s: float, ended_s: float, sent: int = 50, failed: int = 0, ttft_ms: float = 20.0) -> LoadWindow:
    """Return a window in which all that was sent ended."""
    found = Histogram()
    found.add(np.full(sent - failed, ttft_ms))
    errors = {"connect": failed} if failed else {}
    return LoadWindow(began_s, ended_s, sent, sent - failed, failed, 0, errors, {"ttft_ms": found, "e2e_ms": found})


def kill(number: int, at_s: float, node: str, service: str, duration_s: float = 5.0) -> Injection:
    """Return a planned fault."""
    return Injection(f"kill-{service}.{number}", "kill", at_s, duration_s, node, service, {}, 10.0, True)


def said_of(one: Injection, rto_s: float = 2.0) -> list[fault_log.Said]:
    """Return what a node says of a fault that went as it should."""
    undone = one.at_s + one.duration_s
    lines: list[tuple[str, float, dict[str, Any]]] = [
        ("planned", 0.1, {"at_s": one.at_s}),
        ("control", one.at_s - 0.1, {"applied": False}),
        ("record", one.at_s, {}),
        ("injected", one.at_s + 0.1, {}),
        ("effect", one.at_s + 0.2, {"applied": True, "measured": {"running": 0}}),
        ("undone", undone, {}),
        ("verified", undone + 0.1, {"left": []}),
        ("recovered", undone + rto_s, {"rto_s": rto_s}),
    ]
    target = {"service": one.service}
    return [
        fault_log.Said(
            one.node, one.id, phase, at, BEGAN + at, {"id": one.id, "kind": one.kind, "target": target, **more}
        )
        for phase, at, more in lines
    ]


def record(
    folder: Path,
    *,
    duration_s: int = 100,
    lasted_s: float | None = None,
    services: dict[str, tuple[str, ...]] | None = None,
    series: list[Series] | None = None,
    windows: list[LoadWindow] | None = None,
    schedule: tuple[Injection, ...] = (),
    reports: list[Reports] | None = None,
    said: list[fault_log.Said] | None = None,
    **more: Any,
) -> SoakRecord:
    """Return a record whose gates have judged what is given. more: settings."""
    named = {"n1": ("decode-1",)} if services is None else services
    told = [line for one in schedule for line in said_of(one)] if said is None else said
    told.sort(key=lambda line: line.at_s)
    limits_of = settings(duration_s, **more)
    asked = left.Asked(limits_of, schedule, folder, named, (), next(iter(named)))
    evidence = Evidence(
        series or [],
        windows or [],
        fault_log.faults(schedule, told),
        reports or [],
        float(duration_s),
        float(duration_s if lasted_s is None else lasted_s),
        "complete",
        named,
    )
    begin = Begin(BEGAN, 5000.0, "boot", float(duration_s), None)
    found = left.Left(evidence, tuple(Readings(node, begin, (), (), ()) for node in named), tuple(told), ())
    limits = left.limits(limits_of, chaos=bool(schedule))
    judgement = gates.judge(evidence, limits)
    identity = {
        "run_id": "20261122_060334",
        "scenario": "s",
        "case": "c",
        "attempt": 1,
        "topology": "single",
        "seed": 7,
    }
    return SoakRecord(identity, asked, found, limits, judgement, judgement.verdict, "why it is so")


def long_night(folder: Path, hours: int = 8, services: int = 40, faults: int = 200) -> SoakRecord:
    """Return a night with many services of long names on one node, gaps of NaN, and many faults."""
    end = hours * 3600
    names = tuple(f"decode-worker-with-a-rather-long-name-of-a-rack-{n}" for n in range(services))
    times = tuple(float(t) for t in range(1, end, 5))

    def value(place: int, at: float) -> float | None:
        if 6000 < at < 7200 or (place == 3 and int(at) % 900 < 60):
            return math.nan if place % 2 else None
        spike = 3.0 if abs(at - 10000) < 3 else 1.0
        return (100 + place * 5 + 8 * math.sin(at / 400 + place) + place * at / 9000) * spike * 1048576

    series = [
        Series("n1", f"service:{name}", metric, times, tuple(value(place, at) for at in times))
        for place, name in enumerate(names)
        for metric in ("rss_bytes", "fds")
    ]
    heights = tuple(float(t) for t in range(10, end, 30))
    series += [
        Series("n1", f"report:{names[0]}", "progress", heights, tuple(t // 6 for t in heights)),
        Series("n1", f"report:{names[0]}", "network", heights, tuple(t // 6 + 3 for t in heights)),
        Series("n1", f"report:{names[0]}", "lag", heights, (3.0,) * len(heights)),
    ]
    plan = tuple(kill(n, 60 + n * (end - 200) / max(faults, 1), "n1", names[n % 12], 15.0) for n in range(faults))
    windows = [
        window(t, t + 10, 40, 4 if t % 700 < 20 else 0, 20.0 + (3000 if t % 700 < 20 else 0)) for t in range(0, end, 10)
    ]
    return record(folder, duration_s=end, services={"n1": names}, series=series, windows=windows, schedule=plan)
