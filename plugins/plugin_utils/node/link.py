# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A task's end of the link to a node: requests go out as lines, answers come back by the id of their request."""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .link_holder import CLOSE, ENDED, READY

HOLDER = Path(__file__).with_name("link_holder.py")
SOCKET = "link"
# A socket's path has 107 bytes at most, and a run's folder may lie deep.
PLACE = "/tmp"
PREFIX = "testcell-link-"
MARK = "@cell "
LAST = frozenset({"result", "error"})
CHUNK = 1 << 16
UNREADY = "unready"
WAITING_AT_MOST = 8
HOLDER_WITHIN_S = 20.0
# A sixth of the shortest lease: the node renews one when half of its time is over, and one sign may be late.
BEAT_S = 5.0
END_WITHIN_S = 10.0
LOOK_S = 0.005


class LinkError(Exception):
    """A link that cannot be made or has ended. said: what the node's side wrote besides answers; code: exit status."""

    def __init__(self, message: str, said: str = "", code: int | None = None) -> None:
        super().__init__(message)
        self.said = said
        self.code = code


class Beginning:
    """A link whose holder has been started for the command argv, and which can be joined at once. owner: the pid with which it ends.

    The holder is given the socket, so whoever joins before it is up waits for it there, and hears of its end.
    """

    def __init__(self, argv: Sequence[str], owner: int) -> None:
        remove_dead()
        self.place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=PLACE)) / SOCKET
        settings, told = os.pipe()
        with _listener(self.place) as listener, open(told, "wb", buffering=0) as telling:
            with open(settings, "rb"):
                # The shell ends at once, so that nobody need wait for the end of the link.
                starter = subprocess.Popen(
                    ["/bin/sh", "-c", '"$@" &', "sh", sys.executable, "-I", "-S", str(HOLDER), str(settings)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    pass_fds=(listener.fileno(), settings),
                    start_new_session=True,
                )
            given = {"argv": list(argv), "socket": str(self.place), "listener": listener.fileno(), "owner": owner}
            given["beat_s"] = BEAT_S
            with suppress(BrokenPipeError):
                telling.write(json.dumps(given).encode())
        assert starter.stdout and starter.stderr
        self._said, self._complaints = starter.stdout, starter.stderr
        starter.wait()

    def let_go(self) -> None:
        """Do not wait for the holder."""
        self._said.close()
        self._complaints.close()

    def wait(self) -> None:
        """Wait until the holder is up; LinkError with what it said when it does not come up."""
        with self._said, self._complaints:
            heard, _, _ = select.select([self._said], [], [], HOLDER_WITHIN_S)
            if not heard or self._said.readline() != READY:
                complaint = self._complaints.read().decode(errors="replace") if heard else ""
                raise LinkError("the process that holds the link did not start", complaint)


def start(argv: Sequence[str], owner: int) -> Path:
    """Start a holder for the command argv and return the socket of the link. owner: the pid with which it ends."""
    beginning = Beginning(argv, owner)
    beginning.wait()
    return beginning.place


def _listener(place: Path) -> socket.socket:
    """Return a socket that listens at place; one with its final name has a listener, or had one that has died."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    unready = place.with_name(UNREADY)
    listener.bind(str(unready))
    listener.listen(WAITING_AT_MOST)
    unready.rename(place)
    return listener


def remove_dead() -> None:
    """Remove what holders of this user that were killed have left: folders with a socket that nobody listens at."""
    for folder in Path(PLACE).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.lstat().st_uid == os.geteuid() and _is_dead(folder / SOCKET):
                shutil.rmtree(folder)


def wait_gone(place: Path) -> None:
    """Wait until a holder that was told to end the link before has let go, which removes its folder; one that is dead has none."""
    deadline = time.monotonic() + END_WITHIN_S
    while place.parent.exists() and not _is_dead(place) and time.monotonic() < deadline:
        time.sleep(LOOK_S)


def _is_dead(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(str(place)) == errno.ECONNREFUSED


class Link:
    """A connection to a holder. One request is asked at a time; what the node says of others is passed over."""

    def __init__(self, place: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(place))
        except OSError as exc:
            self._socket.close()
            raise LinkError(f"the link at {place} is gone: {exc.strerror}") from None
        self._rest = b""
        self._lines: list[str] = []
        self._inbox: dict[str, list[dict[str, Any]]] = {}
        self._said: list[str] = []
        self._count = 0

    def fileno(self) -> int:
        """Return the descriptor that is readable when the node has said something."""
        return self._socket.fileno()

    def send(self, request: dict[str, Any]) -> str:
        """Send a request and return its id."""
        self._count += 1
        name = f"{os.getpid():x}.{id(self):x}.{self._count}"
        self._inbox[name] = []
        self._write({**request, "id": name})
        return name

    def tell(self, name: str, message: dict[str, Any]) -> None:
        """Send a message to the operation that works on the request called name."""
        self._write({"to": name, "message": message})

    def answers(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the answers to a request until and with its last one (`result` or `error`), waiting for each."""
        while True:
            for message in self.heard(name, None):
                yield message
                if not LAST.isdisjoint(message):
                    return

    def heard(self, name: str, wait_s: float | None) -> list[dict[str, Any]]:
        """Return the answers to a request that have come, waiting for a first one at most wait_s (None: for ever)."""
        found = self._take(name)
        while not found:
            readable, _, _ = select.select([self._socket], [], [], wait_s)
            if not readable:
                return []
            self._read()
            found = self._take(name)
            if wait_s is not None:
                break
        return found

    def close(self) -> None:
        """Leave the link to the next task."""
        self._socket.close()

    def end(self) -> None:
        """End the link for good, and wait until its holder has let go."""
        self.leave()
        self.wait_end()

    def leave(self) -> None:
        """Tell the holder to end the link."""
        with suppress(OSError):
            self._socket.sendall(CLOSE)

    def wait_end(self) -> None:
        """Wait until the holder, which was told to end the link, has let go."""
        self._socket.settimeout(END_WITHIN_S)
        with suppress(OSError):
            while self._socket.recv(CHUNK):
                pass
        self._socket.close()

    def _write(self, message: dict[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as exc:
            raise LinkError(f"the link broke: {exc.strerror}") from None

    def _read(self) -> None:
        try:
            data = self._socket.recv(CHUNK)
        except OSError as exc:
            raise LinkError(f"the link broke: {exc.strerror}", "\n".join(self._said)) from None
        if not data:
            raise LinkError("the link ended", "\n".join(self._said))
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines += [line.decode("utf-8", "replace") for line in lines]

    def _take(self, name: str) -> list[dict[str, Any]]:
        """Return what has come for one request; the end of the link is told when nothing is left before it."""
        if name not in self._inbox:
            raise LinkError(f"the request {name} has been answered already")
        while self._lines and not self._lines[0].startswith(ENDED):
            self._sort(self._lines.pop(0))
        found, self._inbox[name] = self._inbox[name], []
        if found and not LAST.isdisjoint(found[-1]):
            del self._inbox[name]
        if self._lines and not found:
            raise _ended(self._lines[0], self._said)
        return found

    def _sort(self, line: str) -> None:
        """Put a message into the inbox of its request; what is for nobody here is passed over."""
        message = _message(line)
        if message is None:
            self._said = [*self._said, line][-50:]
        elif message.get("id") in self._inbox:
            self._inbox[message["id"]].append(message)


def _message(line: str) -> dict[str, Any] | None:
    if not line.startswith(MARK):
        return None
    try:
        message = json.loads(line[len(MARK) :])
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def _ended(line: str, said: list[str]) -> LinkError:
    last = json.loads(line[len(ENDED) :])
    text = str(last["stderr"]).strip()
    return LinkError(
        text.splitlines()[-1] if text else f"the program on the node ended with status {last['code']}",
        "\n".join([*said, text]),
        last["code"],
    )
