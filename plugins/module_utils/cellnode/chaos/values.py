# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters of faults: sizes, directions and numbers, checked; the message names the key, the value and what is allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Callable

from ..errors import CellError

DIRECTIONS = {"in": ("in",), "out": ("out",), "both": ("in", "out")}
UNITS = {"": 1, "B": 1}
UNITS.update({f"{letter}iB": 1 << (10 * power) for power, letter in enumerate("KMGT", 1)})
UNITS.update({f"{letter}B": 1000**power for power, letter in enumerate(("k", "M", "G", "T"), 1)})
MOST_BYTES = 1 << 50
_SIZE = re.compile(r"(\d{1,18}(?:\.\d+)?)\s*([A-Za-z]*)\Z")


def refuse(key: str, value: object, allowed: str) -> CellError:
    """Return the error for a parameter of an event that is not allowed."""
    return CellError("chaos_invalid", f"params.{key} is {value!r}; allowed: {allowed}", key=key)


def problem(check: Callable[[], object]) -> str:
    """Return the message of what a check raises, "" when it passes."""
    try:
        check()
    except CellError as exc:
        return exc.message
    return ""


def size(params: Mapping[str, Any], key: str) -> int | None:
    """Return a number of bytes given as such or as text with a unit (`64MiB`), None when the key is absent."""
    value = params.get(key)
    if value is None:
        return None
    match = _SIZE.match(value.strip()) if isinstance(value, str) else None
    if match and match.group(2) in UNITS:
        value = int(float(match.group(1)) * UNITS[match.group(2)])
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_BYTES:
        raise refuse(key, value, f"bytes from 0 to {MOST_BYTES}, as a number or with one of {', '.join(UNITS)[2:]}")
    return value


def number(params: Mapping[str, Any], key: str, low: float, high: float, default: float | None = None) -> float:
    """Return a finite number from low to high; the default where the key is absent, if there is one."""
    value = params.get(key, default)
    known = not isinstance(value, bool) and isinstance(value, (int, float)) and math.isfinite(value)
    if not known or not low <= value <= high:
        raise refuse(key, value, f"a number from {low:g} to {high:g}")
    return float(value)


def whole(params: Mapping[str, Any], key: str, low: int, high: int, default: int | None = None) -> int:
    """Return a whole number from low to high; the default where the key is absent, if there is one."""
    value = number(params, key, low, high, default)
    if value != int(value):
        raise refuse(key, params.get(key), f"a whole number from {low} to {high}")
    return int(value)


def directions(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return ("in",), ("out",) or both; in is towards the target."""
    value = params.get("direction") or "both"
    if value not in DIRECTIONS:
        raise refuse("direction", value, ", ".join(DIRECTIONS))
    return DIRECTIONS[value]


def texts(params: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return a list of texts, empty when the key is absent."""
    value = params.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise refuse(key, value, "a list of texts")
    return tuple(value)


def ports(params: Mapping[str, Any], key: str) -> tuple[int, ...]:
    """Return a list of port numbers, empty when the key is absent."""
    value = params.get(key) or []
    if not isinstance(value, list) or not all(type(item) is int and 0 < item < 65536 for item in value):
        raise refuse(key, value, "a list of ports from 1 to 65535")
    return tuple(value)
