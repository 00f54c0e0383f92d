# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work of stress: using up processor time, or holding memory, until the event expires."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .work import Report, Shift

ROUNDS = 200_000  # between two looks at the clock: some milliseconds
BLOCK = 1 << 20
FIRST_TO_DIE = "1000"
Json = dict[str, Any]


def cpu(spec: Json, shift: Shift, report: Report) -> None:
    """Keep as many processes busy as cores are asked for."""
    parent = os.getpid()
    pids = [_forked(lambda: _burn(shift, parent), report) for _ in range(int(spec["cores"]))]
    report.say({"pids": pids})
    shift.wait()
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _forked(work: Callable[[], None], report: Report) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            report.close()
            work()
        finally:
            os._exit(0)
    return pid


def _burn(shift: Shift, parent: int) -> None:
    """Use one core until the event expires or the parent is gone."""
    while shift.seconds_left() > 0 and os.getppid() == parent:
        for _ in range(ROUNDS):
            pass


def memory(spec: Json, shift: Shift, report: Report) -> None:
    """Hold so many bytes that cannot be shared or compressed to nothing; when memory ends, this is what the kernel ends first."""
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(FIRST_TO_DIE)
    wanted = int(spec["bytes"])
    report.say({"pids": [os.getpid()]})
    block = os.urandom(BLOCK)
    with mmap.mmap(-1, wanted, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        for start in range(0, wanted, BLOCK):
            if shift.seconds_left() <= 0:
                return
            held[start : start + BLOCK] = block[: wanted - start]
        shift.wait()


JOBS = {"cpu": cpu, "memory": memory}
