# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The summary of a load, held to the request records: every figure is computed again and compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...module_utils.cellload.files import BENCHMARK
from ...module_utils.cellload.summary import figures
from .records import Record, cut, is_amount, is_number
from .strict_json import FileProblem

MEASURED = ("duration_s", "achieved", "throttled", "tokens", "metrics", "schedule_delay_ms", "errors")
MAPPINGS = ("requested", "achieved", "tokens", "metrics", "errors")
RELATIVE, ABSOLUTE = 1e-6, 0.0015


def shape_problems(benchmark: Mapping[str, Any]) -> list[FileProblem]:
    """Return missing parts, and numbers that are negative or not finite, by key."""
    found = [(key, "is missing or no mapping") for key in MAPPINGS if not isinstance(benchmark.get(key), dict)]
    for key in (*MEASURED, "requested", "client"):
        found += _bad_numbers(benchmark.get(key), key)
    return cut([FileProblem(BENCHMARK, 0, key, message) for key, message in found], BENCHMARK)


def _bad_numbers(value: Any, path: str) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [fault for key, item in value.items() for fault in _bad_numbers(item, f"{path}.{key}")]
    wrong = isinstance(value, (int, float)) and not isinstance(value, bool) and not is_amount(value)
    return [(path, f"is {value!r}; expected a finite number from 0, or null")] if wrong else []


def differences(benchmark: Mapping[str, Any], records: Sequence[Record]) -> list[FileProblem]:
    """Return where the summary and the (well-formed) records disagree, by key."""
    config = benchmark.get("config")
    goodput = config.get("goodput") if isinstance(config, dict) else None
    again = figures(records, goodput if isinstance(goodput, dict) else None)
    found = [FileProblem(BENCHMARK, 0, key, message) for key, message in _compare(again, benchmark, "")]
    return cut(found, BENCHMARK)


def _compare(expected: Mapping[str, Any], given: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Yield each key whose value differs; keys that only the summary has are its own affair."""
    for key, want in expected.items():
        have, place = given.get(key), f"{path}{key}"
        if isinstance(want, Mapping) and isinstance(have, Mapping):
            yield from _compare(want, have, f"{place}.")
        elif not _same(want, have):
            yield place, f"is {_short(have)}, and the requests give {_short(want)}"


def _same(want: Any, have: Any) -> bool:
    if is_number(want) and is_number(have):
        return bool(abs(want - have) <= max(ABSOLUTE, RELATIVE * abs(want)))
    return bool(want == have)


def _short(value: Any) -> str:
    return "a mapping" if isinstance(value, Mapping) else "null" if value is None else repr(value)
