# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to a node's program that a run keeps open, found or made when a task first needs it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..deploy.board import Board
from . import link
from .link import Link, LinkError

NOTE = "link."


class Line:
    """The link of one node during a task. command: returns what runs the program there, as the controller starts it.

    shared: the board on which the run notes where its links are. owner: the pid with which a new link ends.
    """

    def __init__(self, shared: Board, node: str, command: Callable[[], Sequence[str]], owner: int) -> None:
        self._shared = shared
        self._note = f"{NOTE}{node}"
        self._command = command
        self._owner = owner
        self._link: Link | None = None

    def link(self) -> Link:
        """Return the open link; the one that an earlier task left, or a new one."""
        if self._link is None:
            self._link = self._left() or self._made()
        return self._link

    def lose(self) -> None:
        """Let go of a link that broke, so that the next request opens a new one."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def leave(self) -> None:
        """Begin to end the link, which nobody in this run needs any more; `ending_all` waits for that."""
        if self._link is not None:
            self._link.leave()
            self.lose()

    def _left(self) -> Link | None:
        note = self._shared.read(self._note)
        if note is None:
            return None
        with suppress(LinkError):
            found = Link(Path(note["socket"]))
            if "command" not in note:
                return found
            if note["command"] == _digest(self._command()):
                self._shared.post(self._note, {"socket": note["socket"]})
                return found
            found.end()
        return None

    def _made(self) -> Link:
        place = link.start(self._command(), self._owner)
        self._shared.post(self._note, {"socket": str(place)})
        return Link(place)


def dial(shared: Board, commands: Mapping[str, Sequence[str]], owner: int) -> None:
    """Begin links that nobody asks for yet, without waiting. commands: node -> what a Line of it would start.

    Whoever asks first takes the link only if its own command is the same. What cannot be begun is left to that task.
    """
    for node, argv in commands.items():
        with suppress(OSError):
            begun = link.Beginning(argv, owner)
            begun.let_go()
            shared.post(f"{NOTE}{node}", {"socket": str(begun.place), "command": _digest(argv)})


def _digest(command: Sequence[str]) -> str:
    """Return what tells commands apart; they may carry what nobody should read on a board."""
    return hashlib.sha256("\0".join(command).encode(errors="surrogateescape")).hexdigest()


@contextmanager
def ending_all(shared: Board) -> Iterator[None]:
    """End every link of a run while other work is done, and wait for the last; one that is gone already is no matter."""
    links: list[Link] = []
    places = [Path(note["socket"]) for note in shared.notes(NOTE).values()]
    for place in places:
        with suppress(LinkError):
            links.append(Link(place))
    for way in links:
        way.leave()
    try:
        yield
    finally:
        for way in links:
            way.wait_end()
        for place in places:
            link.wait_gone(place)
