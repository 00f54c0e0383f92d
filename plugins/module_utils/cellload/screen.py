# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a person sees: a progress line now and then, and a table at the end. Plain ASCII, since it lands in a log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COLUMNS = ("mean", "p50", "p90", "p95", "p99", "min", "max")
LATENCIES = (("TTFT", "ttft_ms"), ("ITL", "itl_ms"), ("TPOT", "tpot_ms"), ("E2E", "e2e_ms"))
SHOWN_ERRORS = 3


@dataclass
class Progress:
    """Count ended requests and print a line at most once a second, ever more rarely as the load goes on."""

    wanted: int | None
    write: Callable[[str], None]
    completed: int = 0
    failed: int = 0
    tokens: int = 0
    _next: float = 1.0

    def note(self, record: Mapping[str, Any], now: float, in_flight: int) -> None:
        """Count a record that ended at now (s since the start) and print when it is time to."""
        self.completed += record["ok"]
        self.failed += not record["ok"]
        self.tokens += record["output_tokens"]
        if now >= self._next:
            self._next = now + max(1.0, now / 100)
            self.write(self.line(now, in_flight))

    def line(self, now: float, in_flight: int) -> str:
        """Return the progress as one line."""
        ended = self.completed + self.failed
        goal = f"/{self.wanted}" if self.wanted else ""
        counts = f"{ended}{goal} ended, {self.failed} failed, {in_flight} in flight"
        return f"{now:6.0f} s  {counts}, {self.tokens / now:.0f} tok/s"


def table(result: Mapping[str, Any], failures: Sequence[str]) -> str:
    """Return the result as text: the counts, the latencies and the first failures."""
    lines = ["", *_counts(result), "", _row("ms", COLUMNS)]
    for title, key in LATENCIES:
        values = result["metrics"][key] or {}
        lines.append(_row(title, [_number(values.get(column)) for column in COLUMNS]))
    if failures:
        lines += ["", *failures[:SHOWN_ERRORS]]
    lines += [f"warning: {warning}" for warning in result["warnings"]]
    return "\n".join(lines)


def _counts(result: Mapping[str, Any]) -> list[str]:
    achieved, tokens, metrics = result["achieved"], result["tokens"], result["metrics"]
    requested, delay = result["requested"], result["schedule_delay_ms"] or {}
    rate, limit = requested["request_rate"], requested["max_concurrency"]
    pace = f"closed loop of {limit}" if rate is None else f"{_number(rate)} requested"
    empty = f", {achieved['without_tokens']} of them without tokens" if achieved["without_tokens"] else ""
    errors = ", ".join(f"{kind} {count}" for kind, count in result["errors"].items())
    return [
        f"requests    {achieved['sent']} sent, {achieved['completed']} completed{empty}, {achieved['failed']} failed"
        + (f" ({errors})" if errors else ""),
        f"rate        {pace}, {_number(achieved['rate'])} achieved requests/s",
        f"tokens      {_number(tokens['input'])} in, {tokens['output']} out",
        f"throughput  {_number(metrics['request_throughput'])} requests/s, "
        f"{_number(metrics['output_token_throughput'])} output tokens/s, "
        f"goodput {_number(metrics['goodput'])} requests/s",
        f"duration    {_number(result['duration_s'])} s, schedule delay p95 {_number(delay.get('p95'))} ms",
    ]


def _row(title: str, cells: Sequence[str]) -> str:
    return f"{title:<5}" + "".join(f"{cell:>11}" for cell in cells)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.2f}"
