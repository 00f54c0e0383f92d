# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process waits for its turn at a rate that it shares with others."""

from __future__ import annotations

import random
import time

from .keep import Keep

STEP_S = 0.25  # the longest sleep, so that a waiting process sees a rate that has changed


class NoTurnError(Exception):
    """No turn came in time; the text says why."""


def wait_for_turn(keep: Keep, key: str, max_wait_s: float, again: bool = False) -> float:
    """Return the time of the turn that was waited for (monotonic seconds); raise NoTurnError when none comes.

    again: it is for a request that was refused before.
    """
    began = time.monotonic()
    while True:
        with keep.pace(key) as pace:
            now = time.monotonic()
            wait, held, settings = pace.wait_s(now), pace.held_s(now), pace.settings
            if wait <= 0:
                pace.take(now, random.random(), now - began, again=again)
                return now
        if held > settings.max_wait_s:
            raise NoTurnError(f"the server asks to wait for {held:.0f} s, limit {settings.max_wait_s:g} s")
        if now + wait > began + max_wait_s:
            raise NoTurnError(f"no turn within {max_wait_s:g} s; the next one would be in {wait:.1f} s")
        time.sleep(min(wait, STEP_S, settings.window_s / 2))
