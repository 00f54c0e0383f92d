# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which plots a soak has: its load, its progress, and what each node and service used, with the gates as lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .model import GPU, METRICS, REPORT, SERVICE, Series
from .pages import told
from .plots import Band, Curve, Limit, Plot
from .record import FaultStory, SoakRecord
from .saying import BYTES, number, scaled

# Metrics of samples: what people call them, and their unit.
NAMES = {
    "rss_bytes": ("Resident memory", BYTES),
    "anon_bytes": ("Anonymous memory", BYTES),
    "swap_bytes": ("Swapped memory", BYTES),
    "memory_bytes": ("Memory", BYTES),
    "cpu_s": ("CPU", "cores"),
    "threads": ("Threads", ""),
    "fds": ("Open descriptors", ""),
    "sockets": ("Sockets", ""),
    "processes": ("Processes", ""),
    "restarts": ("Restarts by the engine", ""),
    "utilisation_pct": ("Utilisation", "%"),
    "memory_used_bytes": ("Used memory", BYTES),
    "swap_used_bytes": ("Used swap", BYTES),
    "disk_used_bytes": ("Used disk", BYTES),
    "disk_free_bytes": ("Free disk", BYTES),
    "load_1m": ("Load average of a minute", ""),
}
LATENCY_NAMES = {
    "ttft_ms": "Time to first token",
    "itl_ms": "Inter-token latency",
    "tpot_ms": "Time per output token",
    "e2e_ms": "End to end",
}
KINDS = {SERVICE: "of services", GPU: "of GPUs", METRICS: "of the engine's metrics", "": ""}
# Moments and states: the gaps of the other series show them.
NOT_DRAWN = frozenset(("started", "running"))
PERCENTILES = (50, 95, 99)
# Limits of growth by metric, and the gates that are held to them.
SLOPES = {
    "rss_bytes": "max_rss_slope",
    "anon_bytes": "max_anon_slope",
    "fds": "max_fd_slope",
    "threads": "max_threads_slope",
    "memory_bytes": "max_gpu_memory_slope",
    "disk_used_bytes": "max_disk_slope",
}


@dataclass(frozen=True)
class Chapter:
    """Plots that belong together. still: series that were 0 from beginning to end and are not drawn."""

    key: str
    title: str
    plots: tuple[Plot, ...]
    still: tuple[str, ...] = ()


def bands(record: SoakRecord) -> tuple[Band, ...]:
    """Return the windows of all faults that began, by time."""
    found = [_band(record, one) for one in record.stories() if one.fault.began_s is not None]
    return tuple(sorted(found, key=lambda band: (band.began_s, band.id)))


def _band(record: SoakRecord, story: FaultStory) -> Band:
    fault = story.fault
    began, ended = fault.window(record.ended_s) or (0.0, 0.0)
    undone = record.ended_s if fault.undone_s is None else fault.undone_s
    rto = f", ready again after {number(story.rto_s)} s" if story.rto_s is not None else ""
    label = "" if fault.expected else "; failures in it count"
    title = f"{fault.id}: {fault.kind} of {fault.target}, {number(began)} s to {number(undone)} s, {story.effect}{rto}{label}"
    measured = told(fault.measured, fault.why)
    return Band(fault.id, fault.target, began, max(undone, began), max(ended, undone, began), f"{title} ({measured})")


def chapters(record: SoakRecord) -> tuple[Chapter, ...]:
    """Return all plots: of the load, of progress, then of each node."""
    found = [Chapter("load", "Load", tuple(_load(record)))]
    progress = tuple(_progress(record))
    if progress:
        found.append(Chapter("progress", "Progress and lag", progress))
    nodes = dict.fromkeys([*record.asked.services, *(one.node for one in record.evidence.series)])
    return (*found, *(_node(record, name, place) for place, name in enumerate(nodes, 1)))


def _load(record: SoakRecord) -> Iterator[Plot]:
    windows, limits = record.evidence.windows, record.limits
    at = [(one.began_s + one.ended_s) / 2 for one in windows]
    # a last window of some milliseconds would show a rate that never was
    spans = [max(one.ended_s - one.began_s, 1.0) for one in windows]
    rates = tuple(
        Curve(name, at, [getattr(one, name) / span for one, span in zip(windows, spans, strict=True)])
        for name in ("sent", "completed", "failed")
    )
    yield Plot("load_throughput", "Requests", "a second", rates)
    ended = [one.completed + one.failed for one in windows]
    good = [one.completed - one.without_tokens for one in windows]
    ratio = [100 * a / b if b else None for a, b in zip(good, ended, strict=True)]
    asked = (
        ("least outside of faults", limits.min_success_ratio),
        ("least within faults", limits.min_success_ratio_in_fault),
    )
    lines = tuple(Limit(f"{name}: {number(100 * value)} %", 100 * value) for name, value in asked if value is not None)
    yield Plot("load_success", "Requests answered with tokens", "%", (Curve("answered", at, ratio),), lines)
    for name in dict.fromkeys(name for one in windows for name in one.latencies):
        curves = tuple(
            Curve(f"p{p}", at, [w.latencies[name].percentile(p) if name in w.latencies else None for w in windows])
            for p in PERCENTILES
        )
        places = (("limit", limits.latency), ("limit in faults", limits.latency_in_fault))
        held = tuple(
            Limit(f"{word} of {p}: {number(value)} ms", value)
            for word, asked_of in places
            for p, value in asked_of.get(name, {}).items()
        )
        yield Plot(f"load_{name}", LATENCY_NAMES.get(name, name), "ms", curves, held, log=True)


