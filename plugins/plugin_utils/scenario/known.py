# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory of a run offers to the scenarios that name its nodes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Known:
    """The nodes of an inventory. left_out: those that the run may not use, each with the reason.

    nodes: those in use, in the order of the inventory. hosts: names and addresses that load may be sent to beside
    loopback, None for any.
    """

    nodes: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    hosts: Collection[str] | None = None
