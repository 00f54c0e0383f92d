# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: clean_node
short_description: Clean a node of a run
description:
  - Removes the run's containers, networks, volumes, processes and files, found by label, never by a wildcard.
  - Left out on a node that the case does not use.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.case_step
"""

EXAMPLES = r"""
- name: Clean a node of a run
  enginelab.testcell.clean_node:
    run_dir: "{{ testcell_run_dir }}"
    case_index: "{{ testcell_case_index }}"
"""

RETURN = r"""
detail:
  description: How many objects of each type were removed.
  returned: success
  type: dict
failure:
  description: What went wrong; see the failure taxonomy in the reference.
  returned: failure
  type: dict
"""

from typing import Any

from ..plugin_utils.steps import clear
from ..plugin_utils.steps.cell import Cell
from ._step import StepAction


class ActionModule(StepAction):
    """Remove what the run made."""

    STEP = "clean"
    ALWAYS = True

    def act(self, cell: Cell) -> dict[str, Any]:
        return clear.clean(cell)
