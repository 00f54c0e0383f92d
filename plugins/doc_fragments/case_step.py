# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every step of a case is told."""

from __future__ import annotations


class ModuleDocFragment:
    """Options shared by the actions that do one step of a case on one node."""

    DOCUMENTATION = r"""
options:
  run_dir:
    description: The run's results folder on the controller, with plan.json in it.
    type: path
    required: true
  case_index:
    description: The position of the case in the plan, from 0.
    type: int
    required: true
"""
