# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: stop_services
short_description: Stop the services of a run on a node
description:
  - Stops this run's containers and processes, found by label and lease.
  - Left out on a node that the case does not use.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.case_step
"""

EXAMPLES = r"""
- name: Stop the services of a run on a node
  enginelab.testcell.stop_services:
    run_dir: "{{ testcell_run_dir }}"
    case_index: "{{ testcell_case_index }}"
"""

RETURN = r"""
detail:
  description: How many containers were stopped.
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
    """Stop what the run started."""

    STEP = "stop"
    ALWAYS = True

    def act(self, cell: Cell) -> dict[str, Any]:
        return clear.stop(cell)
