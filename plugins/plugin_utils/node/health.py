# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the health view says of a node, from the facts the node gave."""

from __future__ import annotations

from typing import Any

GIB = 1 << 30


def assess(facts: dict[str, Any], min_free_bytes: int, max_clock_offset_s: float = 5.0) -> list[dict[str, str]]:
    """Return the problems of a node, each {level: error|warning, what, detail}; an empty list is a healthy node."""
    return [*_engine(facts), *_disks(facts, min_free_bytes), *_clock(facts, max_clock_offset_s), *_leftovers(facts)]


def _engine(facts: dict[str, Any]) -> list[dict[str, str]]:
    engine = facts["engine"]
    if not engine["ok"]:
        return [_problem("error", "engine", f"does not answer: {engine.get('error')}")]
    if not facts["compose"]:
        return [_problem("error", "compose", "neither the compose plugin nor docker-compose is there")]
    return []


def _disks(facts: dict[str, Any], needed: int) -> list[dict[str, str]]:
    return [
        _problem(
            "error", "disk", f"{disk['path']} has {disk['free_bytes'] / GIB:.2f} GiB free, below {needed / GIB:.2f} GiB"
        )
        for disk in facts.get("disks", [])
        if disk["free_bytes"] < needed
    ]


def _clock(facts: dict[str, Any], limit_s: float) -> list[dict[str, str]]:
    offset = facts.get("clock_offset_s", 0.0)
    return [_problem("warning", "clock", f"{offset:+.1f} s off the controller's")] if abs(offset) > limit_s else []


def _leftovers(facts: dict[str, Any]) -> list[dict[str, str]]:
    lease = facts.get("lease") or {}
    living = lease.get("run") if lease.get("held", True) else None
    return [
        _problem("warning", "leftover", f"{item['type']} {item.get('name') or item['id']} of run {item['run']}")
        for item in facts.get("leftovers", [])
        if item["run"] != living
    ]


def _problem(level: str, what: str, detail: str) -> dict[str, str]:
    return {"level": level, "what": what, "detail": detail}
