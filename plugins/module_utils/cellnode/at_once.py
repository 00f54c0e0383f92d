# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on several things at once. The library's pool brings its logging along, which takes longest of all it imports."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def at_once(work: Callable[[T], R], items: Iterable[T], most: int) -> list[R]:
    """Return work(item) for each item, in order, with at most so many worked on at a time; raise the first error by order.

    It comes back when nothing is worked on any more. What was not begun before an error is not done.
    """
    waiting = deque(enumerate(items))
    found: dict[int, R] = {}
    failed: dict[int, BaseException] = {}

    def take() -> None:
        while not failed:
            try:
                place, item = waiting.popleft()
            except IndexError:
                return
            try:
                found[place] = work(item)
            except BaseException as exc:
                failed[place] = exc

    helpers = [threading.Thread(target=take, daemon=True) for _ in range(min(most, len(waiting)) - 1)]
    try:
        for helper in helpers:
            helper.start()
        take()
    finally:
        for helper in helpers:
            if helper.ident is not None:
                helper.join()
    if failed:
        raise failed[min(failed)]
    return [found[place] for place in sorted(found)]
