# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: check_ready
short_description: Check that the engine can really answer
description:
  - Applies the readiness strategy quick, standard or thorough; thorough wants the expected workers and a real token.
  - Left out on a node that the case does not use.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.case_step
"""

EXAMPLES = r"""
- name: Check that the engine can really answer
  enginelab.testcell.check_ready:
    run_dir: "{{ testcell_run_dir }}"
    case_index: "{{ testcell_case_index }}"
"""

RETURN = r"""
steps:
  description: What each step found, by its name, and its C(seconds); C(ready), with the strategy and, for thorough, the canary requests.
  returned: success
  type: dict
failure:
  description: What went wrong; see the failure taxonomy in the reference.
  returned: failure
  type: dict
"""

from ..plugin_utils.steps import ready
from ._step import PhaseAction, Step


class ActionModule(PhaseAction):
    """Ask whether the engine can really answer."""

    STEPS = (Step("ready", ready.check),)
