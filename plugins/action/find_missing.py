# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: find_missing
short_description: Take a node and ask which parts it lacks
description:
  - Takes the node's lease for this run.
  - Asks whether the Docker engine and Compose are there, where the case runs services on the node. It changes nothing else.
  - Left out on a node that the case does not use, and in check mode; nothing is missing then.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.case_step
"""

EXAMPLES = r"""
- name: Ask what the node lacks
  enginelab.testcell.find_missing:
    run_dir: "{{ testcell_run_dir }}"
    case_index: "{{ testcell_case_index }}"
  register: answer
"""

RETURN = r"""
missing:
  description:
    - C(parts), of C(engine) and C(compose), those that are absent; an engine that is there and does not answer is not absent.
    - C(engine_vendor), C(Docker) where the engine is of Docker's own packages; C(root), whether the user there is root;
      C(limit_s), how long installing may take.
  returned: always
  type: dict
failure:
  description: What went wrong; see the failure taxonomy in the reference.
  returned: failure
  type: dict
"""

from typing import Any

from ..plugin_utils.steps import install, lease
from ._step import PhaseAction, Step


class ActionModule(PhaseAction):
    """Take the node, and ask what it lacks."""

    STEPS = (Step("lease", lease.acquire, needs_lease=False), Step("install", install.find_missing))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        found = result.get("steps", {}).get("install", {})
        return {**result, "changed": False, "missing": {**install.NOTHING, **found}}
