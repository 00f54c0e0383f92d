# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every check of what a user wrote has in common."""

from __future__ import annotations


class ModuleDocFragment:
    """Notes of the actions that name all problems of an input at once, and the option of those that read a project."""

    DOCUMENTATION = r"""
notes:
  - No node is contacted.
  - All problems are named at once. Each is a mapping with C(file), C(line), C(column), C(key), C(message), C(got), C(allowed),
    C(suggestion) and C(severity); what does not apply is empty, or 0 for a place.
attributes:
  check_mode:
    description: Runs in check mode as it always does, except that nothing is written.
    support: full
"""

    PROJECT = r"""
options:
  project_dir:
    description: The project with scenarios/ and config/; empty means the current folder, else this checkout.
    type: str
    default: ""
"""
