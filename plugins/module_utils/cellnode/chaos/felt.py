# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services feel a fault now, or still recover from one, by what chaos.jsonl says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .journal import UNDONE

WHOLE_NODE = ""
# Extra load comes from the node and is aimed at nothing on it: who dies of it has died.
FROM_NODE = frozenset({"pressure"})
BEGUN = "record"
OVER = frozenset({"recovered", "not_recovered", "target_gone", "not_reached"})
GONE_WRONG = frozenset({"not_applied", "failed"})
# An engine tells of what happened in the last moment of a fault a little later.
AFTER_S = 2.0


def felt(lines: Iterable[Mapping[str, Any]], boottime: float) -> list[str]:
    """Return the services, WHOLE_NODE among them where one is aimed at the node. boottime: seconds since boot.

    A fault is felt from the moment before it begins until its target has recovered and has had the time that it is allowed:
    the engine's own health checks find out later than ours.
    """
    events: dict[str, dict[str, Any]] = {}
    for line in lines:
        if line.get("kind") in FROM_NODE:
            continue
        known = events.setdefault(str(line.get("id")), {"until": None, "service": WHOLE_NODE, "recovery_s": 0.0})
        _take(known, line)
    now = {one["service"] for one in events.values() if one["until"] is not None and boottime < one["until"]}
    return sorted(now)


def _take(known: dict[str, Any], line: Mapping[str, Any]) -> None:
    """Take in one line of an event. until: when it is no longer felt, infinite while nobody knows."""
    phase, at = line.get("phase"), float(line.get("b") or 0.0)
    if phase == "planned":
        known.update(service=str(line.get("service") or ""), recovery_s=float(line.get("recovery_s") or 0.0))
    elif phase == BEGUN:
        known["until"] = float("inf")
    elif known["until"] is not None:
        if phase == UNDONE or phase in GONE_WRONG:
            known["until"] = at + max(known["recovery_s"], AFTER_S)
        elif phase in OVER and known["until"] < float("inf"):
            known["until"] = max(known["until"], at + AFTER_S)
