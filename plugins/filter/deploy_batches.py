# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: deploy_batches
short_description: Level batches of services by their dependencies
description:
  - Sorts services into batches (Kahn); every service stands after all it needs. It explains a plan; deployment itself is
    event-driven and knows no barrier.
version_added: 0.1.0
author: Testcell contributors
options:
  _input:
    description: Service names to the lists of services they need.
    type: dict
    required: true
"""

EXAMPLES = r"""
batches: "{{ {'router': ['prefill', 'decode'], 'prefill': [], 'decode': []} | enginelab.testcell.deploy_batches }}"
# => [["prefill", "decode"], ["router"]]
"""

RETURN = r"""
_value:
  description: The batches in start order.
  type: list
  elements: list
"""

from collections.abc import Callable, Mapping, Sequence

from ansible.errors import AnsibleFilterError

from ..plugin_utils.deploy import graph


def deploy_batches(needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return the batches; AnsibleFilterError names the cycle or the wrong type."""
    if not isinstance(needs, Mapping):
        raise AnsibleFilterError(f"got {type(needs).__name__}; needed: a mapping of service names to lists of names")
    try:
        return graph.batches(needs)
    except graph.CycleError as exc:
        raise AnsibleFilterError(str(exc)) from None


class FilterModule:
    """Filters about deployment."""

    def filters(self) -> dict[str, Callable[..., list[list[str]]]]:
        """Return the filters by name."""
        return {"deploy_batches": deploy_batches}
