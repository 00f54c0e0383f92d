# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reaching the engine: which socket, a connection over it, a grip on a call that another thread has begun."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Callable

from .context import os_error_kind
from .errors import CellError

DEFAULT_SOCKET = "/var/run/docker.sock"


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket; the time limit covers each later read as well."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Hold:
    """A grip on one call from another thread: broken off, its reader sees the end of the answer at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._broken = False

    def take(self, connection: socket.socket | None) -> None:
        """Hold the connection of the call, None once it is over; what was broken off before does not begin."""
        with self._lock:
            self._socket = connection
            self._shut()

    def break_off(self) -> None:
        """End the call now, or as soon as it begins."""
        with self._lock:
            self._broken = True
            self._shut()

    def _shut(self) -> None:
        if self._broken and self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def socket_path(environ: Mapping[str, str], exists: Callable[[str], bool] = os.path.exists) -> str:
    """Return the engine's socket: DOCKER_HOST if given, else the system's, else the rootless one of this user."""
    host = environ.get("DOCKER_HOST", "")
    if host.startswith("unix://"):
        return host[len("unix://") :]
    if host:
        raise CellError("docker_api_mismatch", f"DOCKER_HOST is {host!r}; allowed: unix:///path/to/docker.sock")
    rootless = os.path.join(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}", "docker.sock")
    return rootless if not exists(DEFAULT_SOCKET) and exists(rootless) else DEFAULT_SOCKET


@contextlib.contextmanager
def as_cell_error(path: str, what: str) -> Iterator[None]:
    """Turn what the socket raises into the error kinds of the engine."""
    try:
        yield
    except (TimeoutError, socket.timeout, BlockingIOError) as exc:  # an engine that takes nobody in has a full queue
        raise CellError("docker_timeout", f"{what}: the engine did not answer in time", socket=path) from exc
    except PermissionError as exc:
        raise CellError("docker_permission", f"{what}: no permission to use {path}", socket=path) from exc
    except (ConnectionError, FileNotFoundError, http.client.HTTPException) as exc:
        text = f"{type(exc).__name__}: {exc}"
        raise CellError("docker_daemon_down", f"{what}: no engine answers at {path} ({text})", socket=path) from exc
    except OSError as exc:
        raise CellError(
            os_error_kind(exc), f"{what}: {path} cannot be used: {exc.strerror or exc}", socket=path
        ) from exc