def _progress(record: SoakRecord) -> Iterator[Plot]:
    found = [one for one in record.evidence.series if one.subject.startswith(REPORT)]
    heights = [one for one in found if one.metric in ("progress", "network")]
    if heights:
        yield Plot("progress_height", "Height, own and of the network", "", _curves(heights, with_metric=True))
    lags = [one for one in found if one.metric == "lag"]
    if lags:
        limit = record.limits.max_lag_p95
        held = (Limit(f"limit of p95: {number(limit)}", limit),) if limit is not None else ()
        yield Plot("progress_lag", "Lag behind the network", "", _curves(lags), held)
    others: dict[str, list[Series]] = {}
    for one in found:
        if one.metric not in ("progress", "network", "lag"):
            others.setdefault(one.metric, []).append(one)
    for metric, series in sorted(others.items()):
        yield Plot(f"progress_{metric}", f"Reported: {metric}", "", _curves(series))


def _node(record: SoakRecord, node: str, place: int) -> Chapter:
    """Return the plots of a node: of its services first, then of GPUs and the node itself."""
    groups: dict[tuple[str, str], list[Series]] = {}
    for one in record.evidence.series:
        kind = next((prefix for prefix in (SERVICE, GPU, METRICS) if one.subject.startswith(prefix)), "")
        if one.node == node and one.values and not one.subject.startswith(REPORT) and one.metric not in NOT_DRAWN:
            groups.setdefault((kind, one.metric), []).append(one)
    order = [*KINDS]
    ranked = sorted(groups, key=lambda key: (order.index(key[0]), _rank(key[1]), key[1]))
    still = [key for key in ranked if not any(value for one in groups[key] for value in one.values)]
    plots = tuple(_resource(record, node, key, groups[key]) for key in ranked if key not in still)
    names = tuple(f"{NAMES.get(metric, (metric,))[0].lower()} {KINDS[kind]}".strip() for kind, metric in still)
    return Chapter(f"node_{place}", f"Node {node}", plots, names)


def _resource(record: SoakRecord, node: str, key: tuple[str, str], series: Sequence[Series]) -> Plot:
    kind, metric = key
    name, unit = NAMES.get(metric, (metric, BYTES if metric.endswith("_bytes") else ""))
    drawn = [replace(one, values=_rates(one)) for one in series] if metric == "cpu_s" else series
    title = f"{name} {KINDS[kind]} on {node}".replace("  ", " ")
    held = (
        _growth(record, node, series, unit) if metric in SLOPES and (metric == "memory_bytes") == (kind == GPU) else ()
    )
    return Plot(f"{node}_{kind.rstrip(':') or 'node'}_{metric}", title, unit, _curves(drawn), held)


def _growth(record: SoakRecord, node: str, series: Sequence[Series], unit: str) -> tuple[Limit, ...]:
    """Return the limit of growth as a line from where the series that grew most stood after the warm-up."""
    metric = series[0].metric
    limit = getattr(record.limits, SLOPES[metric])
    gates = {
        gate.subject: gate.value
        for gate in record.judgement.gates
        if gate.name == f"{metric.removesuffix('_bytes')}_slope" and gate.value is not None
    }
    worst = max(series, key=lambda one: gates.get(f"{node}/{one.subject.removeprefix(SERVICE)}", -math.inf))
    start = _first_after(worst, record.limits.warmup_secs)
    if limit is None or start is None:
        return ()
    divisor, shown = scaled(unit, limit)
    label = f"limit of growth: {number(limit / divisor)} {shown}".rstrip() + "/h"
    return (Limit(label, start[1], limit, start[0]),)


def _first_after(series: Series, at_s: float) -> tuple[float, float] | None:
    pairs = zip(series.times, series.values, strict=False)
    return next(((at, value) for at, value in pairs if at >= at_s and value is not None), None)


def _curves(series: Sequence[Series], with_metric: bool = False) -> tuple[Curve, ...]:
    """Return series as curves with labels that tell them apart."""
    nodes = len({one.node for one in series})
    return tuple(Curve(_label(one, nodes > 1, with_metric), one.times, one.values) for one in series)


def _label(one: Series, with_node: bool, with_metric: bool) -> str:
    subject = one.subject
    for prefix in (SERVICE, REPORT, METRICS):
        subject = subject.removeprefix(prefix)
    name = f"{one.node}/{subject}" if with_node else subject
    return f"{name} {one.metric}" if with_metric else name


def _rates(series: Series) -> tuple[float | None, ...]:
    """Return a counter of seconds as seconds a second; None at its first value and where it began anew."""
    found: list[float | None] = []
    before: tuple[float, float] | None = None
    for at, value in zip(series.times, series.values, strict=False):
        rate = None
        if value is not None and before is not None and value >= before[1] and at > before[0]:
            rate = (value - before[1]) / (at - before[0])
        found.append(rate)
        before = None if value is None else (at, value)
    return tuple(found)


def _rank(metric: str) -> int:
    return [*NAMES].index(metric) if metric in NAMES else len(NAMES)
