# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nodes are held against: what somebody wants to run there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..run import plan
from ..run.plan import CasePlan


@dataclass(frozen=True)
class Standard:
    """What a node is held against. cases: one of each scenario that was named; min_free_bytes: free space it must have."""

    cases: tuple[CasePlan, ...] = ()
    min_free_bytes: int = 1 << 30


def first_cases(cases: Iterable[CasePlan]) -> list[CasePlan]:
    """Return the first case of each scenario; the others need the same from the nodes.

    What only its test is given is left out, since that may be secret.
    """
    found: dict[str, CasePlan] = {}
    for case in cases:
        found.setdefault(case.ref.scenario, case)
    return [replace(one, config={}, test=replace(one.test, args=(), environment={})) for one in found.values()]


def of_data(cases: Iterable[Mapping[str, Any]], min_free_bytes: int) -> Standard:
    """Return what nodes are held against from cases as plain data."""
    return Standard(tuple(plan.case_of(case) for case in cases), min_free_bytes)
