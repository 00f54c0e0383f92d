# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine's answer: HTTP/1.1 as engines speak it over their socket.

The library's client reads e-mail headers and TLS as well, and to import those takes longer than all the calls of a run.
"""

from __future__ import annotations

import io
import socket

MAX_LINE = 1 << 16
MAX_HEADERS = 100
WITHOUT_BODY = (204, 304)


class Reply(io.BufferedReader):
    """One answer, read from a connection that belongs to it: status, header, and the body as a binary file.

    Whatever is no HTTP, or ends before it is whole, raises ConnectionError.
    """

    def __init__(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        try:
            self.status = 100
            while 100 <= self.status < 200:
                self.status, self._headers = _status(stream), _headers(stream)
            chunked = self._headers.get("transfer-encoding", "").lower() == "chunked"
            body = _Body(stream, chunked, 0 if self.status in WITHOUT_BODY else self._length())
        except BaseException:
            stream.close()
            raise
        super().__init__(body)

    def header(self, name: str) -> str:
        """Return the value of a header, "" where it is absent."""
        return self._headers.get(name.lower(), "")

    def _length(self) -> int | None:
        """Return how many bytes the body has, None where it ends with the connection."""
        given = self.header("Content-Length")
        if given and not given.isdecimal():
            raise ConnectionError(f"the answer's length is {given!r}; expected a number")
        return int(given) if given else None


class _Body(io.RawIOBase):
    """The bytes of a body. length: None where chunks or the end of the connection tell where it ends."""

    def __init__(self, stream: io.BufferedReader, chunked: bool, length: int | None) -> None:
        self._stream = stream
        self._chunked = chunked and length != 0
        self._left = 0 if self._chunked else length
        self._first = True

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read what has come, at most to the end of a chunk; return 0 at the end of the body."""
        if self._chunked and self._left == 0:
            self._left = self._next_chunk()
            self._chunked = self._left > 0
        room = memoryview(buffer).cast("B")
        count = self._stream.readinto1(room if self._left is None else room[: self._left])
        if self._left is not None:
            if count == 0 and self._left:
                raise ConnectionError(f"the answer ended {self._left} bytes before its end")
            self._left -= count
        return count

    def close(self) -> None:
        """Let go of the connection."""
        self._stream.close()
        super().close()

    def _next_chunk(self) -> int:
        """Return the size of the next chunk; 0 when the last one has been read, with what comes after it."""
        if not self._first:
            _line(self._stream)  # the end of the chunk before
        self._first = False
        size = _line(self._stream).partition(b";")[0].strip()
        try:
            found = int(size, 16)
        except ValueError:
            raise ConnectionError(f"the size of a chunk is {size!r}; expected a hexadecimal number") from None
        if found == 0:
            _headers(self._stream)
        return found


def _status(stream: io.BufferedReader) -> int:
    line = _line(stream)
    words = line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not (len(words[1]) == 3 and words[1].isdigit()):
        raise ConnectionError(f"the answer begins with {line[:80]!r}; expected HTTP/1.1 and a status")
    return int(words[1])


def _headers(stream: io.BufferedReader) -> dict[str, str]:
    """Return the headers by name in small letters."""
    found: dict[str, str] = {}
    for _ in range(MAX_HEADERS):
        line = _line(stream)
        if not line.strip():
            return found
        name, _, value = line.decode("latin-1").partition(":")
        found[name.strip().lower()] = value.strip()
    raise ConnectionError(f"the answer has more than {MAX_HEADERS} headers")


def _line(stream: io.BufferedReader) -> bytes:
    """Return a whole line without its end."""
    line = stream.readline(MAX_LINE)
    if not line.endswith(b"\n"):
        raise ConnectionError(
            "the answer ended within a line" if line else "the connection was closed without an answer"
        )
    return line.rstrip(b"\r\n")
