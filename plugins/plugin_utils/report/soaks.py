# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the pages of a run say of a soak; its own page says the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .values import duration, number, shown, text


def sentences(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a soak came to as sentences, none for what is no soak. facts: as soak.outputs.brief."""
    if not facts:
        return ()
    lasted, planned = duration(facts.get("lasted_s")), duration(facts.get("planned_s"))
    gate = text(facts.get("metric_gate")).replace("_", " ")
    lacking = f", {shown(facts['gates_no_data'])} had no data" if number(facts.get("gates_no_data")) else ""
    held = f"{shown(facts.get('gates_passed'))} of {shown(facts.get('gates'))} gates hold{lacking}: {gate}"
    return f"The load lasted {lasted} of {planned}.", f"{held}.", _faults(facts)


def _faults(facts: Mapping[str, Any]) -> str:
    if not number(facts.get("faults")):
        return "No faults were planned."
    slowest = facts.get("rto_max_s")
    rto = "" if number(slowest) is None else f"; the slowest recovery took {shown(slowest, 's')}"
    return f"{shown(facts.get('faults_felt'))} of {shown(facts.get('faults'))} faults were felt{rto}."
