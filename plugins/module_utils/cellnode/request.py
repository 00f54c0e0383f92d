# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of a request's `args` that `params` does not know: one of several words, a mapping, a list of mappings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .params import refuse, text


def choice(args: Mapping[str, Any], key: str, allowed: tuple[str, ...], default: str) -> str:
    """Return args[key], which must be one of allowed."""
    value = text(args, key, default)
    if value not in allowed:
        raise refuse(key, value, ", ".join(allowed))
    return value


def mapping(args: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return args[key] as a mapping; absent and null stand for an empty one."""
    value = args.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refuse(key, value, "an object")
    return value


def mappings(args: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return args[key] as a list of mappings; absent and null stand for an empty one."""
    value = args.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise refuse(key, value, "a list of objects")
    return value


def flag(args: Mapping[str, Any], key: str, default: bool) -> bool:
    """Return args[key] as true or false."""
    value = args.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise refuse(key, value, "true or false")
    return value
