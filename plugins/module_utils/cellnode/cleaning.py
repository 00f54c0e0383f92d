# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cleaning removed of one run, how long it took, and what would not go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
COUNTED = ("containers", "networks", "volumes", "processes", "files", "bytes")


@dataclass
class Report:
    """What was removed of one run, and what would not go. cause: the errors that made the emergency pass necessary."""

    removed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    errors: list[Json] = field(default_factory=list)
    cause: list[Json] = field(default_factory=list)
    emergency: bool = False
    seconds: float = 0.0

    def error(self, kind: str, what: str, message: str) -> None:
        """Note something that would not go."""
        self.errors.append({"error_kind": kind, "what": what, "error": message})

    def begin_emergency(self) -> None:
        """Put the errors so far aside as the cause of what follows."""
        self.cause, self.errors, self.emergency = self.errors, [], True

    def as_dict(self) -> Json:
        """Return the report as JSON values."""
        return {
            "removed": self.removed,
            "errors": self.errors,
            "cause": self.cause,
            "emergency": self.emergency,
            "seconds": round(self.seconds, 3),
        }
