# SPDX-License-Identifier: MIT
"""The node program as one long-lived process that answers many requests, seen from its caller and from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARK = "@cell "


@dataclass(frozen=True)
class Footprint:
    """What a process has open and how it stands to the system."""

    threads: int
    descriptors: tuple[str, ...]
    children: tuple[str, ...]
    folder: str
    umask: str
    caught_signals: str
    ignored_signals: str


class Served:
    """A `serve` process. Requests are made of `common` and the fields of each call."""

    def __init__(self, program: Path, common: Mapping[str, Any], env: Mapping[str, str] | None = None) -> None:
        argv = [sys.executable, "-I", "-S", "-E", str(program), "serve"]
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(argv, **streams, env={**os.environ, **(env or {})})
        self._common = dict(common)
        self._count = 0

    def send(self, op: str, **args: Any) -> str:
        """Send a request and return its id."""
        self._count += 1
        name = str(self._count)
        self._write({**self._common, "op": op, "args": args, "id": name})
        return name

    def tell(self, name: str, **message: Any) -> None:
        """Send a message to the operation that works on a request."""
        self._write({"to": name, "message": message})

    def hear(self) -> dict[str, Any]:
        """Return the next line, whatever it answers."""
        assert self.process.stdout
        line = self.process.stdout.readline().decode()
        assert line.startswith(MARK), (line, self.process.poll())
        return json.loads(line.removeprefix(MARK))

    def answer(self, name: str) -> dict[str, Any]:
        """Return the last answer of a request: {result} or {error}."""
        while True:
            message = self.hear()
            assert message["id"] == name, message
            if "event" not in message:
                return message

    def call(self, op: str, **args: Any) -> dict[str, Any]:
        """Return the result of a request."""
        answer = self.answer(self.send(op, **args))
        assert "result" in answer, answer
        return answer["result"]

    def footprint(self) -> Footprint:
        """Return what the process has now; sockets and pipes count by kind."""
        base = Path(f"/proc/{self.process.pid}")
        lines = dict(line.split(":", 1) for line in (base / "status").read_text().splitlines())
        children = [word for task in (base / "task").iterdir() for word in (task / "children").read_text().split()]
        return Footprint(
            threads=int(lines["Threads"]),
            descriptors=tuple(sorted(_what(path) for path in (base / "fd").iterdir())),
            children=tuple(children),
            folder=os.readlink(base / "cwd"),
            umask=lines["Umask"].strip(),
            caught_signals=lines["SigCgt"].strip(),
            ignored_signals=lines["SigIgn"].strip(),
        )

    def close(self) -> None:
        """End the process by the end of its input."""
        if self.process.poll() is None:
            self.process.communicate(timeout=30)

    def _write(self, message: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()


def _what(path: Path) -> str:
    """Return what a descriptor is; a socket or pipe without its number."""
    try:
        return os.readlink(path).partition(":[")[0]
    except FileNotFoundError:
        return "gone"
