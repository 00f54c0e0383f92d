# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The figures of a load, computed from the request records and nothing else, so that they can be computed again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .stats import distribution, lateness

Record = Mapping[str, Any]


def figures(records: Sequence[Record], goodput: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Return achieved, throttled, tokens, metrics, schedule_delay_ms, duration_s and errors of the records in any order.

    Only completed requests that brought tokens count for metrics and tokens: a quick empty answer is no good latency.
    goodput: limits in ms that a good request keeps.
    """
    done = [record for record in records if record["ok"]]
    full = [record for record in done if not record["no_tokens"]]
    duration = max((record["end_s"] for record in records), default=None)
    return {
        "duration_s": duration,
        "achieved": {
            "rate": achieved_rate(sendings(records)),
            "sent": len(records),
            "completed": len(done),
            "failed": len(records) - len(done),
            "without_tokens": len(done) - len(full),
        },
        "throttled": throttled(records),
        "tokens": {
            "input": total(record["prompt_tokens"] for record in full),
            "output": sum(record["output_tokens"] for record in full),
            "estimated_requests": sum(record["tokens_estimated"] for record in full),
        },
        "metrics": metrics(full, duration, goodput),
        "schedule_delay_ms": lateness([schedule_delay_ms(record) for record in records]),
        "errors": dict(sorted(Counter(record["error_kind"] for record in records if not record["ok"]).items())),
    }


def metrics(full: Sequence[Record], duration: float | None, goodput: Mapping[str, float] | None) -> dict[str, Any]:
    """Return latencies and throughputs of the records, which all brought tokens; null for all when there is none."""
    inputs = total(record["prompt_tokens"] for record in full)
    outputs = sum(record["output_tokens"] for record in full)
    good = None if goodput is None else sum(is_good(record, goodput) for record in full)
    return {
        "ttft_ms": distribution([record["ttft_ms"] for record in full if record["ttft_ms"] is not None]),
        "itl_ms": distribution([gap for record in full for gap in record["itl_ms"]]),
        "tpot_ms": distribution([value for value in map(tpot_ms, full) if value is not None]),
        "e2e_ms": distribution([record["e2e_ms"] for record in full]),
        "request_throughput": per_second(len(full) or None, duration),
        "output_token_throughput": per_second(outputs if full else None, duration),
        "total_token_throughput": per_second(None if inputs is None else inputs + outputs, duration),
        "goodput": per_second(good if full else None, duration),
    }


def throttled(records: Sequence[Record]) -> dict[str, Any] | None:
    """Return what an adaptive rate did to the records; None when they are of a client that does not count attempts.

    refused: attempts that were; requests: those refused at least once; never_sent: requests; held_s: of all together.
    """
    if not records or any("attempts" not in record for record in records):
        return None
    return {
        "attempts": sum(record["attempts"] for record in records),
        "refused": sum(record["refused"] for record in records),
        "requests": sum(record["refused"] > 0 for record in records),
        "never_sent": sum(record["attempts"] == 0 for record in records),
        "held_s": round(math.fsum(record["held_s"] for record in records), 3),
    }


def schedule_delay_ms(record: Record) -> float:
    """Return how late a request was sent, in ms; one sent early by a clock's grain counts as in time.

    What it was held for an adaptive rate is the server's doing and not the client's lateness.
    """
    late: float = record["sent_s"] - record["scheduled_s"] - record.get("held_s", 0.0)
    return max(0.0, round(late * 1000, 3))


def tpot_ms(record: Record) -> float | None:
    """Return the time per output token after the first; None below two tokens or where the first was not seen."""
    if record["ttft_ms"] is None or record["e2e_ms"] is None or record["output_tokens"] < 2:
        return None
    per_token: float = (record["e2e_ms"] - record["ttft_ms"]) / (record["output_tokens"] - 1)
    return round(per_token, 3)


def is_good(record: Record, limits: Mapping[str, float]) -> bool:
    """Tell whether a request that brought tokens kept every limit; a limit on what was not measured is missed."""
    measured = {"ttft_ms": record["ttft_ms"], "tpot_ms": tpot_ms(record), "e2e_ms": record["e2e_ms"]}
    if record["output_tokens"] == 1:
        measured["tpot_ms"] = 0.0  # one token has no time per further token, so it cannot exceed the limit
    values = [(measured[key], limit) for key, limit in limits.items()]
    return all(value is not None and value <= limit for value, limit in values)


def sendings(records: Sequence[Record]) -> list[float]:
    """Return when the requests were sent that were sent at all, in seconds from the start."""
    return [record["sent_s"] for record in records if record.get("attempts", 1)]


def achieved_rate(sent: Sequence[float]) -> float | None:
    """Return requests per second between the first and the last sending; None below two of them."""
    span = max(sent) - min(sent) if len(sent) > 1 else 0.0
    return round((len(sent) - 1) / span, 3) if span > 0 else None


def total(values: Iterable[int | None]) -> int | None:
    """Return the sum of values; None when there is none or one is not known."""
    known = list(values)
    return None if not known or None in known else sum(value for value in known if value is not None)


def per_second(amount: float | None, duration: float | None) -> float | None:
    """Return amount over duration (s), or None when one of them is missing or no time passed."""
    return round(amount / duration, 3) if amount is not None and duration else None
