# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of faults, each in a module that is read only when a plan has it."""

from __future__ import annotations

import importlib

from ..params import refuse
from .fault import Fault

# Kind -> the module whose KINDS holds it.
MODULES: dict[str, str] = {
    "kill": "ending",
    "restart": "ending",
    "stop": "freezing",
    "pause": "freezing",
    "dockerd_restart": "dockerd",
    "pressure": "pressure",
    "network_cut": "network",
    "network_loss": "network",
    "network_rate": "network",
    "network_delay": "delay",
    "disk_fill": "disk",
    "cpu_stress": "stress",
    "memory_stress": "stress",
    "clock_jump": "clock",
}


def find(kind: str) -> Fault:
    """Return a kind of fault; raise config_invalid listing the known ones."""
    if kind not in MODULES:
        raise refuse("kind", kind, ", ".join(sorted(MODULES)))
    module = importlib.import_module(f".{MODULES[kind]}", __package__)
    fault: Fault = module.KINDS[kind]
    return fault
