# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Ansible says about a task, as facts and text for the classifier."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import decide
from .decide import Result
from .facts import Facts
from .rules import Rules

# In the order in which they tell of a cause: what a command wrote comes before what Ansible makes of it.
TEXTS = ("module_stderr", "stderr", "exception", "module_stdout", "msg", "reason", "stdout", "message")
MOST_CHARACTERS = 64 << 10
_TYPE = re.compile(r"^(?:[\w.]+\.)?([A-Z]\w*(?:Error|Exception|Timeout|Disconnected))\b", re.MULTILINE)


def of_result(
    result: Mapping[str, Any], *, host: str = "", rules: Rules | None = None, during_fault: str = ""
) -> Result:
    """Return what went wrong in a task by its result; host: the node where the result names none."""
    own = _own(result)
    if own is not None:
        return own
    seen = decide.classify(text_of(result), facts=facts_of(result), rules=rules, during_fault=during_fault)
    return seen if seen.node else replace(seen, node=host)


def _own(result: Mapping[str, Any]) -> Result | None:
    """Return what our own actions have said already."""
    known = result.get("failure")
    if not isinstance(known, Mapping) or not isinstance(known.get("error_kind"), str):
        return None
    names = ("error_kind", "retriable", "owner", "node", "service", "rule", "during_fault")
    found = {name: known[name] for name in names if name in known}
    return Result(**{"retriable": False, "owner": "cell", **found}, evidence=tuple(known.get("evidence", ())))


def facts_of(result: Mapping[str, Any]) -> Facts:
    """Return the facts of a task's result; a result of several items has none of its own."""
    rc, status, text = result.get("rc"), result.get("status"), str(result.get("exception", ""))[-MOST_CHARACTERS:]
    return Facts(
        exceptions=tuple(reversed(_TYPE.findall(text))),
        unreachable=result.get("unreachable") is True,
        rc=rc if _is_number(rc) else None,
        status=status if isinstance(status, int) and status >= 400 else None,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def text_of(result: Mapping[str, Any]) -> str:
    """Return all that a task's result says in words, the items of a loop one after the other."""
    texts = [_text(result[key]) for key in TEXTS if result.get(key)]
    items = result.get("results")
    if isinstance(items, Sequence) and not isinstance(items, str):
        texts += [text_of(item) for item in items if isinstance(item, Mapping) and item.get("failed")]
    return "\n".join(text for text in texts if text)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else "\n".join(map(str, value)) if isinstance(value, list) else str(value)
    half = MOST_CHARACTERS // 2
    return text if len(text) <= MOST_CHARACTERS else f"{text[:half]}\n{text[-half:]}"
