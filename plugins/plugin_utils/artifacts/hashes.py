# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hashes that this machine can make."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ...module_utils.cellnode import digests

# Of the longest digest; one of blake2b may have fewer.
MOST_DIGITS = 128


def installed(name: str) -> ModuleType | None:
    """Return a module of this Python, None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def hasher(algorithm: str, digits: int = MOST_DIGITS) -> Any:
    """Return a new hash, None where this machine has none. digits: hex digits of a digest of blake2b."""
    new = digests.factory(algorithm, installed)
    if new is None or algorithm != "blake2b":
        return new() if new else None
    return new(digest_size=digits // 2) if 2 <= digits <= MOST_DIGITS else None


def hashers(wanted: Mapping[str, int]) -> dict[str, Any]:
    """Return new hashes by their algorithms, without those that this machine does not have. wanted: algorithm -> hex digits."""
    return {name: one for name, digits in wanted.items() if (one := hasher(name, digits)) is not None}
