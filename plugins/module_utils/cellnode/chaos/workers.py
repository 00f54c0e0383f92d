# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of faults: started under the run's mark, in a control group of their own, with their end in themselves."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from .. import cgroup, procs, spawn, unit
from ..child import environment
from ..errors import CellError
from .fault import Place

KILL_LIMIT_S = 10.0
GROUP_LIMIT_S = 5.0
NAME = "chaos"
# The program file, or the folder that holds this package, and what starts a worker in a fresh interpreter.
TOP = str(Path(__file__).resolve().parents[2])
START = "import sys; sys.path.insert(0, sys.argv[1]); from cellnode.chaos import work; work.main(sys.argv[2])"
Json = dict[str, Any]


def new_token(place: Place) -> str:
    """Return the mark of an event's processes."""
    return unit.new_token(place.ctx.root, place.ctx.needed_run, NAME)


def start(place: Place, token: str, spec: Mapping[str, Any], fds: Mapping[str, int] | None = None) -> Json:
    """Start a worker in the background and return what it says of itself once it works.

    spec: as work.main takes it; fds: open descriptors that it needs, name -> number, added to the spec.
    """
    held = dict(fds or {})
    whole = {**spec, **held, "token": token, "root": str(place.ctx.root), "expires": place.expires}

    def become(report_fd: int) -> NoReturn:
        for fd in (report_fd, *held.values()):
            os.set_inheritable(fd, True)
        text = json.dumps({**whole, "report_fd": report_fd})
        argv = [sys.executable, "-I", "-S", "-E", "-c", START, TOP, text]
        os.execve(sys.executable, argv, environment(place.ctx.environ, {}, {procs.MARK: token}))

    report = spawn.launch(become, set(held.values()))
    if "error" in report:
        error = report["error"]
        raise CellError(str(error["kind"]), f"no worker of {spec['job']} for event {place.id}: {error['message']}")
    return report


def ask_to_end(token: str, place: Place, limit_s: float) -> bool:
    """Ask an event's processes to end in their own way; return whether they did within limit_s."""
    for proc in procs.marked(token):
        procs.send(proc, signal.SIGTERM)
    return place.ctx.clock.until(lambda: not procs.marked(token), limit_s)


def end(place: Place, token: str) -> None:
    """End an event's processes, however many there are, and remove their control group.

    The kernel may still hold a process in it that has just ended.
    """
    procs.kill_all(lambda: procs.marked(token), limit_s=KILL_LIMIT_S)
    groups = list(cgroup.candidates(place.ctx.root, unit.leaf(token)))
    place.ctx.clock.until(lambda: all(cgroup.remove(group) for group in groups), GROUP_LIMIT_S)


def left(place: Place, token: str) -> list[str]:
    """Return what is still there of an event's processes."""
    found = [f"process {proc.pid}: {procs.cmdline(proc.pid)[:80]}" for proc in procs.marked(token)]
    groups = cgroup.candidates(place.ctx.root, unit.leaf(token))
    return found + [f"control group {group.path}" for group in groups if group.path.exists()]


def running(token: str) -> list[procs.Proc]:
    """Return an event's living processes."""
    return procs.marked(token)
