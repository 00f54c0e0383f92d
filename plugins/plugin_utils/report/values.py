# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of a record read safely, and shown with their unit: what is absent stays absent, never zero."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

ABSENT = "-"
SIZE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def mapping(value: Any) -> Mapping[str, Any]:
    """Return value when it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def rows(value: Any) -> list[Mapping[str, Any]]:
    """Return the mappings of a list; whatever else stands in it is left out."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, (list, tuple)) else []


def items(value: Any) -> list[Any]:
    """Return value as a list; a lone value is a list of one, None an empty list."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def text(value: Any) -> str:
    """Return value as text; None is empty."""
    return "" if value is None else str(value)


def number(value: Any) -> float | None:
    """Return value when it is a finite number and no boolean, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value


def finite(value: Any) -> Any:
    """Return a JSON-ready copy of value: NaN and infinity become null, mapping keys text, other objects text."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [finite(item) for item in value]
    if value is None or isinstance(value, (bool, str)):
        return value
    return number(value) if isinstance(value, (int, float)) else str(value)


def shown(value: Any, unit: str = "") -> str:
    """Return a number with its unit as a person reads it (three or four digits), or a dash when there is none."""
    figure = number(value)
    if figure is None:
        return ABSENT if value is None or isinstance(value, float) else str(value)
    return f"{_digits(figure)} {unit}".rstrip()


def words(value: Any) -> str:
    """Return a value from JSON as words: `name: value` pairs and lists with what is absent or empty left out."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {words(item)}" for key, item in value.items() if item not in (None, "", [], {}, ()))
    if isinstance(value, (list, tuple)):
        return ", ".join(words(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shown(value) if isinstance(value, float) else text(value)


def duration(value: Any) -> str:
    """Return seconds as a person reads them: `0.4 s`, `42 s`, `3 min 05 s`, `2 h 07 min`."""
    seconds = number(value)
    if seconds is None:
        return ABSENT
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(value: Any) -> str:
    """Return a count of bytes in binary units, or a dash."""
    figure = number(value)
    if figure is None:
        return ABSENT
    for unit in SIZE_UNITS[:-1]:
        if figure < 1024:
            return f"{figure:.0f} {unit}" if unit == "B" or figure >= 100 else f"{figure:.1f} {unit}"
        figure /= 1024
    return f"{figure:.1f} {SIZE_UNITS[-1]}"


def moment(value: Any) -> str:
    """Return a time as ISO 8601 in UTC; a number is seconds since 1970, text stays as it is."""
    figure = number(value)
    if figure is None:
        return text(value)
    return datetime.fromtimestamp(figure, timezone.utc).isoformat(timespec="seconds")


def clock(value: Any) -> str:
    """Return a time as a person reads it: date, time and zone with spaces between; other text stays as it is."""
    return moment(value).replace("T", " ", 1).replace("+00:00", " UTC") if number(value) is not None else text(value)


def _digits(figure: float) -> str:
    if float(figure).is_integer() and abs(figure) < 1e15:
        return f"{int(figure):,}".replace(",", " ")
    if abs(figure) >= 100:
        return f"{figure:,.0f}".replace(",", " ")
    if abs(figure) >= 1:
        return f"{figure:.1f}" if abs(figure) >= 10 else f"{figure:.2f}"
    return f"{figure:.3g}"
