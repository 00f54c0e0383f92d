# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kinds that follow from a number in a match: the status of an HTTP answer, the exit code of a process."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

OVERLOADED = frozenset({429, 503, 529})
# What coreutils' timeout says when it has ended a command.
TIMED_OUT = 124


def of_status(status: int) -> str:
    """Return the kind of an answer that is no success; "" for one that is."""
    if status in OVERLOADED:
        return "overloaded"
    if status == 408:
        return "http_timeout"
    if 500 <= status <= 599:
        return "http_5xx"
    return "http_4xx" if 400 <= status <= 499 else "response_invalid" if status >= 300 else ""


def of_exit(code: int) -> str:
    """Return the kind of a script's exit code by itself."""
    return "test_timeout" if code == TIMED_OUT else "test_failed"


def _status(found: re.Match[str], kind: str) -> str:
    return of_status(int(found["status"])) or kind


def _exit(found: re.Match[str], kind: str) -> str:
    return of_exit(int(found["code"])) if int(found["code"]) == TIMED_OUT else kind


READERS: Mapping[str, Callable[[re.Match[str], str], str]] = {"http_status": _status, "exit_code": _exit}
