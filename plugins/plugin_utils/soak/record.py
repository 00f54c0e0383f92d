# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A soak that has ended, with all that its outputs tell of."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

from .judgement import ESSENTIAL, FAIL, NO_DATA, WARN, Evidence, Gate, Judgement, Limits
from .left import Asked, Left
from .model import Fault, LoadWindow
from .schedule import Injection
from .spans import Chaos

# A last window that claims to be later than this, in times of what was planned, says nothing of time.
LONGEST = 3.0
NO_TIME = "-"


@dataclass(frozen=True)
class FaultStory:
    """One fault from its plan to its end. rto_s: from the undo until its target was ready again, None where it was not."""

    planned: Injection
    fault: Fault
    rto_s: float | None

    @property
    def effect(self) -> str:
        """Return in a word what became of it."""
        if self.fault.outcome != "injected":
            return self.fault.outcome.replace("_", " ")
        return {True: "felt", False: "not felt", None: "not known"}[self.fault.applied]


@dataclass(frozen=True)
class SoakRecord:
    """What a soak was to do, what it left, what its gates say, and what became of its case.

    identity: run_id, scenario, case, attempt, labels, topology, seed; verdict, why: of the case, to which all its steps
    contribute; failure: of the case, as failure.json has it, None where there is none.
    """

    identity: Mapping[str, Any]
    asked: Asked
    left: Left
    limits: Limits
    judgement: Judgement
    verdict: str
    why: str = ""
    failure: Mapping[str, Any] | None = None

    @property
    def evidence(self) -> Evidence:
        """Return what the gates looked at."""
        return self.left.evidence

    @property
    def chaos(self) -> Chaos:
        """Return the windows of the faults as the gates take them."""
        return Chaos(self.evidence.faults, self.ended_s, self.limits.max_rto_secs)

    @property
    def ended_s(self) -> float:
        """Return when the load ended, in seconds since it began."""
        lasted = self.evidence.lasted_s
        return min(lasted, self.evidence.planned_s * LONGEST + 3600) if math.isfinite(lasted) else 0.0

    @property
    def began_unix_s(self) -> float | None:
        """Return when the load began by the clock of the test's node, None where that is not known."""
        begins = {one.node: one.begin for one in self.left.readings}
        first = begins.get(self.asked.load_node) or next((one for one in begins.values() if one), None)
        return first.unix_s if first else None

    @cached_property
    def parted(self) -> tuple[list[LoadWindow], list[LoadWindow]]:
        """Return the windows of the load that touch a time in which failures are expected, and the others: as the gates do."""
        excused = self.chaos.excused()
        ends = [ended for _, ended in excused]
        parts: tuple[list[LoadWindow], list[LoadWindow]] = ([], [])
        for one in self.evidence.windows:
            first = bisect_right(ends, one.began_s)
            parts[not (first < len(ends) and excused[first][0] < one.ended_s)].append(one)
        return parts

    def unix_s(self, at_s: float | None) -> float | None:
        """Return a moment of the soak as Unix time."""
        began = self.began_unix_s
        return None if began is None or at_s is None else round(began + at_s, 3)

    def stories(self) -> tuple[FaultStory, ...]:
        """Return every planned fault with what became of it, in the order of the plan."""
        by_id = {one.id: one for one in self.evidence.faults}
        return tuple(FaultStory(one, by_id[one.id], _rto(by_id[one.id])) for one in self.asked.schedule)

    def lacking(self, gate: Gate) -> bool:
        """Say whether a gate has no data and that is a warning only."""
        return gate.verdict == NO_DATA and self.limits.missing == WARN and gate.name not in ESSENTIAL

    def decisive(self) -> tuple[Gate, ...]:
        """Return the gates that keep this soak from passing, failed ones first."""
        failed = [gate for gate in self.judgement.gates if gate.verdict == FAIL]
        return (*failed, *(g for g in self.judgement.gates if g.verdict == NO_DATA and not self.lacking(g)))


def _rto(fault: Fault) -> float | None:
    if fault.recovered_s is None or fault.undone_s is None:
        return None
    return round(max(fault.recovered_s - fault.undone_s, 0.0), 3)


def iso(unix_s: float | None) -> str:
    """Return Unix time as ISO 8601 in UTC with milliseconds, a dash for none that there is."""
    try:
        return datetime.fromtimestamp(unix_s, timezone.utc).isoformat(timespec="milliseconds") if unix_s else NO_TIME
    except (OverflowError, OSError, ValueError):
        return NO_TIME
