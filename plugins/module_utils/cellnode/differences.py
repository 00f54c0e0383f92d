# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a comparison of two snapshots says: one entry a difference, and what tells that a thing belongs to the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Found = Iterator["tuple[bool, Json]"]  # (whether it is ours, the entry)


@dataclass(frozen=True)
class Ours:
    """What belongs to the run. projects: exact Compose project names; folder: a path that must be gone.

    alone: no other run holds the node, so that whatever nobody accounts for is the run's.
    """

    run: str
    projects: frozenset[str] = frozenset()
    folder: str = ""
    alone: bool = True


def item(kind: str, name: str, detail: str = "", **more: Any) -> Json:
    """Return one entry of the outcome in its fixed shape. more: id, owner, age_s."""
    return {
        "type": kind,
        "id": str(more.get("id") or name),
        "name": name,
        "owner": more.get("owner") or "",
        "age_s": more.get("age_s"),
        "detail": detail,
    }


def age(created: Any, now: float) -> float | None:
    """Return the age in seconds of something made at a moment (seconds since 1970), None when that is not known."""
    return None if created is None else round(max(0.0, now - float(created)), 1)


def below(path: str, folder: str) -> bool:
    """Return whether a path is a folder or lies in it."""
    return bool(folder) and f"{path}/".startswith(f"{folder}/")
