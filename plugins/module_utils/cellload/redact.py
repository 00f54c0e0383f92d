# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets kept out of what is written: by the name of a key, and by value where the value is known."""

from __future__ import annotations

import re
from typing import Any

SECRET_KEY = re.compile(r"(?i)passw|secret|authorization|credential|cookie|(api|access)[_-]?key|(^|[_-])token$|^auth$")
HIDDEN = "***"


def by_key(value: Any) -> Any:
    """Return value with every entry whose key sounds like a secret replaced by ***."""
    if isinstance(value, dict):
        return {key: HIDDEN if SECRET_KEY.search(str(key)) else by_key(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [by_key(item) for item in value]
    return value


def by_value(text: str, secret: str) -> str:
    """Return text with each occurrence of secret replaced by ***; an empty secret changes nothing."""
    return text.replace(secret, HIDDEN) if secret else text
