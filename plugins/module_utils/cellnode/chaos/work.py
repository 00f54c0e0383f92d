# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker of a fault in its own process: it takes its place, says that it works, and ends by itself at expiry."""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

from .. import cgroup, unit
from ..context import error_kind
from . import netns

JOBS = {"proxy": "proxy", "cpu": "burn", "memory": "burn"}
Json = dict[str, Any]


class Shift:
    """How long a worker works: until its event expires, or the process that it watches is gone."""

    def __init__(self, spec: Json) -> None:
        self.expires = float(spec["expires"])
        self.watched = _handle(int(spec.get("watched") or 0))

    def seconds_left(self) -> float:
        """Return the seconds until the event expires, 0 when it has, or when the watched process is gone."""
        if self.watched is not None and select.select([self.watched], [], [], 0)[0]:
            return 0.0
        return max(0.0, self.expires - time.clock_gettime(time.CLOCK_BOOTTIME))

    def wait(self) -> None:
        """Wait until it is over."""
        while self.seconds_left() > 0:
            fds = [] if self.watched is None else [self.watched]
            select.select(fds, [], [], min(self.seconds_left(), 60.0))


def _handle(pid: int) -> int | None:
    """Return a descriptor that becomes readable when a process ends; None where there is none to watch."""
    if not pid:
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        read_fd, write_fd = os.pipe()  # a closed pipe is readable, as the handle of an ended process is
        os.close(write_fd)
        return read_fd
    except OSError:  # a kernel before 5.3: the deadline ends it
        return None


def main(text: str) -> None:
    """Do the work that a JSON text describes: {job, token, root, expires, report_fd, [net_fd, groups, watched], ...}."""
    spec: Json = json.loads(text)
    report = Report(int(spec["report_fd"]))
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _own_group(spec)
        for folder in spec.get("groups") or ():
            cgroup.join(Path(folder), os.getpid())
        if "net_fd" in spec:
            netns.enter(int(spec["net_fd"]))
        job: Callable[[Json, Shift, Report], None] = importlib.import_module(f".{JOBS[spec['job']]}", __package__).JOBS[
            spec["job"]
        ]
        job(spec, Shift(spec), report)
    except Exception as exc:
        report.say({"error": {"kind": error_kind(exc), "message": f"{type(exc).__name__}: {exc}"}})


class Report:
    """The one line that whoever started a worker waits for."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def say(self, answer: Json) -> None:
        """Say it, if nothing was said yet."""
        if self.fd >= 0:
            with suppress(OSError):  # whoever started this is gone
                os.write(self.fd, json.dumps(answer).encode())
        self.close()

    def close(self) -> None:
        """Say nothing any more."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _own_group(spec: Json) -> None:
    """Enter a control group of this event's own, where the node lets us make one."""
    for group in cgroup.candidates(Path(spec["root"]), unit.leaf(spec["token"])):
        if cgroup.make(group) and cgroup.join(group.work, os.getpid()):
            return
