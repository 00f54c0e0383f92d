# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: packages_for
short_description: The packages that bring what a node lacks
description:
  - Chooses package names by what the user has named, else by distribution and version of the node.
version_added: 0.1.0
author: Testcell contributors
positional: facts, known, named
options:
  _input:
    description: What M(enginelab.testcell.find_missing) says, C(parts) and C(engine_vendor).
    type: dict
    required: true
  facts:
    description: The node's minimal facts.
    type: dict
    required: true
  known:
    description:
      - Rules with the conditions C(distribution), C(os_family), C(engine_vendor) and C(from_version), and the packages of
        C(engine) and C(compose). The last rule that fits and names a part counts.
    type: list
    elements: dict
    required: true
  named:
    description: Packages that beat every rule, lists of names by C(engine) and C(compose), or the JSON text of such a mapping.
    type: raw
    default: {}
"""

EXAMPLES = r"""
names: "{{ {'parts': ['compose']} | enginelab.testcell.packages_for({'distribution': 'Debian'}, rules) }}"
# => ["docker-compose"], where rules is [{"distribution": "Debian", "compose": ["docker-compose"]}]
"""

RETURN = r"""
_value:
  description: The packages, each once.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils.node import packages


def packages_for(
    missing: Mapping[str, Any], facts: Mapping[str, Any], known: Sequence[Mapping[str, Any]], named: Any = ""
) -> list[str]:
    """Return the packages; AnsibleFilterError says for what none is known."""
    try:
        return packages.choose(missing, facts, known, named)
    except packages.PackagesError as exc:
        raise AnsibleFilterError(str(exc)) from None


class FilterModule:
    """Filters about packages."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Return the filters by name."""
        return {"packages_for": packages_for}
