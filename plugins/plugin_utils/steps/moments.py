# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When each service could start, started, ran and was ready, and what the deployment as a whole was waiting for.

All moments are seconds from the start of the case; None is a moment that never came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..deploy import path, schedule
from ..deploy.board import Board
from ..run.plan import CasePlan

Record = dict[str, Any]


def of_service(board: Board, name: str, began: float) -> Record:
    """Return the moments of the last start of a service, how many starts it had, and the earlier ones.

    failed_s: when it was found to have failed while it was deployed.
    """
    order = board.read(f"order.{name}") or {}
    note = board.read(f"service.{name}") or {}
    if order and note.get("try") != order["try"]:
        note = {}  # of an earlier start
    asked = {"runnable_at": order.get("runnable_at", note.get("runnable_at")), "ordered_at": order.get("t")}
    tries = int(order.get("try", note.get("try", 0)))
    return {**_moments({**note, **asked}, began), "tries": tries, "earlier": _earlier(board, name, tries, began)}


def _earlier(board: Board, name: str, tries: int, began: float) -> list[Record]:
    """Return the starts of a service before the last one, with what became of each."""
    notes = [n for n in board.notes(f"again.{name}.").values() if n["service"] == name and n["try"] < tries]
    return [{**_moments(note, began), "why": _why(note)} for note in sorted(notes, key=lambda note: int(note["try"]))]


def _moments(note: Mapping[str, Any], began: float) -> Record:
    ordered, state = note.get("ordered_at"), note.get("state")
    return {
        "runnable_s": since(note.get("runnable_at"), began),
        "started_s": since(note.get("started_at") if ordered is None else ordered, began),
        "running_s": since(note.get("running_at"), began),
        "ready_s": since(note.get("t") if state == "ready" else None, began),
        "failed_s": since(note.get("t") if state == "failed" else None, began),
    }


def _why(note: Mapping[str, Any]) -> str:
    return ": ".join(str(part) for part in (note.get("error_kind"), note.get("detail")) if part)


def retries(services: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each service that was started more than once, with the reasons."""
    found = []
    for service in services:
        if service["tries"] > 1:
            why = "; ".join(dict.fromkeys(start["why"] for start in service["earlier"]))
            done = "needed {} starts" if service["ready_s"] is not None else "is not ready after {} starts"
            found.append(f"service {service['name']} {done.format(service['tries'])}{': ' if why else ''}{why}")
    return found


def recoveries(entries: Iterable[Mapping[str, Any]], began: float) -> dict[str, list[Record]]:
    """Return service -> each time that it was started again while the test ran. entries: the journal of the case."""
    found: dict[str, list[Record]] = {}
    for entry in entries:
        if entry["phase"] == "event" and entry.get("state") == "recovered":
            found.setdefault(entry["service"], []).append({"at_s": since(entry["t"], began), "what": entry["message"]})
    return found


def deployment(case: CasePlan, services: Sequence[Mapping[str, Any]]) -> Record:
    """Return what the deployment was waiting for, by the moments of its services, and what had been expected.

    lost_to_limits_s: how long services that could start waited for a slot, all together.
    """
    needs = {service.name: service.depends_on for service in case.services}
    went = path.course(
        {s["name"]: path.Moments(needs[s["name"]], s["runnable_s"], s["started_s"], s["ready_s"]) for s in services}
    )
    lost = {s["name"]: sum(_waited(start) for start in s["earlier"]) for s in services}
    first = [service for service in services if service["name"] in went.names[:1]]
    expected = schedule.critical_path(needs, {service.name: service.estimate_s for service in case.services})
    return {
        "critical_path": list(went.names),
        "seconds": round(went.seconds + sum(map(_before, first)), 3),
        "estimated_critical_path": list(expected.names),
        "estimated_seconds": round(expected.seconds, 3),
        "limits": dict(case.limits),
        "lost_to_limits_s": round(sum(went.lost_s.values()) + sum(lost.values()), 3),
        "lost_on_critical_path_s": round(went.lost_on_path_s + sum(lost[name] for name in went.names), 3),
        "slack_s": {name: round(seconds, 3) for name, seconds in went.slack_s.items()},
    }


def _before(service: Mapping[str, Any]) -> float:
    """Return how long the earlier starts of a service and the pauses after them took."""
    known = [start["runnable_s"] for start in (*service["earlier"], service) if start["runnable_s"] is not None]
    return float(known[-1] - known[0]) if known else 0.0


def _waited(start: Mapping[str, Any]) -> float:
    """Return how long a start waited for a slot, as far as known."""
    if start["runnable_s"] is None or start["started_s"] is None:
        return 0.0
    return float(max(0.0, start["started_s"] - start["runnable_s"]))


def since(moment: float | None, began: float) -> float | None:
    """Return seconds from began to moment, None for none."""
    return None if moment is None else round(moment - began, 3)
