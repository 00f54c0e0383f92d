# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: adopt_case
short_description: Ask a node whether a case can go on that another controller has begun
description:
  - Takes a node over from the dead controller of a resumed run, and asks on the test's node what became of the test.
  - M(enginelab.testcell.open_case) then decides, from the answers of all nodes, whether the case goes on or begins anew.
  - Left out on a node that the case does not use.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.case_step
"""

EXAMPLES = r"""
- name: Ask the nodes whether the case can go on
  enginelab.testcell.adopt_case:
    run_dir: "{{ testcell_run_dir }}"
    case_index: "{{ testcell_case_index }}"
"""

RETURN = r"""
steps:
  description: C(adopt), with C(goes_on), whether the case can go on as far as this node is concerned, and C(why) not.
  returned: success
  type: dict
failure:
  description: What went wrong; see the failure taxonomy in the reference.
  returned: failure
  type: dict
"""

from ..plugin_utils.steps import adopting
from ._step import PhaseAction, Step


class ActionModule(PhaseAction):
    """Take over what a dead controller has begun, as far as it is still there."""

    STEPS = (Step("adopt", adopting.adopt, always=True, needs_lease=False),)
