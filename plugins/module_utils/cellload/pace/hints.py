# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an answer asks of its client: how long to wait, from the headers of the many kinds of servers.

`Retry-After` is seconds or a date (RFC 9110); `retry-after-ms` is exact and wins. `x-ratelimit-*` has no standard: a reset is
seconds, a duration such as `6m0s`, a date, or Unix time in seconds or milliseconds. Dates are held against the answer's own
`Date` where it has one, since the clocks of two machines differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone

OVERLOADED = (429, 503, 529)  # 529 has no standard, and one meaning
LONGEST_S = 86_400.0 * 365
MOST_PAUSE_S = 5.0  # after an answer that was no refusal: the next refusal says it anyway
EPOCH_S, EPOCH_MS = 1e9, 1e12
HTTP_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
NUMBER = re.compile(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*(?:$|[,;])")
PART = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)(ms|s|m|h|d)")
UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
# Names of one limit's headers; {} is limit, remaining or reset. Limits of tokens say nothing of a number of requests.
REQUESTS = ("x-ratelimit-{}-requests", "anthropic-ratelimit-requests-{}", "x-ratelimit-{}", "ratelimit-{}")
TOKENS = ("x-ratelimit-{}-tokens", "anthropic-ratelimit-tokens-{}")


def asked_wait_s(headers: Mapping[str, str], wall: float) -> float | None:
    """Return for how many seconds a refusal asks its client to stay away; None when it does not say.

    headers: names in lower case; wall: Unix time here, for answers without a Date.
    """
    now = _date(headers.get("date", "")) or wall
    exact = _number(headers.get("retry-after-ms", ""))
    found = exact / 1000 if exact is not None else retry_after_s(headers.get("retry-after", ""), now)
    if found is None:
        found = max(_spent(headers, (*REQUESTS, *TOKENS), now), default=None)
    return found if found is None or found <= LONGEST_S else None


def pause_s(headers: Mapping[str, str], wall: float) -> float:
    """Return how long a client should wait that was not refused, but has no request left; at most 5 s.

    Where the limit is known, a share of the time to the reset: most servers give back one request after the other.
    """
    if not any("ratelimit" in name for name in headers):
        return 0.0
    now = _date(headers.get("date", "")) or wall
    waits: list[float] = []
    for name in REQUESTS:
        limit = _number(headers.get(name.format("limit"), "")) or 1.0
        waits += [found / max(limit, 1.0) for found in _spent(headers, (name,), now)]
    return min(max(waits, default=0.0), MOST_PAUSE_S)


def retry_after_s(text: str, now: float) -> float | None:
    """Return the seconds of a Retry-After in seconds or as a date, never below 0; None for anything else. now: Unix time."""
    seconds = _number(text)
    if seconds is not None:
        return seconds if seconds <= LONGEST_S else None
    date = _date(text)
    return None if date is None else max(0.0, date - now)


def _spent(headers: Mapping[str, str], names: tuple[str, ...], now: float) -> Iterator[float]:
    """Yield the seconds to the reset of each limit of which nothing remains."""
    for name in names:
        remaining = _number(headers.get(name.format("remaining"), ""))
        reset = _reset_s(headers.get(name.format("reset"), "").strip(), now)
        if remaining is not None and remaining < 1 and reset is not None:
            yield reset


def _reset_s(text: str, now: float) -> float | None:
    number = _number(text)
    if number is None:
        parts = PART.findall(text)
        if parts and "".join(amount + unit for amount, unit in parts) == text:
            return sum(float(amount) * UNITS_S[unit] for amount, unit in parts)
        date = _date(text)
        return None if date is None else max(0.0, date - now)
    if number >= EPOCH_MS:
        return max(0.0, number / 1000 - now)
    return max(0.0, number - now) if number >= EPOCH_S else number


def _number(text: str) -> float | None:
    found = NUMBER.match(text)
    return float(found[1]) if found else None


def _date(text: str) -> float | None:
    """Return the Unix time of a date of HTTP, or of RFC 3339; None for anything else."""
    text = text.strip()
    if not text or len(text) > 64:
        return None
    for form in HTTP_DATES:
        try:
            return datetime.strptime(text, form).replace(tzinfo=timezone.utc).timestamp()
        except ValueError:
            continue
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
