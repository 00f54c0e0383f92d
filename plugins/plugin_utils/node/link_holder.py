# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The process that keeps one node's program running for a run, so that a step is a line of JSON and not a new command.

It is started as a script with the number of a descriptor, from which it reads its settings as JSON: argv (the command that
runs the program there), listener (the descriptor of the socket at which tasks of this run connect, one at a time), socket
(its path), owner (the pid of the controller) and beat_s. It passes lines both ways, says every beat_s that the controller lives,
and ends when the command ends, when the controller is gone, or when a client says CLOSE.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

CLOSE = b"@close\n"
GONE = b'\n{"gone":true}\n'
ALIVE = b'{"alive":true}\n'
ENDED = "@ended "
READY = b"ready\n"
CHUNK = 1 << 16
LEAVE_WITHIN_S = 3.0
FIRST_WITHIN_S = 10.0
STOPPED = (b"T", b"t", b"Z")
OWNER_LOOK_S = 1.0
STDERR_KEPT = 4096


class Holder:
    """One command, one listening socket, one client at a time; the others wait, but any of them may say CLOSE."""

    def __init__(self, argv: list[str], listener: socket.socket, owner: int, beat_s: float) -> None:
        self._child = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        self._listener = listener
        self._owner = owner
        self._beat_s, self._next_beat = beat_s, time.monotonic() + beat_s
        self._between_lines = True
        self._client: socket.socket | None = None
        self._waiting: list[socket.socket] = []
        self._served = False
        self._stderr = b""
        self._early = b""
        self._over = False
        self._silent = False
        self._wait = selectors.DefaultSelector()

    def run(self) -> None:
        """Pass lines on until the end of the command, of the controller, or of the run."""
        assert self._child.stdout and self._child.stderr
        self._on(self._child.stdout.fileno(), self._from_node)
        self._on(self._child.stderr.fileno(), self._from_stderr)
        self._on(self._listener.fileno(), self._accept)
        watched = _watch(self._owner)
        if watched is not None:
            self._on(watched, self._leave)
        while not self._over and not self._silent:
            for key, _mask in self._wait.select(min(OWNER_LOOK_S, self._beat_s)):
                key.data()
            self._beat()
            if watched is None and not os.path.exists(f"/proc/{self._owner}"):
                self._leave()

    def _on(self, descriptor: int, work: Callable[[], None]) -> None:
        self._wait.register(descriptor, selectors.EVENT_READ, work)

    def _beat(self) -> None:
        """Say when it is time that the controller lives, by which the node goes on to be the run's; one that is frozen does not."""
        now = time.monotonic()
        if now >= self._next_beat and self._between_lines and not self._over and _works(self._owner):
            self._next_beat = now + self._beat_s
            self._to_node(ALIVE)

    def _accept(self) -> None:
        comer, _address = self._listener.accept()
        self._waiting.append(comer)
        if self._client is None:
            self._serve_next()
        else:
            self._on(comer.fileno(), lambda: self._hear_waiting(comer))

    def _hear_waiting(self, comer: socket.socket) -> None:
        """Look at what one who waits wants: only the end cannot wait."""
        if comer is self._client:
            return  # its turn came while this was to be looked at
        self._wait.unregister(comer.fileno())
        with suppress(ConnectionError):
            if comer.recv(len(CLOSE), socket.MSG_PEEK) == CLOSE:
                self._leave()

    def _serve_next(self) -> None:
        if not self._waiting:
            return
        self._client = self._waiting.pop(0)
        self._welcome()
        with suppress(KeyError):
            self._wait.unregister(self._client.fileno())
        self._on(self._client.fileno(), self._from_client)

    def _welcome(self) -> None:
        self._served = True
        early, self._early = self._early, b""
        self._to_client(early)

    def _from_client(self) -> None:
        assert self._client is not None
        data = b""
        with suppress(ConnectionError):
            data = self._client.recv(CHUNK)
        if data == CLOSE:
            self._leave()
        elif data:
            self._to_node(data)
        else:
            self._to_node(GONE)
            self._drop_client()

    def _drop_client(self) -> None:
        assert self._client is not None
        self._wait.unregister(self._client.fileno())
        self._client.close()
        self._client = None
        self._serve_next()

    def _to_node(self, data: bytes) -> None:
        assert self._child.stdin
        self._between_lines = data.endswith(b"\n")
        try:
            self._child.stdin.write(data)
            self._child.stdin.flush()
        except (BrokenPipeError, ValueError):
            self._silent = True

    def _from_node(self) -> None:
        assert self._child.stdout
        data = os.read(self._child.stdout.fileno(), CHUNK)
        if data:
            self._to_client(data)
        else:
            self._silent = True

    def _from_stderr(self) -> None:
        assert self._child.stderr
        data = os.read(self._child.stderr.fileno(), CHUNK)
        self._stderr = (self._stderr + data)[-STDERR_KEPT:]
        if not data:
            self._wait.unregister(self._child.stderr.fileno())

    def _to_client(self, data: bytes) -> None:
        """Hand on what the node said; without a client it is the end of an answer that nobody waits for.

        What comes before the first client is kept for it: the program may be absent, and says so at once.
        """
        if self._client is None:
            self._early += b"" if self._served else data
            return
        with suppress(ConnectionError):
            self._client.sendall(data)

    def _leave(self) -> None:
        self._over = True

    def await_first(self) -> None:
        """Wait for the task that asked for this link, where the command ended before it came: nobody else was told why."""
        if self._served or not self._silent:
            return
        self._listener.settimeout(FIRST_WITHIN_S)
        with suppress(TimeoutError):
            self._client, _address = self._listener.accept()
            self._welcome()

    def end(self) -> None:
        """End the command and tell a client that waits why there is no answer."""
        assert self._child.stdin and self._child.stderr
        with suppress(BrokenPipeError):
            self._child.stdin.close()
        code = _ended(self._child)
        os.set_blocking(self._child.stderr.fileno(), False)
        with suppress(BlockingIOError):
            self._stderr += os.read(self._child.stderr.fileno(), CHUNK)
        last = {"code": code, "stderr": self._stderr[-STDERR_KEPT:].decode("utf-8", "replace")}
        if self._client is not None:
            self._to_client(f"\n{ENDED}{json.dumps(last)}\n".encode())
            _see_off(self._client)


