# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The differences that verify found between a node before and after a case, in words for every report and the screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from .values import duration, mapping, rows, text

MOST_NAMED = 3
WARNED = ("disk", "clock")  # what is worth a warning of what is only noted


def title(entry: Mapping[str, Any]) -> str:
    """Return one difference: type, name, detail, owner and age."""
    return f"{what(entry)} ({origin(entry)})"


def what(entry: Mapping[str, Any]) -> str:
    """Return type and name of a difference."""
    return f"{text(entry.get('type')).replace('_', ' ')} {text(entry.get('name') or entry.get('id'))}".strip()


def origin(entry: Mapping[str, Any]) -> str:
    """Return detail, owner and age of a difference."""
    owner = f"owner {entry['owner']}" if entry.get("owner") else "owner unknown"
    age = entry.get("age_s")
    old = f"{duration(age)} old" if isinstance(age, (int, float)) else "age unknown"
    return ", ".join(part for part in (text(entry.get("detail")), owner, old) if part)


def told(state: Any) -> list[str]:
    """Return a line for each kind of thing that strangers made or removed meanwhile, and what else is worth a warning."""
    facts = mapping(state)
    lines = _grouped("new since the start and not ours", rows(facts.get("foreign")))
    lines += _grouped("gone since the start and not ours", rows(facts.get("gone")))
    noted = [entry for entry in rows(facts.get("noted")) if entry.get("type") in WARNED]
    return lines + [f"{what(entry)} {text(entry.get('detail'))}" for entry in noted]


def _grouped(how: str, entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line a type, with the first few names and the number of the others."""
    lines = []
    for _kind, group in groupby(sorted(entries, key=lambda entry: text(entry.get("type"))), lambda e: e.get("type")):
        found = list(group)
        more = f", and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        lines.append(f"{how}: {', '.join(title(entry) for entry in found[:MOST_NAMED])}{more}")
    return lines
