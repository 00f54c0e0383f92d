# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program's front: a request in on standard input, answer lines out, every error as an answer.

With the argument `serve` it takes many requests, one a line (see serve.py); without it takes one, which is all the input.
With the argument `send` it takes one line and answers with a raw stream of files (see send.py).
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from .context import Context, ensure_root, error_kind, parse_run
from .errors import CellError
from .intake import lines
from .mailbox import Mailbox, closed

PREFIX = "@cell "
SERVE, SEND = "serve", "send"
SAMPLE = "sample"  # the argument with which the program samples the machine, as a unit of its own
SOAK = "soak-samples"  # the same for what is sampled in a soak; one argument more says what that is
# The arguments with which the program makes faults happen, and guards them, as units of their own; each with a request's path.
CHAOS, GUARD = "chaos", "chaos-guard"
UNITS = {CHAOS: ".chaos.runner", GUARD: ".chaos.guard"}
DEFAULT_ROOT = "/var/tmp/testcell-"  # plus the user's id
Operation = Callable[[Context, "dict[str, Any]"], "dict[str, Any]"]

# Operation -> the module whose OPS holds it. A module is read from the zip only when its operation is asked for.
MODULES: dict[str, str] = {
    "facts": "facts",
    "health": "health",
    "lease": "lease",
    "quarantine": "quarantine",
    "snapshot": "snapshot",
    "upload": "upload",
    "compose": "compose",
    "deploy": "deploy",
    "follow": "follow",
    "start": "containers",
    "ready": "readiness",
    "canary": "inference",
    "workers": "inference",
    "where": "upload",
    "watch": "follow",
    "supervise": "supervise",
    "samples": "sampler",
    "soak": "soak.op",
    "evidence": "evidence",
    "send": "send_lines",
    "stop": "containers",
    "clean": "clean",
    "reap": "reap",
    "verify": "verify",
    "chaos": "chaos.op",
}
UNFENCED = frozenset({"facts", "health", "lease"})


class Answers:
    """The answer lines of one request, written whole and in order by any thread."""

    def __init__(self, out: BinaryIO) -> None:
        self.out = out
        self._lock = threading.Lock()

    def line(self, **content: Any) -> None:
        """Write one answer line and push it out."""
        data = (PREFIX + json.dumps(content, separators=(",", ":")) + "\n").encode("ascii")
        with self._lock:
            self.out.write(data)
            self.out.flush()

    def event(self, event: dict[str, Any]) -> None:
        """Write one event line."""
        self.line(event=event)


def main(argv: list[str] | None = None, stdin: BinaryIO | None = None, stdout: BinaryIO | None = None) -> int:
    """Return 0 when all answers were written, 1 when nobody reads them any more."""
    os.umask(0o022)  # the root itself is 0700; containers of other users read what is bound into them
    answers = Answers(stdout or sys.stdout.buffer)
    source = stdin or sys.stdin.buffer
    try:
        words = sys.argv[1:] if argv is None else argv
        if words == [SEND]:
            _send(source, stdout or sys.stdout.buffer)
        elif words == [SAMPLE]:
            importlib.import_module(".sampler", __package__).write(answers.out)
        elif words[:1] == [SOAK] and len(words) == 2:
            importlib.import_module(".soak.sampling", __package__).run(words[1])
        elif len(words) == 2 and words[0] in UNITS:
            importlib.import_module(UNITS[words[0]], __package__).main(Path(words[1]))
        elif words == [SERVE]:
            importlib.import_module(".serve", __package__).serve(source, answers.line, answer_to, keep)
        else:
            _answer_one(b"\n".join(lines(source, lambda: answers.line(heard=True))), answers)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    return 0


def _send(source: BinaryIO, out: BinaryIO) -> None:
    """Write the stream that the first line of the input asks for."""
    send = importlib.import_module(".send", __package__)

    def opened() -> tuple[Context, dict[str, Any]]:
        request = checked(decoded(source.readline()))
        return fenced(request, lambda event: None, closed()), request.get("args") or {}

    send.answer(opened, out.fileno())


