# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces of containers: found again by their number, entered while they are held open.

The kernel gives the number of a namespace that has ended to the next one. To undo that does not matter, since nothing of
ours is in the wrong one; what begins or measures a fault also asks for the process that the namespace was seen at.
"""

from __future__ import annotations

import ctypes
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, TypeVar

from .. import mounts, procs
from ..command import NOT_FOUND, Done, run
from ..errors import CellError
from .fault import Aim, Gone, Place

CLONE_NEWNET = 0x40000000
TOOL_LIMIT_S = 15.0
OWN = {"pid": 0, "start": 0, "inode": 0}
T = TypeVar("T")
Json = dict[str, Any]


@dataclass(frozen=True)
class Door:
    """A way into a namespace. fd: open while the door is; None for the node's own."""

    fd: int | None
    environ: Mapping[str, str]

    def run(self, *argv: str) -> Done:
        """Run a program of the node inside and return how it ended."""
        enter = [] if self.fd is None else ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.fd}", "--"]
        return run([*enter, *argv], self.environ, TOOL_LIMIT_S)

    def asked(self, *argv: str) -> str:
        """Return what a program prints; raise when it fails, naming it and what it said."""
        done = self.run(*argv)
        if done.ok:
            return done.out
        said = "it took too long" if done.timed_out else done.err.strip() or f"exit code {done.code}"
        kind = "chaos_unsupported" if done.code == NOT_FOUND else "internal_error"
        raise CellError(kind, f"{' '.join(argv)!r} failed: {said[:400]}", argv=list(argv))

    def inside(self, work: Callable[[], T]) -> T:
        """Return what work returns in a thread that has entered; sockets that it makes belong to the namespace for ever."""
        if self.fd is None:
            return work()
        answers: list[T] = []
        errors: list[Exception] = []

        def entered() -> None:
            try:
                enter(self.fd)
                answers.append(work())
            except Exception as exc:
                errors.append(exc)

        thread = threading.Thread(target=entered, daemon=True)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return answers[0]


def enter(fd: int | None) -> None:
    """Move this thread into the network namespace of an open descriptor."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot enter the network namespace: {os.strerror(number)}")


def record(aim: Aim) -> Json:
    """Return {pid, start, inode} of the target's namespace, zeros for the node itself; raise Gone when it does not run.

    A container that shares the node's namespace is refused: a fault there would be one of the whole node.
    """
    if not aim.service:
        return OWN
    proc = procs.identify(aim.pid) if aim.pid else None
    try:
        inode = os.stat(f"/proc/{aim.pid}/ns/net").st_ino if proc else 0
    except FileNotFoundError:
        inode = 0
    if proc is None or not inode:
        raise Gone(f"service {aim.service}: its container {aim.container[:12]} does not run")
    if inode == os.stat("/proc/self/ns/net").st_ino:
        message = (
            f"service {aim.service} uses the node's own network (network_mode: host);"
            " aim at the node itself (target: node, whole: true)"
        )
        raise CellError("chaos_unsupported", message)
    return {"pid": proc.pid, "start": proc.start, "inode": inode}


@contextmanager
def opened(place: Place, known: Json) -> Iterator[Door | None]:
    """Give the door of a recorded namespace, None when it does not exist any more."""
    if not known["inode"]:
        yield Door(None, place.ctx.environ)
        return
    fd = _open(known)
    try:
        yield None if fd is None else Door(fd, place.ctx.environ)
    finally:
        if fd is not None:
            os.close(fd)


@contextmanager
def needed(place: Place, known: Json) -> Iterator[Door]:
    """Give the door of a recorded namespace; raise Gone when the container's first process, or it, does not exist any more."""
    with opened(place, known) as door:
        if door is None or (door.fd is not None and not procs.alive(procs.Proc(known["pid"], known["start"]))):
            raise Gone("the container's network namespace is gone")
        yield door


def _open(known: Json) -> int | None:
    for path in _paths(int(known["pid"])):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # that process is gone, or not ours to look into
            continue
        if os.fstat(fd).st_ino == known["inode"]:
            return fd
        os.close(fd)
    return None


def _paths(pid: int) -> Iterator[str]:
    """Yield where the namespace may be: at its first process, where the engine mounts it, at any other process."""
    yield f"/proc/{pid}/ns/net"
    yield from (mount.point for mount in mounts.current() if mount.kind == "nsfs")
    yield from (f"/proc/{other}/ns/net" for other in procs.pids())


def links(door: Door) -> list[Json]:
    """Return the interfaces inside as `ip -j address` shows them, without the loopback."""
    found: list[Json] = json.loads(door.asked("ip", "-j", "address", "show") or "[]")
    return [link for link in found if link.get("ifname") and link["ifname"] != "lo"]


def addresses(found: Sequence[Json], family: str) -> list[str]:
    """Return the addresses of interfaces that reach beyond their link. family: inet or inet6."""
    infos = (info for link in found for info in link.get("addr_info") or ())
    return [str(info["local"]) for info in infos if info.get("family") == family and info.get("scope") == "global"]


def tried(environ: Mapping[str, str], *argv: str) -> str:
    """Return why a program fails in a network namespace of its own, which ends with it; "" when it works."""
    done = run(["unshare", "--net", "--", *argv], environ, TOOL_LIMIT_S)
    if done.ok:
        return ""
    said = "it took too long" if done.timed_out else done.err.strip() or f"exit code {done.code}"
    return f"{' '.join(argv)!r} does not work here: {' '.join(said.split())[:300]}"
