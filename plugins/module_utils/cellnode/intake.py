# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes in on standard input, line by line; whoever sends a long line over a slow way hears that it arrives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

CHUNK = 1 << 16
# ssh takes a node for gone that says nothing for a few seconds, and over a slow way each packet of a line takes some.
SAY_EVERY_S = 1.0


def lines(stdin: Any, heard: Callable[[], None]) -> Iterator[bytes]:
    """Yield each line of a buffered binary stream without its end. heard: called now and then while a line comes in."""
    parts: list[bytes] = []
    said = time.monotonic()
    while data := stdin.read1(CHUNK):
        head, *more = data.split(b"\n")
        parts.append(head)
        for part in more:
            yield b"".join(parts)
            parts = [part]
        if any(parts) and time.monotonic() - said >= SAY_EVERY_S:
            heard()
            said = time.monotonic()
    if any(parts):
        yield b"".join(parts)
