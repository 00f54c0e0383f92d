# SPDX-License-Identifier: MIT
"""A soak whose truth is known: two nodes, a router and a decode worker under load, faults where wanted, and everything sampled.

It knows nothing of the gates. Noise remembers itself, a collector makes sawteeth, and samples come a little late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import numpy.typing as npt
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.histogram import Histogram
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.judgement import Evidence, Limits, Reports
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.model import Fault, LoadWindow, Series

MIB = float(1 << 20)
HOUR_S = 3600.0
SAMPLE_S, WINDOW_S, REPORT_S = 10.0, 10.0, 15.0
SERVICES = {"router": "node-1", "decode": "node-2"}
NODES = {"node-1": ("router",), "node-2": ("decode",)}
REASONS = ("http_5xx", "http_timeout", "http_reset", "overloaded")
LATENCY = {"ttft_ms": {"p95": 500.0}, "itl_ms": {"p99": 100.0}}
LIMITS = Limits(
    max_stall_secs=120.0,
    max_lag_p95=20.0,
    max_failure_ratio=0.05,
    burst_windows=3,
    max_report_gap_secs=60.0,
    max_rto_secs=60.0,
    min_success_ratio=0.98,
    min_success_ratio_in_fault=0.5,
    latency=LATENCY,
    latency_in_fault={"ttft_ms": {"p95": 5000.0}},
    max_rss_slope=64 * MIB,
    max_anon_slope=64 * MIB,
    max_fd_slope=60.0,
    max_threads_slope=10.0,
    max_gpu_memory_slope=64 * MIB,
    max_disk_slope=256 * MIB,
)

Floats = npt.NDArray[np.float64]
Key = tuple[str, str, str]


@dataclass
class Window:
    """What the client did in ten seconds. errors: by kind; slow: by what latencies are longer."""

    began_s: float
    sent: int
    completed: int
    errors: dict[str, int] = field(default_factory=dict)
    without_tokens: int = 0
    slow: float = 1.0
    latencies: dict[str, Histogram] = field(default_factory=dict)
    lasts_s: float = WINDOW_S

    def built(self) -> LoadWindow:
        """Return it as the gates read it."""
        failed = sum(self.errors.values())
        end = self.began_s + self.lasts_s
        counts = (self.sent, self.completed, failed, self.without_tokens)
        return LoadWindow(self.began_s, end, *counts, dict(self.errors), self.latencies)


@dataclass
class World:
    """A soak that went well; what a case needs is changed in it.

    planned_s: seconds; series: key -> (times, values); mapped: whether the scenario says what its reports mean;
    nodes: those that should have been sampled, with their services.
    """

    seed: int
    planned_s: float = HOUR_S
    limits: Limits = LIMITS
    lasted_s: float = 0.0
    ended_how: str = "complete"
    series: dict[Key, tuple[Floats, list[float | None]]] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    reports: list[float] = field(default_factory=list)
    mapped: bool = True
    nodes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: NODES)
    chance: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        """Let the soak go well."""
        self.chance = np.random.default_rng(self.seed)
        self.lasted_s = self.planned_s + self.chance.uniform(0.0, 5.0)
        times = np.arange(0.0, self.planned_s, SAMPLE_S) + self.chance.uniform(0.0, 0.3, self._count(SAMPLE_S))
        for service, node in SERVICES.items():
            self._service(node, service, times)
        for node in NODES:
            self._put(node, "node", "disk_used_bytes", times, 20e9 + times * 1e3 + self.noise(times, 2e5, 60.0))
        self._put("node-2", "gpu:0", "memory_bytes", times, np.full_like(times, 60e9))
        self._put("node-2", "gpu:0", "utilisation_pct", times, np.round(self.chance.uniform(20, 95, len(times))))
        self._report()
        self._load()

    def _count(self, every_s: float) -> int:
        return len(np.arange(0.0, self.planned_s, every_s))

    def noise(self, times: Floats, size: float, memory_s: float) -> Floats:
        """Return noise of a standard deviation that remembers itself for some seconds."""
        keep = float(np.exp(-SAMPLE_S / memory_s))
        fresh = self.chance.normal(0.0, size * (1 - keep**2) ** 0.5, len(times))
        found = np.empty(len(times))
        last = self.chance.normal(0.0, size)
        for index, news in enumerate(fresh):
            last = found[index] = keep * last + news
        return found

    def _service(self, node: str, service: str, times: Floats) -> None:
        memory = 800 * MIB + self.noise(times, 1.0 * MIB, 30.0)
        put = f"service:{service}"
        self._put(node, put, "rss_bytes", times, memory)
        self._put(node, put, "anon_bytes", times, memory - 200 * MIB + self.noise(times, 0.2 * MIB, 10.0))
        self._put(node, put, "fds", times, np.round(120 + self.noise(times, 2.0, 20.0)))
        self._put(node, put, "threads", times, np.full_like(times, 24.0))
        self._put(node, put, "cpu_s", times, np.cumsum(self.chance.uniform(1.0, 5.0, len(times))))
        self._put(node, put, "started", times, np.full_like(times, 1.76e9))
        self._put(node, put, "running", times, np.ones_like(times))
        self._put(node, put, "restarts", times, np.zeros_like(times))

    def _report(self) -> None:
        times = np.arange(REPORT_S, self.planned_s, REPORT_S) + self.chance.uniform(0.0, 1.0, self._count(REPORT_S) - 1)
        self.reports = [float(at) for at in times]
        height: Floats = np.floor_divide(times, 2.0)
        self._told("progress", height)
        behind: Floats = self.chance.integers(0, 6, len(times)).astype(np.float64)
        self._told("network", height + behind)
        self._told("checks_total", np.cumsum(np.full(len(times), 40.0)))
        self._told("checks_failed", np.zeros(len(times)))
        for reason in REASONS[:2]:
            self._told(f"reason:{reason}", np.zeros(len(times)))
        self._told("invariant:assets", np.ones(len(times)))

    def _told(self, metric: str, values: Floats) -> None:
        self._put("node-2", "report:decode", metric, np.array(self.reports), values)

    def _put(self, node: str, subject: str, metric: str, times: Floats, values: Floats) -> None:
        self.series[node, subject, metric] = (times.copy(), [float(value) for value in values])

    def _load(self) -> None:
        """Send some 40 requests a window; now and then one fails, for one reason or another."""
        for began in np.arange(0.0, self.planned_s, WINDOW_S):
            sent = int(self.chance.integers(35, 45))
            errors = {str(self.chance.choice(REASONS)): 1} if self.chance.random() < 0.02 else {}
            self.windows.append(Window(float(began), sent, sent - len(errors), errors))

    def change(
        self, key: Key, by: Callable[[Floats, Floats], Floats], began: float = 0.0, ended: float = np.inf
    ) -> None:
        """Change the values of a series from began to ended. by: (times, values) -> values."""
        times, values = self.series[key]
        chosen = np.flatnonzero((times >= began) & (times < ended))
        new = by(times[chosen], np.array([values[index] for index in chosen], dtype=np.float64))
        for index, value in zip(chosen, new, strict=True):
            values[index] = float(value)

    def lose(self, key: Key, began: float = 0.0, ended: float = np.inf) -> None:
        """Take away what was read from began to ended."""
        times, values = self.series[key]
        self.series[key] = (times, [None if began <= at < ended else v for at, v in zip(times, values, strict=True)])

    def keys(self, node: str, *prefixes: str) -> list[Key]:
        """Return the keys of a node's series whose subjects begin with one of these."""
        return [key for key in self.series if key[0] == node and key[1].startswith(prefixes)]

    def load(self, began: float, ended: float) -> list[Window]:
        """Return the windows from began to ended."""
        return [one for one in self.windows if began <= one.began_s < ended]

    def fail(self, windows: list[Window], share: float, *reasons: str) -> None:
        """Let a share of the requests of each window fail, for these reasons in turn."""
        for one in windows:
            one.errors = {}
            for index in range(round(share * one.sent)):
                reason = reasons[index % len(reasons)]
                one.errors[reason] = one.errors.get(reason, 0) + 1
            one.completed = one.sent - sum(one.errors.values())

    def hang(self, windows: list[Window]) -> None:
        """Let nothing be answered in these windows; what waits is answered in the one after them."""
        waiting = 0
        for one in windows:
            one.sent, one.completed, one.errors = 4, 0, {}
            waiting += 4
        after = next((one for one in self.windows if one.began_s > windows[-1].began_s), None)
        if after is not None:
            after.completed += waiting

    def kill(self, service: str, began: float, down_s: float, by_engine: bool = False) -> None:
        """Let a service be down for some seconds; then it is another process with memory of its own."""
        node = SERVICES[service]
        subject, ended = f"service:{service}", began + down_s
        self.change((node, subject, "running"), lambda t, v: 0 * v, began, ended)
        self.change((node, subject, "started"), lambda t, v: v + ended, ended)
        for metric in ("rss_bytes", "anon_bytes", "fds", "threads", "cpu_s"):
            self.lose((node, subject, metric), began, ended)
        base = -150.0 * MIB
        for metric in ("rss_bytes", "anon_bytes"):
            warming = lambda t, v: v + base + 100 * MIB * (1 - np.exp(-(t - ended) / 10.0))  # noqa: E731 - it closes over the death
            self.change((node, subject, metric), warming, ended)
        if by_engine:
            self.change((node, subject, "restarts"), lambda t, v: v + 1, ended)

    def inject(self, name: str, target: str, began: float, lasts_s: float = 20.0, **more: object) -> Fault:
        """Put a fault into the account of the soak: felt, undone, and recovered from in ten seconds."""
        undone = began + lasts_s
        usual: dict[str, object] = {"applied": True, "reverted": True, "control": False, "recovered_s": undone + 10.0}
        found = Fault(name, "kill", target, "injected", began, undone, 30.0)
        found = replace(found, **{**usual, **more})  # type: ignore[arg-type]
        self.faults.append(found)
        self.limits = replace(self.limits, chaos=True)
        return found

    def only_measure(self, name: str, target: str, began: float, **more: object) -> Fault:
        """Put a fault of a negative control into the account: nothing was injected and nothing felt."""
        usual: dict[str, object] = {"outcome": "control", "applied": False, "measured": {"running": 1}}
        found = self.inject(name, target, began, 0.1, **{**usual, **more})
        self.limits = replace(self.limits, negative_control=True)
        return found

    def ask(self, **more: object) -> None:
        """Change limits."""
        self.limits = replace(self.limits, **more)  # type: ignore[arg-type]

    def cut(self, lasted_s: float) -> None:
        """End the soak early."""
        self.lasted_s = lasted_s
        self.windows = [one for one in self.windows if one.began_s + one.lasts_s <= lasted_s]
        self.reports = [at for at in self.reports if at <= lasted_s]
        for key, (times, values) in self.series.items():
            kept = int(np.count_nonzero(times <= lasted_s))
            self.series[key] = (times[:kept], values[:kept])

    def evidence(self) -> Evidence:
        """Return what the soak leaves behind."""
        for one in self.windows:
            self.measure(one)
        series = [
            Series(*key, tuple(float(at) for at in times), tuple(values))
            for key, (times, values) in self.series.items()
        ]
        reports = Reports("node-2", "decode", self.reports)
        if self.mapped:
            names = {"invariants": ("assets",), "monotonic": ("progress",)}
            reports = replace(reports, progress=True, network=True, checks=True, reasons=True, **names)  # type: ignore[arg-type]
        windows = [one.built() for one in self.windows]
        account = (self.planned_s, self.lasted_s, self.ended_how)
        return Evidence(series, windows, self.faults, [reports], *account, self.nodes)

    def measure(self, window: Window) -> None:
        """Fill a window's latencies: of each answer with tokens, and of twenty chunks of each."""
        answers = max(0, window.completed - window.without_tokens)
        for metric, middle, count in (("ttft_ms", 80.0, answers), ("itl_ms", 12.0, 20 * answers)):
            if metric not in window.latencies:
                window.latencies[metric] = latencies(middle * window.slow, count)


@cache
def latencies(middle_ms: float, count: int) -> Histogram:
    """Return the histogram of so many latencies; windows share it, so nobody may change it."""
    dense = Histogram()
    dense.add((np.random.default_rng(count).lognormal(np.log(middle_ms), 0.3, count)).astype(np.float32))
    bins = np.flatnonzero(dense.counts)
    return Histogram.of((int(index), int(dense.counts[index])) for index in bins)