def _see_off(client: socket.socket) -> None:
    """Let the client read our last words: closing on top of what it still writes would reset the connection."""
    client.settimeout(LEAVE_WITHIN_S)
    with suppress(TimeoutError, OSError):
        client.shutdown(socket.SHUT_WR)
        while client.recv(CHUNK):
            pass


def _ended(child: subprocess.Popen[bytes]) -> int:
    """Return the exit status of the command, which has LEAVE_WITHIN_S to go by itself."""
    try:
        return child.wait(LEAVE_WITHIN_S)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def _works(pid: int) -> bool:
    """Return whether a process lives and is not stopped."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            return stream.read().rpartition(b")")[2].split()[0] not in STOPPED
    except OSError:
        return False


def _watch(pid: int) -> int | None:
    """Return a descriptor that is readable when the process is gone, None where this kernel cannot give one."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return os.open(os.devnull, os.O_RDONLY)
    except (AttributeError, OSError):
        return None


def main() -> None:
    """Hold the link that the settings describe, and leave no socket behind."""
    with open(int(sys.argv[1]), "rb") as stream:
        settings = json.load(stream)
    place = str(settings["socket"])
    with socket.socket(fileno=settings["listener"]) as listener:
        try:
            holder = Holder(settings["argv"], listener, int(settings["owner"]), float(settings["beat_s"]))
            with suppress(BrokenPipeError):
                os.write(1, READY)  # nobody may wait for it
            _forget_output()
            holder.run()
            holder.await_first()
            os.unlink(place)  # before anybody hears of the end, so that nobody joins a link that is going
            holder.end()
        finally:
            with suppress(FileNotFoundError):
                os.unlink(place)
            with suppress(OSError):
                os.rmdir(os.path.dirname(place))


def _forget_output() -> None:
    """Let go of the streams of whoever started us, so that nobody waits for their end."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


if __name__ == "__main__":
    main()
