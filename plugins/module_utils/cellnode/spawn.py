# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaving the caller: work that goes on in a daemon after the program, its SSH session and its controller are gone."""

from __future__ import annotations

import ctypes
import json
import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from .context import error_kind
from .unit import START_LIMIT_S

PR_SET_CHILD_SUBREAPER = 36


def launch(work: Callable[[int], None], keep: set[int]) -> dict[str, Any]:
    """Run work(report_fd) in a daemon and return the JSON object that it writes to report_fd before it closes it.

    keep: open descriptors that the daemon needs; all others are closed in it.
    """
    read_fd, write_fd = os.pipe()
    middle = os.fork()
    if middle == 0:
        _become_daemon(work, keep | {write_fd}, write_fd)
    os.close(write_fd)
    with suppress(ChildProcessError):
        os.waitpid(middle, 0)
    try:
        return _await_report(read_fd)
    finally:
        os.close(read_fd)


def _become_daemon(work: Callable[[int], None], keep: set[int], report_fd: int) -> NoReturn:
    """Leave the session, the parent and every open file of the caller, then work; never return."""
    try:
        os.setsid()
        if os.fork() == 0:
            _detach(keep)
            work(report_fd)
    except (OSError, MemoryError) as exc:
        error = {"kind": error_kind(exc), "message": f"no process for the supervisor can be started: {exc}"}
        os.write(report_fd, json.dumps({"error": error}).encode())
    finally:
        os._exit(0)


def _detach(keep: set[int]) -> None:
    """Close all descriptors but those to keep, and connect the standard ones to nothing."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            with suppress(OSError):
                os.close(int(name))
    os.chdir("/")
    os.umask(0o022)


def _await_report(read_fd: int) -> dict[str, Any]:
    """Return what the daemon reports, or an error when it ended without a word."""
    raw, deadline = b"", time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if not select.select([read_fd], [], [], 0.5)[0]:
            continue
        part = os.read(read_fd, 65536)
        if not part:
            break
        raw += part
    if raw:
        return dict(json.loads(raw))
    return {"error": {"kind": "internal_error", "message": "the supervisor ended before it had started the command"}}


def adopt_orphans() -> None:
    """Ask the kernel to make orphaned descendants our children, so that a double fork does not hide them."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> list[int]:
    """Return the numbers of our children, those that wait to be reaped among them; [] where the kernel does not tell."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as stream:
            return [int(word) for word in stream.read().split()]
    except OSError:
        return []
