# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the GPUs of two snapshots: who holds memory, what nobody accounts for, and cards that fail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .differences import Found, Json, Ours, item
from .objects import RUN

MIB = 1 << 20
LEAST_TOLERANCE = 64 * MIB
TOLERANCE = 0.01  # of the card's memory
CONTEXT = 1 << 30  # what a driver may take for itself once others have begun to use a card
MIG = "MIG-"
UNREADABLE = "its memory in use cannot be read any more"


def compare(before: Json, after: Json, ours: Ours) -> Found:
    """Yield each GPU difference; cards are matched by uuid, since their order may change."""
    pids = {process["pid"] for process in after.get("processes") or () if process.get("run") == ours.run}
    containers = {record["id"]: record for record in after.get("containers") or ()}
    old = {_key(user) for user in before.get("gpu_users") or ()}
    for user in after.get("gpu_users") or ():
        new = _key(user) not in old
        mine = _is_ours(user, new, pids, containers, ours)
        if mine or new:
            yield mine, _user(user, containers, ours if mine else None)
    if any(error["what"] == "gpus" for error in after.get("errors") or ()):
        return  # an error already, and it says nothing of any card
    cards = {card["uuid"]: card for card in after.get("gpus") or ()}
    for card in before.get("gpus") or ():
        now = cards.get(card["uuid"])
        fault = _fault(card, now)
        users = before.get("gpu_users") or [], after.get("gpu_users") or []
        said = fault or _growth(card, now or {}, *users)
        if said:
            kind, detail = said
            yield (
                fault is not None or ours.alone,
                item(kind, str(card["name"]), detail, id=card["uuid"], owner="unknown"),
            )


def _key(user: Json) -> tuple[Any, Any]:
    return user["pid"], user["uuid"]


def _is_ours(user: Json, new: bool, pids: set[int], containers: dict[str, Json], ours: Ours) -> bool:
    """Return whether a process is the run's own, or a new one of a container that the engine does not know any more."""
    container = user.get("container") or ""
    if not container:
        return user["pid"] in pids
    known = containers.get(container)
    return new if known is None else (known.get("labels") or {}).get(RUN) == ours.run


def _user(user: Json, containers: dict[str, Json], ours: Ours | None) -> Json:
    """Return who holds memory: pid and program, the container, and how much."""
    container = user.get("container") or ""
    place = ""
    if container:
        known = containers.get(container)
        place = f" in container {known['name']}" if known else f" in container {container[:12]}, which is gone"
    used = user["memory_used_bytes"]
    amount = "an unknown amount" if used is None else f"{used / MIB:.0f} MiB"
    name = f"pid {'unknown' if user['pid'] is None else user['pid']}"
    detail = f"{user.get('program') or 'unknown program'}{place} holds {amount} on {user['uuid']}"
    return item(
        "gpu_memory",
        name,
        detail,
        id=user["uuid"],
        owner=ours.run if ours else user.get("user"),
        age_s=user.get("age_s"),
    )


def _fault(card: Json, now: Json | None) -> tuple[str, str] | None:
    """Return (type, detail) of a card that has failed since."""
    if now is None:
        return "gpu", "it was there before and is not any more"
    if now.get("fault") and not card.get("fault"):
        return "gpu", f"it says {now['fault']!r} since"
    if card.get("memory_used_bytes") is not None and now.get("memory_used_bytes") is None and not now.get("fault"):
        return "gpu_memory", UNREADABLE
    return None


def _growth(card: Json, now: Json, before: list[Json], after: list[Json]) -> tuple[str, str] | None:
    """Return (type, detail) of memory that no process accounts for and that was not in use before."""
    was, used = card.get("memory_used_bytes"), now.get("memory_used_bytes")
    if was is None or used is None:
        return None
    new = {_key(user) for user in _on(card, after)} - {_key(user) for user in _on(card, before)}
    held_before, held_after = _held(card, before), _held(card, after)
    if held_before is None or held_after is None:  # an amount that nobody may read
        held_before, held_after = 0, used if new else 0
    growth = (used - held_after) - max(0, was - held_before)
    tolerance = max(LEAST_TOLERANCE, TOLERANCE * (now.get("memory_total_bytes") or 0)) + (CONTEXT if new else 0)
    if growth <= tolerance:
        return None
    return "gpu_memory", f"{growth / MIB:.0f} MiB more in use than before, by no process that can be seen"


def _on(card: Json, users: Iterable[Json]) -> list[Json]:
    """Return the users of a card; one of a part of some card (MIG) may be of any."""
    return [user for user in users if user["uuid"] == card["uuid"] or str(user["uuid"]).startswith(MIG)]


def _held(card: Json, users: Iterable[Json]) -> int | None:
    """Return how much the users of a card hold, None when that is not told of each."""
    amounts = [user["memory_used_bytes"] for user in _on(card, users)]
    return None if None in amounts else sum(amounts)
