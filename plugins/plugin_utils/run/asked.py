# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the caller of a run asked for, whichever front door they came through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..problems import Problem
from .access import Access
from .inventory import Scope


@dataclass(frozen=True)
class Asked:
    """What the caller asked for. hosts: inventory name -> connection variables; overrides: what beats all layers.

    cases: which of the scenarios' cases, as `exact_cases` reads them; avoid_nodes: nodes to leave out; both comma lists.
    sources: the inventories as they were named. scope: what --limit leaves, None without one. access: None where nobody
    wants to know whether ssh would reach the nodes. refused: what the reader of the inventory found wrong with it.
    soak_profile: "" for an ordinary run; what else is said of a soak is among the overrides.
    wrong: what is wrong with the settings of the run that could not be taken. database_url: what the environment says of it.
    """

    scenario: str
    hosts: Mapping[str, Mapping[str, Any]]
    tags: str = ""
    skip_tags: str = ""
    cases: str = ""
    avoid_nodes: str = ""
    soak_profile: str = ""
    project_dir: str = ""
    results_dir: str = ""
    run_id: str = ""
    lease_ttl_s: int = 180
    min_free_bytes: int = 1 << 30
    wait_s: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    database_url: str = field(default="", repr=False)
    variables: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    forks: int = 5
    sources: tuple[str, ...] = ()
    scope: Scope | None = None
    access: Access | None = None
    refused: tuple[Problem, ...] = ()
    wrong: tuple[Problem, ...] = ()
