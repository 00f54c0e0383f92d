# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: upload_files
short_description: Upload the scenario files to a node
description:
  - Sends the scenario's files as one stream, only what changed; digests are compared on the node.
  - Left out on a node that the case does not use.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.case_step
"""

EXAMPLES = r"""
- name: Upload the scenario files to a node
  enginelab.testcell.upload_files:
    run_dir: "{{ testcell_run_dir }}"
    case_index: "{{ testcell_case_index }}"
"""

RETURN = r"""
detail:
  description: How many files had changed and were sent.
  returned: success
  type: dict
failure:
  description: What went wrong; see the failure taxonomy in the reference.
  returned: failure
  type: dict
"""

from typing import Any

from ..plugin_utils.steps import upload
from ..plugin_utils.steps.cell import Cell
from ._step import StepAction


class ActionModule(StepAction):
    """Send the scenario's files."""

    STEP = "upload"

    def act(self, cell: Cell) -> dict[str, Any]:
        return upload.send(cell)
