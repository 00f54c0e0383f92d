# SPDX-License-Identifier: MIT

"""Whether the Docker engine on this machine answers, asked over its socket."""

from __future__ import annotations

import http.client
import json
import os
import socket
from dataclasses import asdict, dataclass
from typing import Any

DEFAULT_SOCKET = "/var/run/docker.sock"
TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Engine:
    """What the engine said of itself; error is "" when it answered."""

    answers: bool
    socket: str
    version: str = ""
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as plain JSON types."""
        return asdict(self)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)


def ask(host: str | None = None) -> Engine:
    """Return the state of the engine at host (as DOCKER_HOST); one that is not on a Unix socket is not asked."""
    where = host or os.environ.get("DOCKER_HOST") or f"unix://{DEFAULT_SOCKET}"
    if not where.startswith("unix://"):
        return Engine(False, where, error="is not on a Unix socket and was not asked")
    connection = _UnixConnection(where.removeprefix("unix://"))
    try:
        connection.request("GET", "/version")
        facts = json.loads(connection.getresponse().read(1 << 20))
        return Engine(True, where, version=str(facts.get("Version", "")))
    except (OSError, http.client.HTTPException, ValueError, AttributeError) as exc:
        return Engine(False, where, error=f"{type(exc).__name__}: {exc}")
    finally:
        connection.close()
