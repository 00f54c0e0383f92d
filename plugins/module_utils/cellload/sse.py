# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Server-sent events out of bytes that arrive in pieces of any size."""

from __future__ import annotations

import re
from dataclasses import dataclass

LINE_END = re.compile(rb"\r\n|\n|\r")
MAX_EVENT_BYTES = 8 * 1024 * 1024


class SseError(Exception):
    """A stream that cannot be an event stream: a line or an event without end."""


@dataclass(frozen=True)
class Event:
    """One event: its type ("message" when the server names none) and its data lines joined by newlines."""

    type: str
    data: str


class SseParser:
    """Collect events from bytes: feed() gives the events that a piece completes, close() the one left at the end.

    A field named `error` is taken as data of an event of type "error": older llama.cpp servers write it so.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._skip_newline = False
        self._at_start = True
        self._type = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that end within piece, in order; raise SseError beyond 8 MiB without an end."""
        if not piece:
            return []
        if self._skip_newline and piece.startswith(b"\n"):
            piece = piece[1:]
        self._skip_newline = piece.endswith(b"\r")
        *lines, self._rest = LINE_END.split(self._rest + piece)
        events = [event for line in lines for event in self._line(line)]
        if len(self._rest) + self._size > MAX_EVENT_BYTES:
            raise SseError(f"an event of the stream is longer than {MAX_EVENT_BYTES} bytes")
        return events

    def close(self) -> list[Event]:
        """Return the last event when the body ended without the blank line that should close it."""
        rest, self._rest = self._rest, b""
        events = self._line(rest) if rest else []
        return events + self._dispatch()

    def _line(self, raw: bytes) -> list[Event]:
        line = raw.decode("utf-8", "replace")
        if self._at_start:
            line, self._at_start = line[1:] if line.startswith("\ufeff") else line, False
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        self._field(field, value[1:] if value.startswith(" ") else value)
        return []

    def _field(self, field: str, value: str) -> None:
        if field == "event":
            self._type = value
        elif field in ("data", "error"):
            self._type = "error" if field == "error" else self._type
            self._data.append(value)
            self._size += len(value)

    def _dispatch(self) -> list[Event]:
        events = [Event(self._type or "message", "\n".join(self._data))] if self._data else []
        self._type, self._data, self._size = "", [], 0
        return events
