# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: verify_node
short_description: Verify that a node is as it was
description:
  - Compares the node with the snapshot taken before; after the node's last case the lease is given back.
  - Left out on a node that the case does not use.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.case_step
"""

EXAMPLES = r"""
- name: Verify that a node is as it was
  enginelab.testcell.verify_node:
    run_dir: "{{ testcell_run_dir }}"
    case_index: "{{ testcell_case_index }}"
"""

RETURN = r"""
detail:
  description: Whether the node is as it was, and how many objects of strangers are new.
  returned: success
  type: dict
failure:
  description: What went wrong; see the failure taxonomy in the reference.
  returned: failure
  type: dict
"""

from typing import Any

from ..plugin_utils.steps import clear, lease
from ..plugin_utils.steps.cell import Cell
from ._step import SKIPPED, StepAction


class ActionModule(StepAction):
    """Compare the node with its snapshot, and give it back after its last case."""

    STEP = "verify"
    ALWAYS = True

    def act(self, cell: Cell) -> dict[str, Any]:
        try:
            return clear.verify(cell)
        finally:
            lease.release(cell)

    def no_part(self, cell: Cell) -> str:
        reason = super().no_part(cell)
        return "" if reason == SKIPPED and cell.case.index == cell.plan.last_use(cell.node) else reason
