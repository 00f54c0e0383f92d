# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The request records of a load, held to their own rules: types, ranges, the order of times, no contradiction."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...module_utils.cellload.files import REQUESTS
from .strict_json import FileProblem

Record = Mapping[str, Any]
MAX_PROBLEMS = 20
GRAIN_S = 0.002  # a timer may fire this much before its time, and times are rounded
GRAIN_MS = 0.01


def is_number(value: Any) -> bool:
    """Tell whether value is a finite number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_amount(value: Any) -> bool:
    """Tell whether value is a finite number of at least 0."""
    return is_number(value) and value >= 0


def is_count(value: Any) -> bool:
    """Tell whether value is a whole number of at least 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _optional(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or accepts(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


SHAPE: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "index": (is_count, "a whole number from 0"),
    "scheduled_s": (is_amount, "seconds from 0"),
    "sent_s": (is_amount, "seconds from 0"),
    "first_token_s": (_optional(is_amount), "seconds from 0, or null"),
    "end_s": (is_amount, "seconds from 0"),
    "ok": (_is_flag, "true or false"),
    "status": (_optional(is_count), "an HTTP status, or null"),
    "error_kind": (_optional(_is_text), "a string, or null"),
    "prompt_tokens": (_optional(is_count), "a whole number from 0, or null"),
    "output_tokens": (is_count, "a whole number from 0"),
    "tokens_estimated": (_is_flag, "true or false"),
    "no_tokens": (_is_flag, "true or false"),
    "chunks": (is_count, "a whole number from 0"),
    "ttft_ms": (_optional(is_amount), "milliseconds from 0, or null"),
    "e2e_ms": (_optional(is_amount), "milliseconds from 0, or null"),
    "itl_ms": (_is_list, "a list of milliseconds"),
}
# What a client that never sends a request twice leaves out, all three.
SHAPE_OF_ATTEMPTS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "held_s": (is_amount, "seconds from 0"),
    "attempts": (is_count, "a whole number from 0"),
    "refused": (is_count, "a whole number from 0"),
}


def problems_of(records: Sequence[Record], lines: Sequence[int]) -> list[FileProblem]:
    """Return what is wrong with the records, by line and key; at most 20 entries and one that counts the rest."""
    found: list[FileProblem] = []
    seen: dict[int, int] = {}
    for record, line in zip(records, lines, strict=True):
        faults = [*_shape(record)] or [*_order(record), *_contradictions(record), *_repeated(record, line, seen)]
        found += [FileProblem(REQUESTS, line, key, message) for key, message in faults]
    return cut(found, REQUESTS)


def cut(problems: list[FileProblem], file: str) -> list[FileProblem]:
    """Return at most 20 problems and one that counts those left out."""
    rest = len(problems) - MAX_PROBLEMS
    return problems if rest <= 0 else [*problems[:MAX_PROBLEMS], FileProblem(file, 0, "", f"has {rest} more faults")]


def _shape(record: Record) -> Iterator[tuple[str, str]]:
    shape = {**SHAPE, **SHAPE_OF_ATTEMPTS} if any(key in record for key in SHAPE_OF_ATTEMPTS) else SHAPE
    for key, (accepts, expected) in shape.items():
        if key not in record:
            yield key, "is missing"
        elif not accepts(record[key]):
            yield key, f"is {record[key]!r}; expected {expected}"
    gaps = record.get("itl_ms")
    for place, gap in enumerate(gaps if isinstance(gaps, list) else []):
        if not is_amount(gap):
            yield f"itl_ms[{place}]", f"is {gap!r}; expected milliseconds from 0"


def _order(record: Record) -> Iterator[tuple[str, str]]:
    """Yield where time runs backwards, or where a latency is not the difference of its two times."""
    scheduled, sent, first, end = (record[key] for key in ("scheduled_s", "sent_s", "first_token_s", "end_s"))
    if sent < scheduled - GRAIN_S:
        yield "sent_s", f"is {sent} s, before its schedule of {scheduled} s"
    if record.get("held_s", 0.0) > max(0.0, sent - scheduled) + GRAIN_S:
        yield "held_s", f"is {record['held_s']} s, and the request was sent {sent - scheduled:.3f} s after its schedule"
    if first is not None and first < sent:
        yield "first_token_s", f"is {first} s, before the request was sent at {sent} s"
    if end < (sent if first is None else first):
        yield "end_s", f"is {end} s, before the request was sent or its first token came"
    for key, time in (("ttft_ms", first), ("e2e_ms", end)):
        span = None if time is None else (time - sent) * 1000
        if record[key] is not None and (span is None or abs(record[key] - span) > GRAIN_MS):
            yield key, f"is {record[key]} ms, and the times give {'nothing' if span is None else f'{span:.3f} ms'}"


def _contradictions(record: Record) -> Iterator[tuple[str, str]]:
    ok, chunks = record["ok"], record["chunks"]
    if ok and (record["status"] != 200 or record["error_kind"] is not None):
        yield "ok", f"is true with status {record['status']} and error_kind {record['error_kind']!r}"
    if not ok and not record["error_kind"]:
        yield "error_kind", "is missing for a failed request"
    if ok and record["e2e_ms"] is None:
        yield "e2e_ms", "is null for a completed request"
    if record.get("refused", 0) > record.get("attempts", 0):
        yield "refused", f"is {record['refused']} of {record['attempts']} attempts"
    if ok and record.get("attempts") == 0:
        yield "attempts", "is 0 for a completed request"
    if record["no_tokens"] != (ok and chunks == 0):
        yield "no_tokens", f"is {record['no_tokens']} with {chunks} content chunks"
    if len(record["itl_ms"]) > max(0, chunks - 1):
        yield "itl_ms", f"has {len(record['itl_ms'])} gaps between {chunks} content chunks"


def _repeated(record: Record, line: int, seen: dict[int, int]) -> Iterator[tuple[str, str]]:
    before = seen.setdefault(record["index"], line)
    if before != line:
        yield "index", f"{record['index']} is also on line {before}"
