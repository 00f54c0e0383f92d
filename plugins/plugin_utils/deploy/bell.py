# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bell for each worker at a board: whoever puts up a note rings, so that nobody has to look again and again.

A bell only wakes. What it is about stands on the board, so a ring that is lost costs a moment and nothing else; the
sockets have abstract names, which need no file and go with their process.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


class Bell:
    """The bell of one worker."""

    def __init__(self, board: Path, name: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        # Without a bell the worker looks by itself every now and then.
        with suppress(OSError):
            self._socket.bind(_address(board, name))

    def fileno(self) -> int:
        """Return the descriptor that is readable after a ring."""
        return self._socket.fileno()

    def hush(self) -> None:
        """Forget the rings so far."""
        with suppress(BlockingIOError):
            while self._socket.recv(1):
                pass

    def close(self) -> None:
        """Take the bell down."""
        self._socket.close()


def ring(board: Path, names: Iterable[str]) -> None:
    """Ring the bells of these workers; one that has none is not rung."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for name in names:
            with suppress(OSError):
                sender.sendto(b"!", _address(board, name))


def _address(board: Path, name: str) -> bytes:
    digest = hashlib.sha256(f"{board.resolve()}\0{name}".encode()).hexdigest()[:40]
    return f"\0testcell-bell-{digest}".encode()
