# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: run_test
short_description: Run the test under the node's supervisor
description:
  - Runs the script on the test node, streams its log, and watches the services of every node while it runs.
  - Left out on a node that the case does not use.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.case_step
"""

EXAMPLES = r"""
- name: Run the test under the node's supervisor
  enginelab.testcell.run_test:
    run_dir: "{{ testcell_run_dir }}"
    case_index: "{{ testcell_case_index }}"
"""

RETURN = r"""
detail:
  description: How the script ended - state, exit_code, seconds, log_bytes.
  returned: success
  type: dict
failure:
  description: What went wrong; see the failure taxonomy in the reference.
  returned: failure
  type: dict
"""

from typing import Any

from ..plugin_utils.steps import script
from ..plugin_utils.steps.cell import Cell
from ._step import StepAction


class ActionModule(StepAction):
    """Run the test, or watch the services meanwhile."""

    STEP = "test"

    def act(self, cell: Cell) -> dict[str, Any]:
        return script.run(cell)
