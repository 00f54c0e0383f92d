# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether contents are compressed before they are sent: where that is measured to be faster than to send them as they are."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence

from .frames import Bytes, Outlet

MODES = ("auto", "always", "never")
LEVEL = 1
PAYS = 0.9  # of the time without it
SAMPLE_BYTES = 64 << 10
# A look is due when so much was sent, or when writing has waited so long; both make what looking costs small.
LOOK_BYTES, LOOK_S = 16 << 20, 0.1
# Where the wire takes less for a byte than zlib ever does, nothing is tried at all.
FASTEST_S = 2e-9
# What is compressed says little about the wire, so after so many blocks one window goes plain.
BLOCKS = 64


class Squeeze:
    """Decides block by block. out: tells how long writing takes; clock: in seconds."""

    def __init__(self, mode: str, out: Outlet, clock: Callable[[], float] = time.perf_counter) -> None:
        self._mode, self._out, self._clock = mode, out, clock
        self._on = 0  # blocks that are still to be compressed before the next look
        self._wire_s = 0.0
        self._forget()

    def packed(self, pieces: Sequence[Bytes]) -> bytes | None:
        """Return a block, which comes in pieces, as one zlib stream; None where it goes as it is."""
        if self._mode == "never" or (self._mode == "auto" and not self._on and not self._look(pieces)):
            return None
        content = b"".join(pieces)
        return self._compressed(content) if content else None

    def _compressed(self, content: bytes) -> bytes | None:
        begin = self._clock()
        packed = zlib.compress(content, LEVEL)
        if self._mode == "auto":
            self._on -= 1
            if not self._pays((self._clock() - begin) / len(content), len(packed) / len(content)):
                self._on = 0
            if not self._on:
                self._forget()
        return packed if len(packed) < len(content) else None

    def _look(self, pieces: Sequence[Bytes]) -> bool:
        """Return whether compression is on from this block on. It is tried with a part of the block when it is time to."""
        sent, blocked = self._out.sent - self._sent, self._out.blocked_s - self._blocked_s
        if sent < LOOK_BYTES and blocked < LOOK_S:
            return False
        self._wire_s = blocked / sent
        self._forget()
        sample = b"".join(pieces)[:SAMPLE_BYTES] if self._wire_s >= FASTEST_S else b""
        if sample:
            begin = self._clock()
            packed = zlib.compress(sample, LEVEL)
            pays = self._pays((self._clock() - begin) / len(sample), len(packed) / len(sample))
            self._on = BLOCKS if pays else 0
        return bool(self._on)

    def _pays(self, cpu_s: float, ratio: float) -> bool:
        """Return whether compressed contents are through sooner. cpu_s: for a byte; ratio: of what is left of them."""
        return max(cpu_s, ratio * self._wire_s) < PAYS * self._wire_s

    def _forget(self) -> None:
        """Measure the wire from here on."""
        self._sent, self._blocked_s = self._out.sent, self._out.blocked_s
