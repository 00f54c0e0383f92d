# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: note_install
short_description: Keep what became of an installation
description:
  - Writes into the journal and the report which packages a run has installed on a node, or why it could not, so that
    M(enginelab.testcell.prep_node) can say both what is missing and why.
  - Left out on a node that the case does not use.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.case_step
options:
  packages:
    description: The packages that were asked for.
    type: list
    elements: str
    default: []
  result:
    description: The result of the task that installed them, or of the one that failed.
    type: dict
    required: true
  lists:
    description: The result of bringing the package lists up to date, told where installing failed, too.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Keep what was installed
  enginelab.testcell.note_install:
    run_dir: "{{ testcell_run_dir }}"
    case_index: "{{ testcell_case_index }}"
    packages: [docker-compose]
    result: "{{ installed }}"
"""

RETURN = r"""
steps:
  description:
    - What each step found, by its name, and its C(seconds).
    - C(install), with C(packages), C(changed) and C(error)
      of the installation.
  returned: success
  type: dict
failure:
  description: What went wrong; see the failure taxonomy in the reference.
  returned: failure
  type: dict
"""

from typing import Any, ClassVar

from ..plugin_utils.steps import install
from ._step import PhaseAction, Step


class ActionModule(PhaseAction):
    """Keep what became of an installation."""

    OPTIONS: ClassVar[dict[str, Any]] = {
        **PhaseAction.OPTIONS,
        "packages": {"type": "list", "elements": "str", "default": []},
        "result": {"type": "dict", "required": True},
        "lists": {"type": "dict", "default": {}},
    }

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        return {**super().run(tmp, task_vars), "changed": False}

    def steps(self, args: dict[str, Any]) -> tuple[Step, ...]:
        return (Step("install", lambda cell: install.note(cell, args["packages"], args["result"], args["lists"])),)
