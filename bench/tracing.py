# SPDX-License-Identifier: MIT
"""Work in a child of this process under strace: which calls it makes on files of a folder, and what a fault in one does.

The child has everything imported already and waits until strace is there, so that one call more costs milliseconds.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import select
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A question mark: not every machine has the call.
WRITING = ("write", "?pwrite64", "?writev", "fsync", "?fdatasync")
NAMING = (
    "?rename",
    "?renameat",
    "?renameat2",
    "?unlink",
    "unlinkat",
    "?rmdir",
    "?link",
    "linkat",
    "?symlink",
    "symlinkat",
)
OPENING = ("?mkdir", "mkdirat", "?open", "openat", "?creat")
CALLS = (*WRITING, *NAMING, *OPENING)
LINE = re.compile(r"(?P<name>\w+)\((?P<rest>.*)", re.DOTALL)
FOR_WRITING = ("O_WRONLY", "O_RDWR", "O_CREAT")
LIMIT_S = 30.0
PR_SET_PTRACER, ANYBODY = 0x59616D61, -1


class TraceError(Exception):
    """strace could not follow the work; the text is what it said."""


@dataclass(frozen=True)
class Call:
    """One call: the how-manieth of its name, and what strace shows of its arguments."""

    name: str
    ordinal: int
    shown: str

    def writes_below(self, folder: Path) -> bool:
        """Return whether it changes something in a folder; one that fails without us, such as for a name that is taken, does not."""
        if " = -1 " in self.shown:
            return False
        if self.name in ("open", "openat") and not any(flag in self.shown for flag in FOR_WRITING):
            return False
        return str(folder) in self.shown


@dataclass(frozen=True)
class Traced:
    """What came of the work. answer: what it returned, None when it was killed or broke; signal: what killed it."""

    answer: Any
    signal: int
    calls: tuple[Call, ...]
    injected: bool
    broken: str = ""


def traced(work: Callable[[], Any], inject: str = "") -> Traced:
    """Do work in a child under strace and return what came of it. inject: strace's words for a fault, "" for none."""
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryDirectory(prefix="testcell-strace-") as folder:
        child = os.fork()
        if child == 0:
            _work(work, ours, theirs)
        theirs.close()
        try:
            tracer = _attached(child, Path(folder) / "log", inject)
            ours.sendall(b"go")
            said = _said(ours)
            status = os.waitpid(child, 0)[1]
            tracer.communicate(timeout=LIMIT_S)
        except BaseException:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            raise
        lines = (Path(folder) / "log").read_text(errors="replace").splitlines()
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    found = json.loads(said) if said else {}
    injected = killed == signal.SIGKILL or any("(INJECTED)" in line for line in lines)
    return Traced(found.get("answer"), killed, _calls(lines), injected, found.get("broken", ""))


def _work(work: Callable[[], Any], ours: socket.socket, theirs: socket.socket) -> None:
    """Do the child's part and never return: wait for the word, work, and answer by a call that is not followed."""
    status = 1
    try:
        ours.close()
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(ANYBODY), 0, 0, 0)
        theirs.recv(2)
        try:
            found: dict[str, Any] = {"answer": work()}
        except Exception as exc:
            found = {"broken": f"{type(exc).__name__}: {exc}"}
        theirs.sendall(json.dumps(found).encode())
        status = 0
    finally:
        os._exit(status)


def _attached(child: int, log: Path, inject: str) -> subprocess.Popen[str]:
    """Return strace when it follows the child; TraceError when it cannot."""
    words = ["strace", "-p", str(child), "-o", str(log), "-y", "-s", "400", "-e", f"trace={','.join(CALLS)}"]
    words += ["-e", f"inject={inject}"] if inject else []
    tracer = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    first = tracer.stderr.readline()
    if "attached" not in first:
        rest = tracer.communicate(timeout=LIMIT_S)[1]
        raise TraceError(f"{first}{rest}".strip() or "strace ended at once")
    return tracer


def _said(ours: socket.socket) -> bytes:
    """Return what the child says until it ends, within the limit."""
    said = b""
    while select.select([ours], [], [], LIMIT_S)[0]:
        piece = ours.recv(1 << 16)
        if not piece:
            return said
        said += piece
    raise TraceError(f"the work did not end within {LIMIT_S:g} s")


def _calls(lines: list[str]) -> tuple[Call, ...]:
    counted: dict[str, int] = {}
    found = []
    for line in lines:
        match = LINE.match(line)
        if match:
            name = match["name"]
            counted[name] = counted.get(name, 0) + 1
            found.append(Call(name, counted[name], match["rest"]))
    return tuple(found)
