# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a node is asked again: at a steady pace whatever an answer takes, until enough rounds are over or nobody looks."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..run import owner

LOOK_S = 0.5
INTERVALS_S = range(1, 3601)


def refused(count: int, interval_s: int) -> str:
    """Return why a node cannot be asked so often, "" when it can."""
    if count < 0:
        return f"rounds is {count}; allowed: 0 or more, 0 is without end"
    if interval_s not in INTERVALS_S:
        return f"interval_s is {interval_s}; allowed: {INTERVALS_S[0]}..{INTERVALS_S[-1]}"
    return ""


def rounds(
    count: int, interval_s: float, wait: Callable[[float], bool], clock: Callable[[], float] = time.monotonic
) -> Iterator[int]:
    """Yield 1, 2 and so on, each when it is due; count 0 is without end.

    A round that was due while an answer was waited for is left out, so that the nodes of a watch stay together; the
    last one never is. wait: waits so many seconds, and says whether to go on.
    """
    began, number = clock(), 1
    while True:
        yield number
        if number == count:
            return
        number = max(number + 1, math.ceil((clock() - began) / interval_s) + 1)
        number = min(number, count) if count else number
        if not wait(max(0.0, began + (number - 1) * interval_s - clock())):
            return


class Audience:
    """Who looks at the answers: the process that started this one, and the folder where it wants them, if any."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._parent = owner.controller()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until nobody looks any more; return whether somebody still does."""
        end = time.monotonic() + seconds
        while self._looks():
            left = end - time.monotonic()
            if left <= 0:
                return True
            time.sleep(min(left, LOOK_S))
        return False

    def _looks(self) -> bool:
        return os.getppid() == self._parent and (self._folder is None or self._folder.is_dir())
