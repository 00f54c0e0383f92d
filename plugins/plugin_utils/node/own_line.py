# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A way to a node's program that belongs to one process: kept open between requests, with a limit on every answer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from . import link
from .errors import NodeError
from .link import LAST, Link, LinkError

# One try more helps where a connection that was kept open since an earlier command has broken meanwhile.
BROKEN = "ssh_dropped"
T = TypeVar("T")


class TimedLink(Link):
    """A link on which no answer may take longer than within_s."""

    def __init__(self, place: Path, within_s: float) -> None:
        super().__init__(place)
        self._within_s = within_s

    def answers(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the answers to a request until and with its last one; LinkError where that does not come in time."""
        end = time.monotonic() + self._within_s
        while True:
            for message in self.heard(name, max(0.0, end - time.monotonic())):
                yield message
                if not LAST.isdisjoint(message):
                    return
            if time.monotonic() >= end:
                raise LinkError(f"the node is not responding: no answer within {self._within_s:g} s")


class OwnLine:
    """The link of this process to one node. command: returns what runs the program there, as the controller starts it."""

    def __init__(self, command: Callable[[], Sequence[str]], within_s: float) -> None:
        self._command = command
        self._within_s = within_s
        self._link: TimedLink | None = None

    def link(self) -> Link:
        """Return the open link, or a new one, which ends with this process."""
        if self._link is None:
            self._link = TimedLink(link.start(self._command(), os.getpid()), self._within_s)
        return self._link

    def lose(self) -> None:
        """End the link, and with it the program on the node."""
        if self._link is not None:
            with suppress(OSError):
                self._link.end()
            self._link = None

    leave = lose


@dataclass(frozen=True)
class OnceMore:
    """Repeats work at once where a connection broke, and gives up after that: whoever asks will ask again anyway."""

    reconnect: Callable[[], None]

    def __call__(self, work: Callable[[], T]) -> T:
        """Return what work returns; raise its NodeError."""
        try:
            return work()
        except NodeError as exc:
            if exc.kind != BROKEN:
                raise
        self.reconnect()
        return work()
