# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The three profiles of soaks: what each value is where nobody says otherwise, and why.

A profile decides what missing data means, and nobody may soften that: `warn` in soak_smoke, `fail` in the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from ..problems import KeyPath
from ..scenario.soak_spec import PROFILES

Missing = Literal["warn", "fail"]
MIB = 2**20

MISSING: Mapping[str, Missing] = MappingProxyType(
    {"soak_smoke": "warn", "soak_endurance": "fail", "soak_release": "fail"}
)

# Key below `soak` -> its values in soak_smoke, soak_endurance and soak_release.
_TABLE: Mapping[str, tuple[Any, Any, Any]] = {
    # A merge waits 20 minutes, a night has three hours, and a release the eight in which slow leaks show.
    "duration_secs": (1200, 10_800, 28_800),
    # One round each without faults; then with the plan beside the same without, to tell what the faults did.
    "topologies": (
        ["single", "distributed"],
        ["distributed", "distributed_chaos"],
        ["single", "distributed", "distributed_chaos"],
    ),
    "enable_chaos": (False, True, True),
    # Nothing is known of the service yet; for a release, half of what a night allows.
    "max_stall_secs": (120, 120, 60),
    "max_lag_p95": (20.0, 20.0, 10.0),
    "max_failure_ratio": (0.05, 0.05, 0.01),
    # An hour's growth. Twenty minutes cannot tell a slow leak from warming up, three hours can.
    "max_rss_slope": (256 * MIB, 64 * MIB, 16 * MIB),
    "gates.max_fd_slope": (240.0, 60.0, 10.0),
    "gates.max_threads_slope": (60.0, 10.0, 2.0),
    "gates.max_gpu_memory_slope": (256 * MIB, 64 * MIB, 16 * MIB),
    # A container starts and an engine loads a small model within a minute; a release is held to half of it.
    "gates.max_rto_secs": (60, 60, 30),
    "gates.max_report_gap_secs": (120, 60, 60),
    # The same reason again and again in so many windows is no bad luck.
    "gates.burst_windows": (3, 3, 3),
    "gates.min_success_ratio": (0.99, 0.99, 0.999),
    # Half of the workers may be gone in a window; what still works has to answer.
    "gates.min_success_ratio_in_fault": (0.5, 0.5, 0.5),
    "sample_interval_secs": (1, 1, 1),
    # Caches fill and threads start at first; no slope or latency looks at that.
    "warmup_secs": (60, 300, 600),
}


def values(profile: str) -> dict[KeyPath, Any]:
    """Return leaf path below `soak` -> value of one of `PROFILES`."""
    place = PROFILES.index(profile)
    return {tuple(key.split(".")): row[place] for key, row in _TABLE.items()}
