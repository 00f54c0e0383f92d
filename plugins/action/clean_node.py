# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: clean_node
short_description: Leave a node as it was
description:
  - Stops the run's containers and processes. Each step is tried whatever became of the one before.
  - Removes the run's containers, networks, volumes, processes and files, found by label, never by a wildcard. What will not go is
    tried once more by force, in bounded time.
  - Compares the node with its snapshot, and gives it back after its last case.
  - Left out on a node that the case does not use.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.case_step
"""

EXAMPLES = r"""
- name: Leave a node as it was
  enginelab.testcell.clean_node:
    run_dir: "{{ testcell_run_dir }}"
    case_index: "{{ testcell_case_index }}"
"""

RETURN = r"""
steps:
  description:
    - What each step found, by its name, and its C(seconds).
    - C(stop); C(clean), with how many objects of each type and bytes were removed, its C(seconds), and whether force was needed
      (C(emergency)); C(verify).
  returned: success
  type: dict
failure:
  description: What went wrong; see the failure taxonomy in the reference.
  returned: failure
  type: dict
"""

from ..plugin_utils.steps import clear
from ._step import PhaseAction, Step


class ActionModule(PhaseAction):
    """Leave the node as it was: each step is tried whatever became of the one before."""

    STEPS = (
        Step("stop", clear.stop, always=True),
        Step("clean", clear.clean, always=True),
        Step("verify", clear.close, always=True, closes=True),
    )
