# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many requests over one pair of streams: one after another, each answered under its id, until the input ends.

A line on standard input is a request with an `id`; `{"to": ID, "message": {...}}` for the operation that works on the
request ID; `{"gone": true}`: nobody waits any more for the answers to what was asked so far; or `{"alive": true}`: the
controller lives, and the run that asked last goes on to hold the node, however long it asks for nothing or waits for an answer.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, BinaryIO

from .errors import CellError
from .intake import lines
from .mailbox import Mailbox

Answer = Callable[..., None]
Keep = Callable[["dict[str, Any]"], None]
Work = Callable[["dict[str, Any]", Answer, Mailbox], "dict[str, Any]"]


class Desk:
    """Takes in lines: requests wait in order, messages go to the mailbox of the request that they name.

    keep: is given the last request of a run that holds the node, at each sign that its controller lives.
    """

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._holding: dict[str, Any] | None = None
        self._requests: queue.Queue[tuple[dict[str, Any], Mailbox] | None] = queue.Queue()
        self._boxes: dict[str, Mailbox] = {}
        self._lock = threading.Lock()

    def take_in(self, line: bytes) -> None:
        """Take in one line; one that is no JSON object is the rest of a request whose sender has died."""
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(content, dict):
            return
        if content.get("gone"):
            self.close()
        elif content.get("alive"):
            if self._holding is not None:
                self._keep(self._holding)
        elif "to" in content:
            self._deliver(str(content["to"]), content.get("message"))
        elif "id" in content:
            self._ask(content)

    def close(self) -> None:
        """Close the mailboxes of all requests that have come so far."""
        with self._lock:
            boxes, self._boxes = self._boxes, {}
        for box in boxes.values():
            box.close()

    def end(self) -> None:
        """Say that no line comes any more."""
        self.close()
        self._requests.put(None)

    def next(self) -> tuple[dict[str, Any], Mailbox] | None:
        """Return the next request that somebody still waits for, None at the end."""
        while True:
            item = self._requests.get()
            if item is None:
                return None
            if not item[1].closed:
                self._note(item[0])
                return item

    def _note(self, request: dict[str, Any]) -> None:
        run = request.get("run")
        if isinstance(run, dict) and run.get("epoch") is not None:
            self._holding = request

    def done(self, name: str) -> None:
        """Forget the mailbox of a request that is answered."""
        with self._lock:
            self._boxes.pop(name, None)

    def _ask(self, request: dict[str, Any]) -> None:
        box = Mailbox()
        with self._lock:
            self._boxes[str(request["id"])] = box
        self._requests.put((request, box))

    def _deliver(self, name: str, message: Any) -> None:
        with self._lock:
            box = self._boxes.get(name)
        if box is not None and isinstance(message, Mapping):
            box.put(dict(message))


def serve(stdin: BinaryIO, answer: Answer, work: Work, keep: Keep) -> None:
    """Answer the requests of stdin until it ends. answer: writes one line; work: does one request; keep: see Desk."""
    desk = Desk(keep)
    reader = threading.Thread(target=_read, args=(stdin, desk, answer), daemon=True)
    reader.start()
    while True:
        item = desk.next()
        if item is None:
            return
        _answer(item, answer, work)
        desk.done(str(item[0]["id"]))


def _read(stdin: BinaryIO, desk: Desk, answer: Answer) -> None:
    try:
        with suppress(BrokenPipeError):
            for line in lines(stdin, lambda: answer(heard=True)):
                desk.take_in(line)
    finally:
        desk.end()


def _answer(item: tuple[dict[str, Any], Mailbox], answer: Answer, work: Work) -> None:
    request, box = item
    name = str(request["id"])
    try:
        answer(id=name, result=work(request, lambda event: answer(id=name, event=event), box))
    except CellError as exc:
        answer(id=name, error=exc.as_dict())
