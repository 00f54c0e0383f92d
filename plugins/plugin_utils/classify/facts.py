# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Structured facts about a failure, which say more than any text: exception types, states, codes, statuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...module_utils.cellnode.errors import OS_ERROR_KINDS
from .reading import of_exit, of_status
from .rules import GENERIC, SPECIFIC, WRAPPER

KILLED = 137


@dataclass(frozen=True)
class Facts:
    """What is known besides text; each is left out where it is not known.

    exceptions: names of types, the outermost first; state: State of docker inspect; status, body: of an HTTP answer;
    close_code: of a WebSocket; sqlite: an extended result code, number or name; errno: of the system.
    """

    exceptions: Sequence[str] = ()
    unreachable: bool = False
    rc: int | None = None
    state: Mapping[str, Any] = field(default_factory=dict)
    sqlite: int | str | None = None
    status: int | None = None
    body: str = ""
    close_code: int | None = None
    errno: int | None = None


@dataclass(frozen=True)
class Fact:
    """What a fact says: a kind, how much that counts beside text, and the fact in words."""

    kind: str
    tier: str
    text: str
    name: str


ERRNO_KINDS: Mapping[int, str] = {
    **OS_ERROR_KINDS,
    111: "http_refused",
    104: "http_reset",
    110: "http_timeout",
    98: "port_conflict",
}
# What only says which way a connection failed: text knows whose connection it was.
_OF_ANY_CONNECTION = frozenset({"http_refused", "http_reset", "http_timeout", "privilege"})
_SQLITE_NAMES: Mapping[str, int] = {
    "SQLITE_BUSY": 5, "SQLITE_LOCKED": 6, "SQLITE_READONLY": 8, "SQLITE_IOERR": 10, "SQLITE_CORRUPT": 11, "SQLITE_FULL": 13,
    "SQLITE_CANTOPEN": 14, "SQLITE_NOTADB": 26,
}  # fmt: skip
_SQLITE_KINDS: Mapping[int, str] = {
    5: "db_locked", 6: "db_locked", 8: "db_readonly", 10: "io_error", 11: "db_corrupt", 13: "disk_full", 14: "db_readonly",
    26: "db_corrupt",
}  # fmt: skip
# 1000 and 1001 are ends without a fault, and 1005 says nothing.
_CLOSE_KINDS: Mapping[int, str] = {
    1002: "protocol_error", 1003: "protocol_error", 1006: "hub_disconnected", 1007: "protocol_error", 1008: "auth_failed",
    1009: "protocol_error", 1010: "protocol_error", 1011: "hub_disconnected", 1012: "hub_unavailable", 1013: "hub_unavailable",
    1014: "hub_unavailable", 1015: "tls_error",
}  # fmt: skip
# Types by their last name: those of several libraries mean the same.
_EXCEPTIONS: Mapping[str, tuple[str, str]] = {
    "AnsibleParserError": ("config_invalid", GENERIC),
    "AnsibleTemplateError": ("template_error", SPECIFIC),
    "AnsibleUndefinedVariable": ("template_error", SPECIFIC),
    "BadStatusLine": ("response_invalid", SPECIFIC),
    "BrokenPipeError": ("http_reset", GENERIC),
    "CancelledError": ("cancelled", GENERIC),
    "CertificateError": ("tls_error", SPECIFIC),
    "ChunkedEncodingError": ("http_reset", GENERIC),
    "ClientConnectorCertificateError": ("tls_error", SPECIFIC),
    "ClientConnectorDNSError": ("dns_failure", SPECIFIC),
    "ClientConnectorError": ("http_refused", GENERIC),
    "ClientOSError": ("http_reset", GENERIC),
    "ClientPayloadError": ("http_reset", SPECIFIC),
    "ConnectError": ("http_refused", GENERIC),
    "ConnectTimeout": ("http_timeout", GENERIC),
    "ConnectionRefusedError": ("http_refused", GENERIC),
    "ConnectionResetError": ("http_reset", GENERIC),
    "ContentTypeError": ("response_invalid", SPECIFIC),
    "GatedRepoError": ("model_access", SPECIFIC),
    "IncompleteRead": ("http_reset", SPECIFIC),
    "IncompleteReadError": ("http_reset", GENERIC),
    "JSONDecodeError": ("response_invalid", GENERIC),
    "KeyboardInterrupt": ("cancelled", SPECIFIC),
    "MemoryError": ("resource_limit", SPECIFIC),
    "NameResolutionError": ("dns_failure", SPECIFIC),
    "NewConnectionError": ("http_refused", GENERIC),
    "OutOfMemoryError": ("gpu_oom", SPECIFIC),
    "ReadError": ("http_reset", GENERIC),
    "ReadTimeout": ("http_timeout", GENERIC),
    "ReadTimeoutError": ("http_timeout", GENERIC),
    "RemoteDisconnected": ("http_reset", SPECIFIC),
    "RemoteProtocolError": ("http_reset", GENERIC),
    "RepositoryNotFoundError": ("model_not_found", SPECIFIC),
    "SSLCertVerificationError": ("tls_error", SPECIFIC),
    "SSLError": ("tls_error", GENERIC),
    "ServerDisconnectedError": ("http_reset", SPECIFIC),
    "ServerTimeoutError": ("http_timeout", GENERIC),
    "TemplateSyntaxError": ("template_error", SPECIFIC),
    "TimeoutError": ("http_timeout", GENERIC),
    "TimeoutException": ("http_timeout", GENERIC),
    "TooManyRedirects": ("request_blocked", SPECIFIC),
    "UndefinedError": ("template_error", SPECIFIC),
    "WriteError": ("http_reset", GENERIC),
    "gaierror": ("dns_failure", SPECIFIC),
}


