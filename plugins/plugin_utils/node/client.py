# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls to the program on a node: at most two round trips, the second only where the program is not there yet."""

from __future__ import annotations

import base64
import json
import shlex
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from .package import Program

MARK = "@cell "
ABSENT = "@cell-absent"

# Makes the root private, then puts the program there by temporary file and rename. Runs once a node and version.
INSTALL = """
import os, sys, tempfile
root, name = sys.argv[1:3]
if not os.path.isdir(root):
    os.makedirs(root, 0o700)
status = os.lstat(root)
if status.st_uid != os.getuid() or not os.path.isdir(root) or os.path.islink(root):
    sys.exit("the folder %s belongs to uid %d; set testcell_node_root to a folder of this user" % (root, status.st_uid))
handle, temporary = tempfile.mkstemp(dir=root)
with os.fdopen(handle, "wb") as stream:
    stream.write(sys.stdin.buffer.read())
os.replace(temporary, os.path.join(root, name))
"""


class NodeError(Exception):
    """A call that the node answered with an error, or did not answer. kind: an error_kind of the taxonomy."""

    def __init__(self, kind: str, message: str, detail: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.detail = detail or {}


@dataclass(frozen=True)
class Output:
    """What a command on the node left: exit status and both streams as text."""

    rc: int
    stdout: str
    stderr: str


class Execute(Protocol):
    """Run a command line on the node with bytes on its standard input."""

    def __call__(self, command: str, stdin: bytes) -> Output:
        """Return what the command left; connection errors are raised as NodeError."""


@dataclass
class NodeClient:
    """The program on one node, called through execute.

    root: "" means /var/tmp/testcell-<uid> of the user there. run: the fields that fence each call.
    engine: false where the node runs no service, so that it may lack an engine.
    """

    execute: Execute
    program: Program
    python: str
    root: str = ""
    owner: str = ""
    run: dict[str, Any] | None = None
    check: bool = False
    engine: bool = True
    on_event: Callable[[dict[str, Any]], None] | None = None

    def call(self, op: str, **args: Any) -> dict[str, Any]:
        """Return the result of one op; raise NodeError with the node's own kind and message."""
        request = {
            "op": op,
            "engine": self.engine,
            "root": self.root,
            "run": self.run,
            "owner": self.owner,
            "check": self.check,
            "args": args,
        }
        output = self._exchange(json.dumps(request).encode())
        if ABSENT in output.stdout:
            self._install()
            output = self._exchange(json.dumps(request).encode())
        return self._answer(op, output)

    def put(self, program: Program) -> None:
        """Lay another program beside the first, under its own digest."""
        self._install(program)

    def path_of(self, program: Program) -> str:
        """Return the shell word that names program's file on the node."""
        return f"{self._root_word()}/{program.file_name}"

    def _root_word(self) -> str:
        return shlex.quote(self.root) if self.root else '"/var/tmp/testcell-$(id -u)"'

    def _exchange(self, request: bytes) -> Output:
        path, python = self.path_of(self.program), shlex.quote(self.python)
        command = f"if test -f {path}; then exec {python} -I -S -E {path}; else cat >/dev/null; echo {ABSENT}; fi"
        return self.execute(command, request)

    def _install(self, program: Program | None = None) -> None:
        program = program or self.program
        python = shlex.quote(self.python)
        command = f"{python} -I -S -E -c {shlex.quote(INSTALL)} {self._root_word()} {program.file_name}"
        output = self.execute(command, program.content)
        if output.rc != 0:
            raise NodeError(_install_kind(output), _last_line(output.stderr) or f"exit status {output.rc}")

    def _answer(self, op: str, output: Output) -> dict[str, Any]:
        for line in output.stdout.splitlines():
            if not line.startswith(MARK):
                continue
            message = json.loads(line[len(MARK) :])
            if "event" in message and self.on_event:
                self.on_event(message["event"])
            if "error" in message:
                error = message["error"]
                raise NodeError(error["kind"], error["message"], error.get("detail"))
            if "result" in message:
                result: dict[str, Any] = message["result"]
                return result
        raise NodeError(
            _install_kind(output),
            f"the node program gave no answer to {op!r} (exit status {output.rc}): {_last_line(output.stderr) or 'no message'}",
            {"stderr": output.stderr[-4000:]},
        )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _install_kind(output: Output) -> str:
    text = output.stderr + output.stdout
    if output.rc in (126, 127) or ("No such file or directory" in text and "python" in text):
        return "interpreter_missing"
    for words, kind in (
        ("No space left on device", "disk_full"),
        ("Read-only file system", "fs_readonly"),
        ("Permission denied", "privilege"),
        ("belongs to uid", "privilege"),
    ):
        if words in text:
            return kind
    return "internal_error"


def decode_chunk(data: str) -> bytes:
    """Return the bytes of a chunk: base64 of zlib."""
    return zlib.decompress(base64.b64decode(data))
