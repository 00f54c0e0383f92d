# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The figures of a load of any length, in bounded memory: what summary.figures says, with percentiles from histograms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .histogram import Histogram
from .summary import Record, is_good, per_second, schedule_delay_ms, tpot_ms


def _three() -> dict[str, Histogram]:
    return {key: Histogram() for key in ("ttft_ms", "itl_ms", "e2e_ms")}


@dataclass
class Window:
    """The requests that ended within some seconds. latencies: of the completed ones that brought tokens."""

    completed: int = 0
    failed: int = 0
    without_tokens: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    latencies: dict[str, Histogram] = field(default_factory=_three)

    def add(self, record: Record) -> None:
        """Count a request."""
        if not record["ok"]:
            self.failed += 1
            self.errors[record["error_kind"]] += 1
            return
        self.completed += 1
        self.without_tokens += record["no_tokens"]
        if record["no_tokens"]:
            return
        if record["ttft_ms"] is not None:
            self.latencies["ttft_ms"].add([record["ttft_ms"]])
        self.latencies["itl_ms"].add(record["itl_ms"])
        self.latencies["e2e_ms"].add([record["e2e_ms"]])

    def merge(self, other: Window) -> None:
        """Add the requests of another window."""
        self.completed += other.completed
        self.failed += other.failed
        self.without_tokens += other.without_tokens
        self.errors.update(other.errors)
        for key, histogram in other.latencies.items():
            self.latencies[key].merge(histogram)

    def as_json(self) -> dict[str, Any]:
        """Return counts and histograms as they stand in soak_windows.jsonl."""
        return {
            "completed": self.completed,
            "failed": self.failed,
            "without_tokens": self.without_tokens,
            "errors": dict(sorted(self.errors.items())),
            **{key: histogram.as_json() for key, histogram in self.latencies.items()},
        }


@dataclass
class Sendings:
    """When and how often requests were sent. first_s, last_s: of those that were sent at all."""

    requests: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    attempts: int = 0
    refused: int = 0
    refused_requests: int = 0
    never_sent: int = 0
    held_s: float = 0.0

    def add(self, record: Record) -> None:
        """Count a request."""
        self.attempts += record["attempts"]
        self.refused += record["refused"]
        self.refused_requests += record["refused"] > 0
        self.held_s += record["held_s"]
        if not record["attempts"]:
            self.never_sent += 1
            return
        at = record["sent_s"]
        self.first_s, self.last_s = (min(self.first_s, at), max(self.last_s, at)) if self.requests else (at, at)
        self.requests += 1

    def rate(self) -> float | None:
        """Return requests per second between the first and the last sending; None below two of them."""
        span = self.last_s - self.first_s
        return round((self.requests - 1) / span, 3) if span > 0 else None

    def throttled(self) -> dict[str, Any] | None:
        """Return what summary.throttled does."""
        if not self.requests + self.never_sent:
            return None
        counts = {"attempts": self.attempts, "refused": self.refused, "requests": self.refused_requests}
        return {**counts, "never_sent": self.never_sent, "held_s": round(self.held_s, 3)}


@dataclass
class Totals:
    """All requests of a soak. Its latencies come by merged windows, everything else by single records.

    goodput: limits in ms that a good request keeps.
    """

    goodput: Mapping[str, float] | None
    window: Window = field(default_factory=Window)
    sendings: Sendings = field(default_factory=Sendings)
    duration_s: float | None = None
    inputs: int | None = 0
    outputs: int = 0
    estimated: int = 0
    good: int = 0
    tpot: Histogram = field(default_factory=Histogram)
    delay: Histogram = field(default_factory=Histogram)

    def add(self, record: Record) -> None:
        """Count what a window does not."""
        self.sendings.add(record)
        self.duration_s = max(self.duration_s or 0.0, record["end_s"])
        self.delay.add([schedule_delay_ms(record)])
        if not record["ok"] or record["no_tokens"]:
            return
        known = self.inputs is not None and record["prompt_tokens"] is not None
        self.inputs = self.inputs + record["prompt_tokens"] if known else None
        self.outputs += record["output_tokens"]
        self.estimated += record["tokens_estimated"]
        self.good += self.goodput is not None and is_good(record, self.goodput)
        per_token = tpot_ms(record)
        if per_token is not None:
            self.tpot.add([per_token])

    def figures(self) -> dict[str, Any]:
        """Return what summary.figures does."""
        done = self.window
        full = done.completed - done.without_tokens
        return {
            "duration_s": self.duration_s,
            "achieved": {
                "rate": self.sendings.rate(),
                "sent": done.completed + done.failed,
                "completed": done.completed,
                "failed": done.failed,
                "without_tokens": done.without_tokens,
            },
            "throttled": self.sendings.throttled(),
            "tokens": {
                "input": self.inputs if full else None,
                "output": self.outputs,
                "estimated_requests": self.estimated,
            },
            "metrics": self._metrics(full),
            "schedule_delay_ms": self.delay.lateness(),
            "errors": dict(sorted(done.errors.items())),
        }

    def _metrics(self, full: int) -> dict[str, Any]:
        latencies, duration = self.window.latencies, self.duration_s
        both = self.inputs + self.outputs if full and self.inputs is not None else None
        return {
            "ttft_ms": latencies["ttft_ms"].distribution(),
            "itl_ms": latencies["itl_ms"].distribution(),
            "tpot_ms": self.tpot.distribution(),
            "e2e_ms": latencies["e2e_ms"].distribution(),
            "request_throughput": per_second(full or None, duration),
            "output_token_throughput": per_second(self.outputs if full else None, duration),
            "total_token_throughput": per_second(both, duration),
            "goodput": per_second(self.good if full and self.goodput is not None else None, duration),
        }
