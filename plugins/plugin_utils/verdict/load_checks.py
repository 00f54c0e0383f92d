# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of a load whose files are whole: was it sent, was it answered, with tokens, and by an unhurried client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...module_utils.cellload.stats import lateness
from ...module_utils.cellload.summary import achieved_rate, schedule_delay_ms, sendings, throttled
from .normal import Check, Limits
from .records import Record, is_number


@dataclass(frozen=True)
class Tally:
    """The counts of a load, made from its records. broken: answers that failed after HTTP 200.

    kinds, broken_kinds: the errors of all requests that failed, and of the broken answers among them, with counts.
    """

    sent: int
    completed: int
    with_tokens: int
    broken: int
    tokens: int
    kinds: str
    broken_kinds: str

    @property
    def failed(self) -> int:
        """Return the requests that failed."""
        return self.sent - self.completed

    @property
    def empty(self) -> bool:
        """Tell whether there is nothing to judge: no answer with a token, and none that broke on its way."""
        return self.with_tokens == 0 and self.broken == 0


def tally(records: Sequence[Record]) -> Tally:
    """Return the counts of the records."""
    done = [record for record in records if record["ok"]]
    full = [record for record in done if not record["no_tokens"]]
    failed = [record for record in records if not record["ok"]]
    broken = [record for record in failed if record["status"] == 200]
    return Tally(
        sent=len(records),
        completed=len(done),
        with_tokens=len(full),
        broken=len(broken),
        tokens=sum(record["output_tokens"] for record in full),
        kinds=_kinds(failed),
        broken_kinds=_kinds(broken),
    )


def _kinds(failed: Sequence[Record]) -> str:
    """Return the errors with their counts, the most frequent first: ` (http_reset 8, engine_dead 1)`; "" for none."""
    counts = Counter(record["error_kind"] for record in failed).most_common()
    return f" ({', '.join(f'{kind} {count}' for kind, count in counts)})" if counts else ""


def answers(benchmark: Mapping[str, Any], counts: Tally, spec: Limits, wanted: int | None) -> Iterator[Check]:
    """Yield the checks of what was sent and what came back. wanted: what the scenario asks for, if it says so."""
    goal = wanted or benchmark["requested"].get("num_prompts") or max(counts.sent, 1)
    yield Check("sent", counts.sent >= goal, counts.sent, goal, f"{counts.sent} of {goal} wanted requests were sent")
    broken, failed = _share(counts.broken, counts.sent), _share(counts.failed, counts.sent)
    limit = spec.max_error_ratio
    told = f"{counts.broken} of {counts.sent} answers broke off after HTTP 200{counts.broken_kinds}"
    message = f"{told}, limit {_percent(limit)}"
    yield Check("streams", broken <= limit, broken, limit, message)
    message = f"{counts.failed} of {counts.sent} requests failed{counts.kinds}, limit {_percent(limit)}"
    yield Check("errors", failed <= limit, failed, limit, message)
    completed, least = _share(counts.completed, goal), spec.min_completed_ratio
    message = f"{counts.completed} of {goal} wanted requests completed, at least {_percent(least)} needed"
    yield Check("completed", completed >= least, completed, least, message)
    message = f"{counts.tokens} output tokens were generated, at least {spec.min_tokens} needed"
    yield Check("tokens", counts.tokens >= max(spec.min_tokens, 1), counts.tokens, spec.min_tokens, message)
    share = _share(counts.with_tokens, counts.completed)
    message = f"{counts.with_tokens} of {counts.completed} completed requests brought tokens, {_percent(least)} needed"
    yield Check("token_share", share >= least, share, least, message)


def throttling(benchmark: Mapping[str, Any], records: Sequence[Record], spec: Limits) -> Iterator[Check]:
    """Yield what refusals did to a load with an adaptive rate: that there were some, and whether the asked rate was had."""
    counts = throttled(records)
    if not counts or not (counts["refused"] or counts["never_sent"]):
        return
    asked = benchmark["requested"].get("request_rate")
    achieved = achieved_rate(sendings(records))
    refused = _share(counts["refused"], counts["attempts"])
    rates = f"asked {_rate(asked)}, achieved {_rate(achieved)}"
    told = f"the server throttled the load: {counts['refused']} of {counts['attempts']} attempts were refused"
    held = f"requests were held for {counts['held_s']:g} s together"
    yield Check("throttled", True, refused, None, f"{told}, {held}; {rates}", note=True)
    if asked and achieved is not None:
        share, least = round(achieved / asked, 6), spec.min_rate_ratio
        message = f"the server took {achieved:g} of the asked {asked:g} requests/s, at least {_percent(least)} needed"
        yield Check("rate", share >= least, share, least, message)


def _rate(value: float | None) -> str:
    return "no rate" if value is None else f"{value:g} requests/s"


def client(benchmark: Mapping[str, Any], records: Sequence[Record], spec: Limits) -> Iterator[Check]:
    """Yield the checks that the client was not the bottleneck: late sendings, and its late wake-ups if measured."""
    limit = spec.max_schedule_delay_ms_p95
    if limit is None:
        return
    delay = (lateness([schedule_delay_ms(record) for record in records]) or {}).get("p95")
    held = benchmark.get("client", {}).get("held_back") if isinstance(benchmark.get("client"), dict) else None
    reason = f" ({held} requests waited for max_concurrency)" if held else ""
    yield _late("schedule_delay", delay, limit, f"p95 schedule delay is {_ms(delay)}, limit {limit:g} ms{reason}")
    lag = _lag(benchmark)
    if lag is not None:
        yield _late("client_lag", lag, limit, f"the client woke up late by {_ms(lag)} at p95, limit {limit:g} ms")


def _late(name: str, value: float | None, limit: float, message: str) -> Check:
    return Check(name, value is not None and value <= limit, value, limit, message)


def _lag(benchmark: Mapping[str, Any]) -> float | None:
    node = benchmark.get("client")
    lag = node.get("loop_lag_ms") if isinstance(node, dict) else None
    value = lag.get("p95") if isinstance(lag, dict) else None
    return value if is_number(value) else None


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0


def _percent(ratio: float) -> str:
    return f"{ratio * 100:g} %"


def _ms(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1f} ms"
