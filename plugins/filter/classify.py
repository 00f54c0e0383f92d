# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: classify
short_description: What went wrong, by a text or a task's result
description:
  - Says the error kind, its owner and whether a retry can help. Facts of a result, such as C(unreachable) and C(rc), count before
    its text, and the earliest specific line before what only follows from it.
version_added: 0.1.0
author: Testcell contributors
positional: rules
options:
  _input:
    description: The text of a log, or the result of a task that failed.
    type: raw
    required: true
  rules:
    description: Files with rules that come before ours.
    type: list
    elements: path
    default: []
"""

EXAMPLES = r"""
cause: "{{ 'Bind for 0.0.0.0:80 failed: port is already allocated' | enginelab.testcell.classify }}"
# => {"error_kind": "port_conflict", "retriable": false, "owner": "node", "evidence": [...], "rule": "docker-ports", ...}
retry: "{{ (ansible_failed_result | enginelab.testcell.classify).retriable }}"
# => true where a retry can help
"""

RETURN = r"""
_value:
  description:
    - The answer, with C(error_kind), C(retriable), C(owner), C(node), C(service), C(evidence), C(rule), C(hint) and C(during_fault).
      What is not known is empty.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils.classify import decide, task
from ..plugin_utils.classify import rules as rules_of
from ..plugin_utils.problems import InputError


def classify(value: Any, rules: Sequence[str] | str = ()) -> dict[str, Any]:
    """Return what went wrong; AnsibleFilterError names the wrong type, or the lines that are wrong in a file of rules."""
    files = [rules] if isinstance(rules, str) and rules else rules
    try:
        known = rules_of.load([Path(str(file)) for file in files])
    except InputError as exc:
        raise AnsibleFilterError(str(exc)) from None
    if isinstance(value, str):
        return decide.classify(str(value), rules=known).as_dict()
    if isinstance(value, Mapping):
        return task.of_result(value, rules=known).as_dict()
    raise AnsibleFilterError(f"got {type(value).__name__}; needed: text, or the result of a task")


class FilterModule:
    """Filters about failures."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Return the filters by name."""
        return {"classify": classify}
