# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of the load client and the taxonomy's kind for each exception of sockets, TLS and name look-up."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from dataclasses import dataclass


class LoadError(Exception):
    """A request that failed. kind: error_kind of the taxonomy; retry_after_s: what the server asked for, if it did."""

    def __init__(self, kind: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class ConfigProblem:
    """One thing wrong with the configuration: where, what, what was found and what is allowed."""

    file: str
    key: str
    message: str
    got: str = ""
    allowed: str = ""

    def render(self) -> str:
        """Return the problem as one line."""
        parts = [f"{self.file}: {self.key}: {self.message}" if self.key else f"{self.file}: {self.message}"]
        parts += [f"got {self.got}"] if self.got else []
        parts += [f"allowed: {self.allowed}"] if self.allowed else []
        return "; ".join(parts)


class ConfigError(Exception):
    """A configuration that cannot be used; carries every problem found, not the first only."""

    def __init__(self, problems: list[ConfigProblem]) -> None:
        super().__init__("\n".join(problem.render() for problem in problems))
        self.problems = tuple(problems)


ERRNO_KINDS = {
    errno.ECONNREFUSED: "http_refused",
    errno.ECONNRESET: "http_reset",
    errno.ECONNABORTED: "http_reset",
    errno.EPIPE: "http_reset",
    errno.ETIMEDOUT: "http_timeout",
    errno.EHOSTUNREACH: "node_unreachable",
    errno.ENETUNREACH: "node_unreachable",
    errno.EMFILE: "resource_limit",
    errno.ENFILE: "resource_limit",
    errno.EADDRNOTAVAIL: "resource_limit",
    errno.ENOBUFS: "resource_limit",
}


def kind_of(exc: BaseException) -> str:
    """Return the error kind of an exception, by its type and number and never by its text."""
    if isinstance(exc, LoadError):
        return exc.kind
    if isinstance(exc, socket.gaierror):
        return "dns_failure"
    if isinstance(exc, ssl.SSLError):
        return "tls_error"
    if isinstance(exc, (asyncio.TimeoutError, TimeoutError)):
        return "http_timeout"
    if isinstance(exc, OSError):
        return ERRNO_KINDS.get(exc.errno or 0, "http_reset" if isinstance(exc, ConnectionError) else "unknown")
    return "internal_error"


def as_load_error(exc: BaseException, doing: str) -> LoadError:
    """Return exc as a LoadError whose message says what was being done; a timeout's text is often empty."""
    if isinstance(exc, LoadError):
        return exc
    text = str(exc) or type(exc).__name__
    return LoadError(kind_of(exc), f"{doing}: {text}")
