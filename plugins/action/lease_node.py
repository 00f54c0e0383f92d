# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: lease_node
short_description: Take the lease of a node
description:
  - Takes the node for this run, or says who holds it; what a dead run left there is reaped.
  - Left out on a node that the case does not use.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.case_step
"""

EXAMPLES = r"""
- name: Take the lease of a node
  enginelab.testcell.lease_node:
    run_dir: "{{ testcell_run_dir }}"
    case_index: "{{ testcell_case_index }}"
"""

RETURN = r"""
detail:
  description: What the step found, C(epoch), and C(reaped) where a dead run had left something.
  returned: success
  type: dict
failure:
  description: What went wrong; see the failure taxonomy in the reference.
  returned: failure
  type: dict
"""

from typing import Any

from ..plugin_utils.steps import lease
from ..plugin_utils.steps.cell import Cell
from ._step import StepAction


class ActionModule(StepAction):
    """Take the node for this run."""

    STEP = "lease"
    NEEDS_LEASE = False

    def act(self, cell: Cell) -> dict[str, Any]:
        return lease.acquire(cell)
