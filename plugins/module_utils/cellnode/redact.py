# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take secrets out of an engine record before it is kept: by the names of variables, options and keys."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "***"
_SECRET = re.compile(
    r"password|passwd|passphrase|secret|credential|bearer|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|(?<![a-z])(?:pass|pwd|auth)(?![a-z])|(?<![a-z])token(?![a-z])|authorization|authtoken|(?<![a-z])key$"
)
_ASSIGNED = re.compile(r"^(-{0,2}[A-Za-z_][A-Za-z0-9_.-]*)=(.+)$", re.DOTALL)
_OPTION = re.compile(r"^--?[A-Za-z][A-Za-z0-9_-]*$")
_USERINFO = re.compile(r"(?<=://)[^/@\s:]+:[^/@\s]+(?=@)")


def is_secret(name: str) -> bool:
    """Return whether a variable, option or key of this name holds a secret."""
    return bool(_SECRET.search(name.lower().strip("-_")))


def redacted(value: Any) -> Any:
    """Return a JSON value with its secrets replaced: NAME=value, --name value, {name: value}, user:password in URLs."""
    if isinstance(value, dict):
        return {key: HIDDEN if _hides(key, inner) else redacted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return _words(value)
    return _USERINFO.sub(HIDDEN, value) if isinstance(value, str) else value


def _hides(key: Any, inner: Any) -> bool:
    return isinstance(inner, str) and inner != "" and isinstance(key, str) and is_secret(key)


def _words(values: list[Any]) -> list[Any]:
    """Return a list with the values of secret variables and options replaced."""
    found: list[Any] = []
    hide_next = False
    for value in values:
        if not isinstance(value, str):
            found.append(redacted(value))
        elif hide_next and not _OPTION.match(value):
            found.append(HIDDEN)
        else:
            found.append(_word(value))
        hide_next = isinstance(value, str) and bool(_OPTION.match(value)) and is_secret(value)
    return found


def _word(value: str) -> str:
    match = _ASSIGNED.match(value)
    if match and is_secret(match.group(1)):
        return f"{match.group(1)}={HIDDEN}"
    return str(redacted(value))
