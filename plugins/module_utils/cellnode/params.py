# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of a request's `args`, checked for type and range; the message names key, value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .errors import CellError


def refuse(key: str, value: object, allowed: str) -> CellError:
    """Return the error for a value that is not allowed."""
    return CellError("config_invalid", f"args.{key} is {value!r}; allowed: {allowed}", key=key)


def number(args: Mapping[str, Any], key: str, default: float, low: float, high: float) -> float:
    """Return a number between low and high; the default when the key is absent or null."""
    value = args.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or not low <= value <= high:
        raise refuse(key, value, f"a number from {low:g} to {high:g}")
    return float(value)


def integer(args: Mapping[str, Any], key: str, default: int, low: int, high: int) -> int:
    """Return a whole number between low and high; the default when the key is absent or null."""
    value = args.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise refuse(key, value, f"a whole number from {low} to {high}")
    return value


def text(args: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """Return a text without NUL; raise when it is absent and there is no default."""
    value = args.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or "\0" in value:
        raise refuse(key, value, "text without NUL")
    return value


def texts(args: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return a list of texts without NUL; empty when the key is absent or null."""
    value = args.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
        raise refuse(key, value, "a list of texts without NUL")
    return tuple(value)
