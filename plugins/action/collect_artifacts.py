# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: collect_artifacts
short_description: Collect evidence and artifacts from a node
description:
  - Brings logs, inspect and exit states of every container and the test's artifacts home, every byte proved, before anything is stopped.
  - Left out on a node that the case does not use.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.case_step
"""

EXAMPLES = r"""
- name: Collect evidence and artifacts from a node
  enginelab.testcell.collect_artifacts:
    run_dir: "{{ testcell_run_dir }}"
    case_index: "{{ testcell_case_index }}"
"""

RETURN = r"""
steps:
  description:
    - What each step found, by its name, and its C(seconds).
    - C(collect), with files and bytes that came home, and
      what could not be had.
  returned: success
  type: dict
failure:
  description: What went wrong; see the failure taxonomy in the reference.
  returned: failure
  type: dict
"""

from ..plugin_utils.steps import collect
from ._step import PhaseAction, Step


class ActionModule(PhaseAction):
    """Bring evidence and artifacts home."""

    STEPS = (Step("collect", collect.gather, always=True),)
