# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time on the controller as steps take it: of the day, and moved by nobody who sets the clock."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


def since_boot() -> float:
    """Return seconds that only go forward, sleep of the machine included where the system counts it."""
    number = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if number is None else time.clock_gettime(number)


def clock(wall: Clock = time.time, passed: Clock = since_boot) -> Clock:
    """Return a clock in seconds since the epoch: the time of now, and from then on what has passed.

    A step's limits are moments of its clock, so that an hour more or less on the wall neither ends a step nor prolongs it.
    """
    began, before = wall(), passed()
    return lambda: began + (passed() - before)
