# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service tells of itself in Prometheus' text form: the wanted names, read with a limit of time and of bytes."""

from __future__ import annotations

import fnmatch
import http.client
import io
import math
import re
import socket
import time
from collections.abc import Sequence
from typing import Any

from ..errors import CellError

LIMIT_S = 2.0
LIMIT_BYTES = 8 << 20
MOST_NAMES = 200
_SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)\s*(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?\s*([^\s{]\S*)')
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)\s*\r\n", re.IGNORECASE)


class Metrics:
    """Reads the metrics of one service. names: patterns as of a shell."""

    def __init__(self, path: str, names: Sequence[str]) -> None:
        self._path = path
        self._wanted = re.compile("|".join(fnmatch.translate(name) for name in names))
        self._known: dict[str, bool] = {}

    def read(self, places: Sequence[tuple[str, int]]) -> dict[str, float]:
        """Return name -> value from the first of the places that answers; raise CellError where none does."""
        why = "the container has no address"
        for host, port in places:
            try:
                return self.parse(body(host, port, self._path))
            except (OSError, http.client.HTTPException, ValueError) as exc:
                why = f"{host}:{port}{self._path}: {exc or type(exc).__name__}"
        raise CellError("http_timeout", why)

    def parse(self, text: str) -> dict[str, float]:
        """Return each wanted name with its value, the sum where there are several by labels; no NaN and no infinity.

        Raise ValueError for more than MOST_NAMES names.
        """
        found: dict[str, float] = {}
        for line in text.split("\n"):
            if not line or line[0] == "#" or not self._wants(line):
                continue
            sample = _SAMPLE.match(line)
            if sample:
                name, value = sample.group(1), _value(sample.group(2))
                found[name] = found.get(name, 0.0) + value
        if len(found) > MOST_NAMES:
            raise ValueError(f"{len(found)} names match, over the limit of {MOST_NAMES}; narrow the patterns")
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _wants(self, line: str) -> bool:
        name = line.partition("{")[0].partition(" ")[0]
        wanted = self._known.get(name)
        if wanted is None:
            wanted = self._known[name] = bool(self._wanted.match(name))
        return wanted


def _value(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


class _Received:
    """What was received, in the place of a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_how: Any) -> io.BytesIO:
        return io.BytesIO(self._data)


def body(host: str, port: int, path: str, limit_s: float = LIMIT_S, limit_bytes: int = LIMIT_BYTES) -> str:
    """Return the text at an address; raise OSError, HTTPException or ValueError for what is slow, long or no success."""
    data = _received(host, port, path, limit_s, limit_bytes)
    response = http.client.HTTPResponse(_Received(data))  # type: ignore[arg-type]
    response.begin()
    if response.status != 200:
        raise ValueError(f"HTTP {response.status}")
    return response.read().decode("utf-8", "replace")


def _received(host: str, port: int, path: str, limit_s: float, limit_bytes: int) -> bytes:
    """Return the whole answer. Time is counted from the first to the last byte: a server may send one now and then."""
    deadline = time.monotonic() + limit_s
    shown = f"[{host}]" if ":" in host else host
    data = bytearray()
    with socket.create_connection((host, port), limit_s) as connection:
        # In the older form of HTTP an answer ends with the connection.
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {shown}:{port}\r\nUser-Agent: testcell\r\n\r\n".encode())
        while not _complete(data):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no whole answer within {limit_s:g} s")
            connection.settimeout(left)
            part = connection.recv(1 << 16)
            if not part:
                break
            data += part
            if len(data) > limit_bytes:
                raise ValueError(f"an answer of over {limit_bytes} bytes")
    return bytes(data)


def _complete(data: bytearray) -> bool:
    """Return whether an answer that tells its length is all there: some servers leave the connection open."""
    end = data.find(b"\r\n\r\n", 0, 1 << 16)
    if end < 0:
        return False
    length = _LENGTH.search(data, 0, end + 2)
    return length is not None and len(data) >= end + 4 + int(length.group(1))
