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
steps:
  description: What each step found, by its name, and its C(seconds); C(test), on the test's node with how the script ended.
  returned: success
  type: dict
failure:
  description: What went wrong; see the failure taxonomy in the reference.
  returned: failure
  type: dict
"""

from ..plugin_utils.steps import script
from ._step import PhaseAction, Step


class ActionModule(PhaseAction):
    """Run the test, or watch the services meanwhile."""

    STEPS = (Step("test", script.run),)
