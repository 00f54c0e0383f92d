# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: deploy_services
short_description: Deploy the services of a node in dependency order
description:
  - Brings the scenario's files to the node, only what changed; digests are compared there.
  - Starts each service as soon as everything it depends on, on any node, is ready.
  - Left out on a node that the case does not use.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.case_step
"""

EXAMPLES = r"""
- name: Deploy the services of a node in dependency order
  enginelab.testcell.deploy_services:
    run_dir: "{{ testcell_run_dir }}"
    case_index: "{{ testcell_case_index }}"
"""

RETURN = r"""
steps:
  description:
    - What each step found, by its name, and its C(seconds).
    - C(upload), with the number of files sent;
      C(deploy), with the seconds after which each service was ready.
  returned: success
  type: dict
failure:
  description: What went wrong; see the failure taxonomy in the reference.
  returned: failure
  type: dict
"""

from ..plugin_utils.steps import deploy, upload
from ._step import PhaseAction, Step


class ActionModule(PhaseAction):
    """Bring the scenario, and start the node's services in their turn."""

    STEPS = (Step("upload", upload.send), Step("deploy", deploy.run))
