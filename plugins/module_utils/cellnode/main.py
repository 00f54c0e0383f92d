# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program's front: one request in on standard input, answer lines out, every error as an answer."""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, BinaryIO, Callable

from .context import Context, ensure_root, os_error_kind, parse_run
from .errors import CellError

PREFIX = "@cell "
DEFAULT_ROOT = "/var/tmp/testcell-"  # plus the user's id
Operation = Callable[[Context, "dict[str, Any]"], "dict[str, Any]"]

# Operation -> the module whose OPS holds it. A module is read from the zip only when its operation is asked for.
MODULES: dict[str, str] = {
    "facts": "facts",
    "lease": "lease",
    "snapshot": "snapshot",
    "upload": "upload",
    "compose": "compose",
    "start": "containers",
    "ready": "readiness",
    "canary": "inference",
    "workers": "inference",
    "where": "inference",
    "watch": "watch",
    "supervise": "supervise",
    "evidence": "evidence",
    "manifest": "files",
    "read": "files",
    "stop": "containers",
    "clean": "clean",
    "reap": "clean",
    "verify": "verify",
}
UNFENCED = frozenset({"facts", "lease"})


class Answers:
    """The answer lines of one request, written whole and in order by any thread."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()

    def line(self, **content: Any) -> None:
        """Write one answer line and push it out."""
        data = (PREFIX + json.dumps(content, separators=(",", ":")) + "\n").encode("ascii")
        with self._lock:
            self._out.write(data)
            self._out.flush()

    def event(self, event: dict[str, Any]) -> None:
        """Write one event line."""
        self.line(event=event)


def main(stdin: BinaryIO | None = None, stdout: BinaryIO | None = None) -> int:
    """Return 0 when a result or an error line was written, 1 when nobody reads the answers any more."""
    os.umask(0o022)  # the root itself is 0700; containers of other users read what is bound into them
    answers = Answers(stdout or sys.stdout.buffer)
    try:
        try:
            answers.line(result=answer_to((stdin or sys.stdin.buffer).read(), answers.event))
        except CellError as exc:
            answers.line(error=exc.as_dict())
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    return 0


def answer_to(raw: bytes, emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Return the result of one request; every failure is raised as a CellError."""
    request = parse(raw)
    try:
        context = context_of(request, emit)
        operation = find(request["op"])
        if request["op"] not in UNFENCED:
            importlib.import_module(".lease", __package__).check_fence(context)
        return operation(context, request.get("args") or {})
    except (CellError, BrokenPipeError):
        raise
    except Exception as exc:
        kind = os_error_kind(exc) if isinstance(exc, OSError) else "internal_error"
        trace = traceback.format_exc().splitlines()[-12:]
        raise CellError(kind, f"{request['op']} failed: {type(exc).__name__}: {exc}", traceback=trace) from exc


def parse(raw: bytes) -> dict[str, Any]:
    """Return the request as a mapping with a known shape; raise protocol_error naming what is wrong."""
    try:
        request = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        raise CellError("protocol_error", f"the request is not JSON: {exc}") from exc
    if not isinstance(request, dict):
        raise CellError("protocol_error", f"the request is a {type(request).__name__}; expected an object")
    for key, kinds in (("op", str), ("root", str), ("run", (dict, type(None))), ("args", (dict, type(None)))):
        if not isinstance(request.get(key), kinds):
            raise CellError("protocol_error", f"request.{key} is {request.get(key)!r}; expected another type")
    return request


def context_of(request: dict[str, Any], emit: Callable[[dict[str, Any]], None]) -> Context:
    """Return the surroundings of a request; the node root is made unless this is a check."""
    root = Path(request["root"] or f"{DEFAULT_ROOT}{os.geteuid()}")
    check = bool(request.get("check"))
    if not check:
        ensure_root(root)
    return Context(
        root,
        parse_run(request.get("run")),
        str(request.get("owner") or ""),
        check,
        engine_needed=bool(request.get("engine", True)),
        emit=emit,
    )


def find(op: str) -> Operation:
    """Return the function that does an operation; raise protocol_error listing the known ones."""
    if op not in MODULES:
        raise CellError("protocol_error", f"unknown operation {op!r}; known: {', '.join(sorted(MODULES))}")
    module = importlib.import_module(f".{MODULES[op]}", __package__)
    operation: Operation = module.OPS[op]
    return operation
