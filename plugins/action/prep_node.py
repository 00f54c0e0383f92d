# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: prep_node
short_description: Take a node and check that it can do the job
description:
  - Takes the node's lease for this run, or says who holds it; what a dead run left there is reaped.
  - Checks engine, Compose, disk, clock, ports and GPU, names every reason why not, and takes the snapshot that verify compares with.
  - Left out on a node that the case does not use.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.case_step
"""

EXAMPLES = r"""
- name: Take a node and check that it can do the job
  enginelab.testcell.prep_node:
    run_dir: "{{ testcell_run_dir }}"
    case_index: "{{ testcell_case_index }}"
"""

RETURN = r"""
steps:
  description:
    - What each step found, by its name, and its C(seconds).
    - C(lease), with its epoch and what a dead run had left there;
      C(prep), with the versions of engine and Compose.
  returned: success
  type: dict
failure:
  description: What went wrong; see the failure taxonomy in the reference.
  returned: failure
  type: dict
"""

from ..plugin_utils.steps import lease, prep
from ._step import PhaseAction, Step


class ActionModule(PhaseAction):
    """Take the node, and ask whether it can do its part."""

    STEPS = (Step("lease", lease.acquire, needs_lease=False), Step("prep", prep.check))
