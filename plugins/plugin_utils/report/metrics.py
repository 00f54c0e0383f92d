# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The figures of a benchmark: the headline a person reads first, and every value as one row for a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .values import mapping, number, shown

LATENCIES = (
    ("ttft_ms", "time to first token"),
    ("itl_ms", "inter-token latency"),
    ("tpot_ms", "time per output token"),
    ("e2e_ms", "end to end"),
)
STATISTICS = ("mean", "p50", "p90", "p95", "p99", "min", "max", "count")
RATES = (
    ("request_throughput", "requests/s"),
    ("output_token_throughput", "tokens/s"),
    ("total_token_throughput", "tokens/s"),
    ("goodput", "requests/s"),
)
COUNTS = (
    ("requested", "num_prompts", "requests"),
    ("requested", "request_rate", "requests/s"),
    ("requested", "max_concurrency", "requests"),
    ("achieved", "sent", "requests"),
    ("achieved", "completed", "requests"),
    ("achieved", "failed", "requests"),
    ("achieved", "rate", "requests/s"),
    ("throttled", "attempts", "attempts"),
    ("throttled", "refused", "attempts"),
    ("throttled", "held_s", "s"),
    ("tokens", "input", "tokens"),
    ("tokens", "output", "tokens"),
)


@dataclass(frozen=True)
class Figure:
    """One value of a benchmark; value is None where there were no samples."""

    metric: str
    statistic: str
    value: float | None
    unit: str

    @property
    def shown(self) -> str:
        """Return value and unit as text, a dash when there is no value."""
        return shown(self.value, self.unit)


@dataclass(frozen=True)
class Tile:
    """One headline figure: what it is, the figure, and a second figure in small print."""

    title: str
    main: str
    note: str


def figures(benchmark: Mapping[str, Any] | None) -> tuple[Figure, ...]:
    """Return every figure of a benchmark.json, in a fixed order; an absent benchmark has none."""
    if not benchmark:
        return ()
    return (*_latencies(benchmark), *_rates(benchmark), *_counts(benchmark), *_rest(benchmark))


def headline(benchmark: Mapping[str, Any] | None) -> dict[str, float | None]:
    """Return the ten figures that the run summary keeps, by name; None where there were no samples."""
    facts = mapping(benchmark)
    values = mapping(facts.get("metrics"))
    requested, achieved = mapping(facts.get("requested")), mapping(facts.get("achieved"))
    return {
        "ttft_ms_p50": _statistic(values, "ttft_ms", "p50"),
        "ttft_ms_p99": _statistic(values, "ttft_ms", "p99"),
        "itl_ms_p50": _statistic(values, "itl_ms", "p50"),
        "itl_ms_p99": _statistic(values, "itl_ms", "p99"),
        "e2e_ms_p99": _statistic(values, "e2e_ms", "p99"),
        "output_tokens_per_s": number(values.get("output_token_throughput")),
        "requests_per_s": number(values.get("request_throughput")),
        "requests_requested": number(requested.get("num_prompts")),
        "requests_completed": number(achieved.get("completed")),
        "requests_failed": number(achieved.get("failed")),
    }


def tiles(benchmark: Mapping[str, Any] | None) -> tuple[Tile, ...]:
    """Return the headline as four tiles (TTFT, ITL, throughput, requests); no benchmark, no tiles."""
    if not benchmark:
        return ()
    facts = headline(benchmark)
    return (
        Tile("TTFT p50", shown(facts["ttft_ms_p50"], "ms"), f"p99 {shown(facts['ttft_ms_p99'], 'ms')}"),
        Tile("ITL p50", shown(facts["itl_ms_p50"], "ms"), f"p99 {shown(facts['itl_ms_p99'], 'ms')}"),
        Tile("Throughput", shown(facts["output_tokens_per_s"], "tok/s"), shown(facts["requests_per_s"], "req/s")),
        Tile(
            "Requests completed",
            f"{shown(facts['requests_completed'])} / {shown(facts['requests_requested'])}",
            f"{shown(facts['requests_failed'])} failed",
        ),
    )


def latency_table(benchmark: Mapping[str, Any] | None) -> list[tuple[str, list[str]]]:
    """Return one row a latency: its title and the figures of STATISTICS as text; latencies without samples too."""
    values = mapping(mapping(benchmark).get("metrics"))
    table = []
    for name, title in LATENCIES:
        found = mapping(values.get(name))
        table.append((title, [shown(found.get(s), "" if s == "count" else "ms") for s in STATISTICS]))
    return table


def _latencies(benchmark: Mapping[str, Any]) -> Iterator[Figure]:
    values = mapping(benchmark.get("metrics"))
    for name, _title in LATENCIES:
        for statistic in STATISTICS:
            unit = "samples" if statistic == "count" else "ms"
            yield Figure(name, statistic, _statistic(values, name, statistic), unit)


def _rates(benchmark: Mapping[str, Any]) -> Iterator[Figure]:
    values = mapping(benchmark.get("metrics"))
    for name, unit in RATES:
        yield Figure(name, "value", number(values.get(name)), unit)


def _counts(benchmark: Mapping[str, Any]) -> Iterator[Figure]:
    for group, name, unit in COUNTS:
        yield Figure(f"{group}_{name}", "value", number(mapping(benchmark.get(group)).get(name)), unit)


def _rest(benchmark: Mapping[str, Any]) -> Iterator[Figure]:
    delay = mapping(benchmark.get("schedule_delay_ms"))
    for statistic in ("p50", "p95", "max"):
        yield Figure("schedule_delay_ms", statistic, number(delay.get(statistic)), "ms")
    yield Figure("duration", "value", number(benchmark.get("duration_s")), "s")
    for kind, count in sorted(mapping(benchmark.get("errors")).items(), key=lambda item: str(item[0])):
        yield Figure(f"errors_{kind}", "count", number(count), "requests")


def _statistic(values: Mapping[str, Any], metric: str, statistic: str) -> float | None:
    return number(mapping(values.get(metric)).get(statistic))