def read(facts: Facts) -> tuple[Fact, ...]:
    """Return what the facts say, the weightiest first; those that say nothing of a failure are left out."""
    return tuple(fact for part in (_of_state, _of_codes, _of_http, _of_exceptions, _of_task) for fact in part(facts))


def _of_state(facts: Facts) -> list[Fact]:
    """Read State of docker inspect: killed for memory, unhealthy, dead, or ended."""
    state, found = facts.state, []
    code = state.get("ExitCode")
    if state.get("OOMKilled"):
        found.append(Fact("container_oom", SPECIFIC, "State.OOMKilled is true", "state"))
    if (state.get("Health") or {}).get("Status") == "unhealthy":
        found.append(Fact("service_unhealthy", WRAPPER, "State.Health.Status is unhealthy", "state"))
    if state.get("Status") == "restarting":
        found.append(Fact("service_flapping", WRAPPER, "State.Status is restarting", "state"))
    if state.get("Status") in ("exited", "dead") and isinstance(code, int) and code:
        found.append(Fact("container_exited", WRAPPER, f"State.ExitCode is {code}", "state"))
    return found


def _of_codes(facts: Facts) -> list[Fact]:
    """Read the codes of SQLite, of the system, and of a WebSocket that was closed."""
    found = []
    if facts.sqlite is not None:
        number = _sqlite_number(facts.sqlite)
        if number & 0xFF in _SQLITE_KINDS:
            found.append(Fact(_SQLITE_KINDS[number & 0xFF], SPECIFIC, f"SQLite result code {facts.sqlite}", "sqlite"))
    if facts.errno in ERRNO_KINDS:
        kind = ERRNO_KINDS[facts.errno or 0]
        tier = GENERIC if kind in _OF_ANY_CONNECTION else SPECIFIC
        found.append(Fact(kind, tier, f"errno {facts.errno}", "errno"))
    if facts.close_code in _CLOSE_KINDS:
        kind = _CLOSE_KINDS[facts.close_code or 0]
        found.append(Fact(kind, SPECIFIC, f"WebSocket close code {facts.close_code}", "close_code"))
    return found


def _sqlite_number(code: int | str) -> int:
    """Return a result code as its number; the name of an extended code begins with that of its family."""
    if isinstance(code, int):
        return code
    return next((number for name, number in _SQLITE_NAMES.items() if code.startswith(name)), 0)


def _of_http(facts: Facts) -> list[Fact]:
    kind = of_status(facts.status) if facts.status is not None else ""
    return [Fact(kind, GENERIC, f"HTTP status {facts.status}", "status")] if kind else []


def _of_exceptions(facts: Facts) -> list[Fact]:
    """Read the types, the innermost first: it is the cause."""
    found = []
    for name in reversed(facts.exceptions):
        entry = _EXCEPTIONS.get(name.rpartition(".")[2])
        if entry:
            found.append(Fact(entry[0], entry[1], f"exception {name}", "exception"))
    return found


def _of_task(facts: Facts) -> list[Fact]:
    found = []
    if facts.unreachable:
        found.append(Fact("node_unreachable", WRAPPER, "the task says unreachable", "unreachable"))
    if facts.rc:
        found.append(Fact(of_exit(facts.rc), WRAPPER, f"rc is {facts.rc}", "rc"))
    return found