def _answer_one(raw: bytes, answers: Answers) -> None:
    try:
        answers.line(result=answer_to(decoded(raw), answers.event, closed()))
    except CellError as exc:
        answers.line(error=exc.as_dict())


def answer_to(request: object, emit: Callable[[dict[str, Any]], None], mailbox: Mailbox) -> dict[str, Any]:
    """Return the result of one request; every failure is raised as a CellError."""
    known = checked(request)
    try:
        return _within_lease(find(known["op"]), fenced(known, emit, mailbox), known)
    except BrokenPipeError:
        raise
    except CellError as exc:
        raise _without_secrets(exc, known) from exc
    except Exception as exc:
        kind = error_kind(exc)
        trace = traceback.format_exc().splitlines()[-12:]
        raise CellError(kind, f"{known['op']} failed: {type(exc).__name__}: {exc}", traceback=trace) from exc


def keep(request: dict[str, Any]) -> None:
    """Renew the lease of a request's run where that is due; whatever hinders it, the run's next request tells."""
    lease = importlib.import_module(".lease", __package__)
    with suppress(CellError, OSError):
        lease.keep(context_of(checked(request), lambda event: None, closed()), carried=False)


def _within_lease(operation: Operation, context: Context, request: dict[str, Any]) -> dict[str, Any]:
    """Return the result of an operation; raise lock_held where its run lost the node meanwhile.

    Whoever took the node has removed the services of the run before: what was seen then is no fault of theirs.
    """
    if request["op"] in UNFENCED or context.run is None:
        return operation(context, request.get("args") or {})
    fence = importlib.import_module(".fence", __package__).Fence(context)
    try:
        return operation(context, request.get("args") or {})
    finally:
        fence.prove_answer()


def fenced(request: dict[str, Any], emit: Callable[[dict[str, Any]], None], mailbox: Mailbox) -> Context:
    """Return the surroundings of a request whose run holds the node, where its operation needs that."""
    context = context_of(request, emit, mailbox)
    if request["op"] not in UNFENCED and context.run is not None:
        importlib.import_module(".lease", __package__).check_fence(context)
    return context


def decoded(raw: bytes) -> object:
    """Return the request that is all of the input; raise protocol_error when it is not JSON."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as exc:
        raise CellError("protocol_error", f"the request is not JSON: {exc}") from exc


def checked(request: object) -> dict[str, Any]:
    """Return the request as a mapping with a known shape; raise protocol_error naming what is wrong."""
    if not isinstance(request, dict):
        raise CellError("protocol_error", f"the request is a {type(request).__name__}; expected an object")
    for key, kinds in (("op", str), ("root", str), ("run", (dict, type(None))), ("args", (dict, type(None)))):
        if not isinstance(request.get(key), kinds):
            raise CellError("protocol_error", f"request.{key} is {request.get(key)!r}; expected another type")
    return request


def context_of(request: dict[str, Any], emit: Callable[[dict[str, Any]], None], mailbox: Mailbox) -> Context:
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
        secrets=_secrets(request),
        emit=emit,
        mailbox=mailbox,
    )


def _secrets(request: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(value) for value in request.get("secrets") or ())


def _without_secrets(exc: CellError, request: dict[str, Any]) -> CellError:
    """Return an error as it may be told: what a program of the node or its engine said may quote what it was given."""
    scrubber = importlib.import_module(".scrub", __package__).Scrubber(_secrets(request))
    return CellError(exc.kind, scrubber.text(exc.message), **scrubber.value(exc.detail))


def find(op: str) -> Operation:
    """Return the function that does an operation; raise protocol_error listing the known ones."""
    if op not in MODULES:
        raise CellError("protocol_error", f"unknown operation {op!r}; known: {', '.join(sorted(MODULES))}")
    module = importlib.import_module(f".{MODULES[op]}", __package__)
    operation: Operation = module.OPS[op]
    return operation
