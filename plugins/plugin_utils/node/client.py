# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls to the program on a node: over the link that a run keeps open, or as one command a call where there is none."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from .errors import NodeError
from .link import LAST, Link, LinkError
from .own_stream import Sink, StreamEnd, hand_over, read_stream
from .package import Program
from .reach import connection_kind

MARK = "@cell "
ABSENT = "@cell-absent"
SSH_FAILED = 255
# A transfer that went on no longer.
BROKEN_OFF = "transfer_failed"
# Of what stands before a stream, so much is kept.
NOISE_BYTES = 1 << 16
# What a shell, the loader or Python says that could not start the program for want of memory, descriptors or processes.
OUT_OF_RESOURCES = (
    *("Too many open files", "Resource temporarily unavailable", "an't start new thread", "Cannot fork"),
    *("MemoryError", "Cannot allocate memory", "failed to map segment", "error return without exception set"),
)

# Makes the root private, then puts the program there by temporary file and rename. Runs once a node and version. Python
# compiles what it imports from a zip each time anew, so the node's own Python adds what it compiles to. Over a slow way the
# program takes longer than ssh waits for a sign of life, so each part is answered.
INSTALL = """
import importlib.util, io, marshal, os, sys, tempfile, zipfile
root, name = sys.argv[1:3]
if not os.path.isdir(root):
    os.makedirs(root, 0o700)
status = os.lstat(root)
if status.st_uid != os.getuid() or not os.path.isdir(root) or os.path.islink(root):
    sys.exit("the folder %s belongs to uid %d; set testcell_node_root to a folder of this user" % (root, status.st_uid))
program = io.BytesIO()
while True:
    part = sys.stdin.buffer.read1(1 << 16)
    if not part:
        break
    program.write(part)
    print("more", flush=True)
with zipfile.ZipFile(program, "a", zipfile.ZIP_DEFLATED) as archive:
    for entry in archive.namelist():
        source = archive.read(entry)
        code = compile(source, os.path.join(root, name, entry), "exec", dont_inherit=True)
        unchecked = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(source)
        archive.writestr(entry + "c", unchecked + marshal.dumps(code))
handle, temporary = tempfile.mkstemp(dir=root, prefix=name + ".")
try:
    with os.fdopen(handle, "wb") as stream:
        stream.write(program.getvalue())
    os.replace(temporary, os.path.join(root, name))
except BaseException:
    os.unlink(temporary)
    raise
"""


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


class Line(Protocol):
    """The way to a node that is kept open."""

    def link(self) -> Link:
        """Return the open link, or a new one."""

    def lose(self) -> None:
        """Let go of a link that broke."""

    def leave(self) -> None:
        """Let go of the link for good."""


T = TypeVar("T")
Hear = Callable[[dict[str, Any]], None]


def unheard(_event: dict[str, Any]) -> None:
    """Take an event that nobody waits for."""


def unmoved() -> None:
    """Leave a connection as it is."""


@dataclass(frozen=True)
class Asked:
    """An op that is asked for beside others. hear: is given its events as they come.

    silence_s: how long a link may bring nothing of it, None for ever.
    """

    op: str
    args: dict[str, Any]
    hear: Hear = unheard
    silence_s: float | None = None


class Persist(Protocol):
    """Do work, again where a lost connection is to blame."""

    def __call__(self, work: Callable[[], T]) -> T:
        """Return what work returns."""


def once(work: Callable[[], T]) -> T:
    """Return what work returns, tried once."""
    return work()


