# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that an engine is: another one after each start, which has ended or started anew what ran under the one before."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from . import procs
from .context import Clock

LIMIT_S = 5.0
PEER = struct.Struct("3i")  # process, user and group at the other end of a socket
PID_NOTE = "/var/run/docker.pid"


def life(path: str) -> str:
    """Return a word for the process that serves the engine's socket; where systemd does, for the one of the engine's note.

    "" where that cannot be told.
    """
    found = serving(path)
    return f"{found.pid}.{found.start}" if found else ""


def serving(path: str) -> procs.Proc | None:
    """Return the process that serves the engine's socket; None where that cannot be told."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(LIMIT_S)
            asking.connect(path)
            pid, _, _ = PEER.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
        return procs.identify(int(Path(PID_NOTE).read_text(encoding="ascii")) if pid == 1 else pid)
    except (OSError, ValueError):
        return None


def differ(before: str, now: str) -> bool:
    """Return whether two words are of different processes, as far as both could be told."""
    return bool(before and now) and before != now


def began(word: str, clock: Clock) -> float:
    """Return when the process of a life began, in seconds since 1970."""
    ticks = int(word.partition(".")[2])
    return clock.unix() - clock.boottime() + ticks / os.sysconf("SC_CLK_TCK")
