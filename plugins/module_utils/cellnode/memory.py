# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's own memory of what went wrong on it: while it is quarantined no run gets it.

A run that leaves something behind quarantines the node. So do three different runs within a day that failed by a fault of
the node: a node that breaks once may be bad luck, one that breaks three runs breaks the next one too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .durable import read_json
from .errors import CellError

FILE = "quarantine.json"
RUNS, WITHIN_S = 3, 86400.0
Json = dict[str, Any]


@dataclass(frozen=True)
class Quarantine:
    """Why no run gets the node. kind: an error kind; since and until: seconds since 1970."""

    kind: str
    reason: str
    run: str
    since: float
    until: float


@dataclass(frozen=True)
class Blame:
    """One run that failed by a fault of the node. at: seconds since 1970."""

    run: str
    kind: str
    at: float


@dataclass(frozen=True)
class Memory:
    """What the node remembers: the quarantine, if any, and the failures of the last day."""

    quarantine: Quarantine | None = None
    blames: tuple[Blame, ...] = ()

    def at(self, now: float) -> Memory:
        """Return what still counts at a moment."""
        stands = self.quarantine is not None and now < self.quarantine.until
        recent = tuple(blame for blame in self.blames if now - WITHIN_S < blame.at <= now)
        return Memory(self.quarantine if stands else None, recent)

    def blamed(self, blame: Blame, hours: float) -> Memory:
        """Return the memory with one more failure; the third run of a day brings the quarantine."""
        others = tuple(one for one in self.blames if one.run != blame.run)
        blames = (*others, blame)
        if self.quarantine or len(blames) < RUNS:
            return Memory(self.quarantine, blames)
        runs = ", ".join(f"{one.run} ({one.kind})" for one in blames)
        reason = f"{len(blames)} runs failed within a day by a fault of this node: {runs}"
        return Memory(Quarantine(blame.kind, reason, blame.run, blame.at, blame.at + hours * 3600), blames)

    def as_dict(self) -> Json:
        """Return the memory as JSON values."""
        return asdict(self)


def load(root_fd: int, now: float) -> Memory:
    """Return what the node remembers; a file that cannot be read is nothing to hold a node back for."""
    try:
        kept = read_json(root_fd, FILE) or {}
        held = kept.get("quarantine")
        blames = tuple(Blame(**blame) for blame in kept.get("blames") or ())
        return Memory(Quarantine(**held) if held else None, blames).at(now)
    except (OSError, ValueError, TypeError, AttributeError):
        return Memory()


def refuse_quarantined(root_fd: int, now: float) -> None:
    """Raise the quarantine's own kind where the node is quarantined."""
    found = load(root_fd, now).quarantine
    if found:
        left = (found.until - now) / 3600
        message = f"quarantined for {left:.1f} h more, since run {found.run}: {found.reason}"
        raise CellError(found.kind, message, quarantine=asdict(found))