@dataclass
class NodeClient:
    """The program on one node, called through execute.

    root: "" means /var/tmp/testcell-<uid> of the user there. run: the fields that fence each call.
    engine: false where the node runs no service, so that it may lack an engine. line: where the run keeps a link.
    secrets: values that the node takes out of the text of logs and messages before it sends them.
    persist: what to do where a connection is lost; reconnect: drops it, for those who try again by themselves.
    streamed: returns what the controller starts to read what a command on the node writes, None where only whole commands
    can be run there. same_machine: the node is this machine, under this user.
    """

    execute: Execute
    program: Program
    python: str
    root: str = ""
    owner: str = ""
    run: dict[str, Any] | None = None
    check: bool = False
    engine: bool = True
    secrets: tuple[str, ...] = ()
    on_event: Hear = unheard
    line: Line | None = None
    persist: Persist = once
    reconnect: Callable[[], None] = unmoved
    streamed: Callable[[str], list[str]] | None = None
    same_machine: bool = False

    def hearing(self, on_event: Hear) -> NodeClient:
        """Return the same client, whose calls hand the events of their ops to on_event."""
        return replace(self, on_event=on_event)

    def call(self, op: str, **args: Any) -> dict[str, Any]:
        """Return the result of one op; raise NodeError with the node's own kind and message."""
        return self.many((op, args))[0]

    def many(self, *asked: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the results of several ops that do not need each other, all sent at once over a link."""
        requests = [self.request(op, args) for op, args in asked]
        if self.line is not None:
            return [self.result(message) for message in self._over_link(self.line, requests)]
        return [self._alone(request) for request in requests]

    def exchange(self, asked: Sequence[Asked]) -> list[dict[str, Any]]:
        """Return the last message of each op, `result` or `error`, all asked for at once over a link; tried once."""
        requests = [self.request(one.op, one.args) for one in asked]
        if self.line is None:
            return [self._message_alone(request, one.hear) for request, one in zip(requests, asked, strict=True)]

        def ask(link: Link) -> list[dict[str, Any]]:
            names = [link.send(request) for request in requests]
            return [_last_within(link, name, one) for name, one in zip(names, asked, strict=True)]

        return self._opened(self.line, ask)

    def stream(self, op: str, args: dict[str, Any], magic: bytes, sink: Sink, silence_s: float) -> None:
        """Have the program write the stream of an op, and hand its bytes on from magic on until the sink has all; tried once.

        Only where there is `streamed`. What a login or become prints before is passed over.
        """
        assert self.streamed is not None
        request = json.dumps(self.request(op, args)).encode() + b"\n"
        begun = _Beginning(magic, sink)
        try:
            try:
                read_stream(self.streamed(self._command(op)), request, begun, silence_s)
            except StreamEnd:
                if ABSENT.encode() not in begun.before:
                    raise
                self._install(self.execute)
                begun = _Beginning(magic, sink)
                read_stream(self.streamed(self._command(op)), request, begun, silence_s)
        except StreamEnd as exc:
            raise _ended(exc) from None

    def request(self, op: str, args: dict[str, Any]) -> dict[str, Any]:
        """Return the request for one op."""
        return {
            "op": op,
            "engine": self.engine,
            "root": self.root,
            "run": self.run,
            "owner": self.owner,
            "check": self.check,
            **({"secrets": self.secrets} if self.secrets else {}),
            "args": args,
        }

    def open(self) -> Link:
        """Return the open link, for an op that goes on talking; only where there is a line."""
        assert self.line is not None
        line = self.line
        return self.persist(lambda: self._opened(line, lambda link: link))

    def leave(self) -> None:
        """Say that the program is not asked any more; where there is no line, nothing is open."""
        if self.line is not None:
            self.line.leave()

    def serving(self) -> str:
        """Return the shell command that lets the program on the node answer requests until its input ends."""
        return self._command("serve")

    def _over_link(self, line: Line, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        def ask(link: Link) -> list[dict[str, Any]]:
            names = [link.send(request) for request in requests]
            return [self._last(link, name) for name in names]

        return self.persist(lambda: self._opened(line, ask))

    def _opened(self, line: Line, use: Callable[[Link], T]) -> T:
        """Use the link; where the program is not on the node yet, put it there and use a new link."""
        try:
            try:
                return use(line.link())
            except LinkError as exc:
                line.lose()
                if ABSENT not in exc.said:
                    raise
                self._install(self.execute)
                return use(line.link())
        except LinkError as exc:
            line.lose()
            raise lost(exc) from None

    def _last(self, link: Link, name: str) -> dict[str, Any]:
        """Return the last answer to a request and hand its events on."""
        for message in link.answers(name):
            if "event" not in message:
                return message
            self.on_event(message["event"])
        raise AssertionError("answers end with a last one")

    def result(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return the result in a last answer, or raise the error in it."""
        if "error" in message:
            error = message["error"]
            raise NodeError(error["kind"], error["message"], error.get("detail"))
        result: dict[str, Any] = message["result"]
        return result

    def _alone(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.result(self._message(request, self._run, self.on_event))

    def _message_alone(self, request: dict[str, Any], hear: Hear) -> dict[str, Any]:
        return self._message(request, self.execute, hear)

    def _message(self, request: dict[str, Any], run: Execute, hear: Hear) -> dict[str, Any]:
        """Return the last message of a command for one request. run: tries as often as it is to be tried."""
        data = json.dumps(request).encode()
        output = run(self._command(), data)
        if ABSENT in output.stdout:
            self._install(run)
            output = run(self._command(), data)
        return _answer(str(request["op"]), output, hear)

    def _run(self, command: str, stdin: bytes) -> Output:
        return self.persist(lambda: self.execute(command, stdin))

    def _root_word(self) -> str:
        return shlex.quote(self.root) if self.root else '"/var/tmp/testcell-$(id -u)"'

    def _command(self, word: str = "") -> str:
        path, python = f"{self._root_word()}/{self.program.file_name}", shlex.quote(self.python)
        run = f"exec {python} -I -S -E {path} {word}".rstrip()
        absent = f"echo {ABSENT}" if word else f"cat >/dev/null; echo {ABSENT}"
        return f"if test -f {path}; then {run}; else {absent}; fi"

    def _install(self, run: Execute) -> None:
        """Put the program on the node. run: tries as often as the caller does not."""
        python = shlex.quote(self.python)
        command = f"{python} -I -S -E -c {shlex.quote(INSTALL)} {self._root_word()} {self.program.file_name}"
        output = run(command, self.program.content)
        if output.rc != 0:
            raise NodeError(_install_kind(output), _last_line(output.stderr) or f"exit status {output.rc}")


class _Beginning:
    """Looks for the magic that begins a stream, and hands on all from there. before: what came ahead of it."""

    def __init__(self, magic: bytes, sink: Sink) -> None:
        self.before = b""
        self._magic, self._sink = magic, sink
        self._room = memoryview(bytearray(NOISE_BYTES))
        self._found = False

    def space(self) -> memoryview:
        """Return where the next bytes go."""
        return self._sink.space() if self._found else self._room

    def filled(self, count: int) -> bool:
        """Take bytes, and return whether the sink has all."""
        if self._found:
            return self._sink.filled(count)
        self.before = self.before[-NOISE_BYTES:] + bytes(self._room[:count])
        at = self.before.find(self._magic)
        self._found = at >= 0
        return self._found and hand_over(memoryview(self.before)[at:], self._sink) is not None


def _last_within(link: Link, name: str, asked: Asked) -> dict[str, Any]:
    """Return the last answer to a request; LinkError when nothing of it comes for too long."""
    heard_at = time.monotonic()
    while True:
        left_s = None if asked.silence_s is None else max(0.0, heard_at + asked.silence_s - time.monotonic())
        for message in link.heard(name, left_s):
            heard_at = time.monotonic()
            if not LAST.isdisjoint(message):
                return message
            if "event" in message:
                asked.hear(message["event"])
        if asked.silence_s is not None and time.monotonic() - heard_at >= asked.silence_s:
            raise LinkError(f"nothing came from the node for {asked.silence_s:g} s")


def _answer(op: str, output: Output, hear: Hear) -> dict[str, Any]:
    """Return the last message that a command has left."""
    for line in output.stdout.splitlines():
        if not line.startswith(MARK):
            continue
        try:
            message: dict[str, Any] = json.loads(line[len(MARK) :])
        except ValueError:  # the program was ended while it wrote
            continue
        if "event" in message:
            hear(message["event"])
        if not LAST.isdisjoint(message):
            return message
    raise NodeError(
        _install_kind(output),
        f"the node program gave no answer to {op!r} (exit status {output.rc}): {_last_line(output.stderr) or 'no message'}",
        {"stderr": output.stderr[-4000:]},
    )


def _ended(exc: StreamEnd) -> NodeError:
    """Return the error for a stream of its own that ended early."""
    if exc.silent:
        return NodeError(BROKEN_OFF, str(exc))
    if exc.code in (0, None, SSH_FAILED) or exc.code < 0:
        return NodeError(connection_kind(exc.said or str(exc)), str(exc))
    return NodeError(_install_kind(Output(exc.code, "", exc.said)), str(exc), {"stderr": exc.said})


def lost(exc: LinkError) -> NodeError:
    """Return the error for a link that could not be made or broke."""
    if exc.code in (None, SSH_FAILED):
        return NodeError(connection_kind(exc.said or str(exc)), str(exc))
    output = Output(int(exc.code or 0), "", exc.said)
    return NodeError(_install_kind(output), str(exc), {"stderr": exc.said[-4000:]})


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _install_kind(output: Output) -> str:
    text = output.stderr + output.stdout
    if any(words in text for words in OUT_OF_RESOURCES):
        return "resource_limit"
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
