# SPDX-License-Identifier: MIT
"""Kinds of errors: exceptions by type, statuses by number, servers by their own words."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload import answer, complaints, errors
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import kinds

EXCEPTIONS = [
    (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "http_refused"),
    (ConnectionResetError(errno.ECONNRESET, "x"), "http_reset"),
    (BrokenPipeError(errno.EPIPE, "x"), "http_reset"),
    (ConnectionError("no number"), "http_reset"),
    (asyncio.TimeoutError(), "http_timeout"),
    (TimeoutError(errno.ETIMEDOUT, "x"), "http_timeout"),
    (socket.gaierror(-2, "Name or service not known"), "dns_failure"),
    (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "tls_error"),
    (ssl.SSLCertVerificationError(1, "CERTIFICATE_VERIFY_FAILED"), "tls_error"),
    (OSError(errno.EHOSTUNREACH, "x"), "node_unreachable"),
    (OSError(errno.EMFILE, "x"), "resource_limit"),
    (OSError(errno.EADDRNOTAVAIL, "x"), "resource_limit"),
    (OSError(errno.ENODATA, "x"), "unknown"),
    (errors.LoadError("overloaded", "x"), "overloaded"),
    (KeyError("x"), "internal_error"),
]


@pytest.mark.parametrize(("exc", "kind"), EXCEPTIONS, ids=[f"{type(exc).__name__}-{kind}" for exc, kind in EXCEPTIONS])
def test_exception_has_its_kind(exc: BaseException, kind: str) -> None:
    assert errors.kind_of(exc) == kind


def test_an_exception_without_text_still_says_what_it_is() -> None:
    assert str(errors.as_load_error(asyncio.TimeoutError(), "cannot connect")) == "cannot connect: TimeoutError"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, ""),
        (302, "request_blocked"),
        (400, "http_4xx"),
        (429, "overloaded"),
        (500, "http_5xx"),
        (503, "overloaded"),
    ],
)
def test_status_has_its_kind(status: int, kind: str) -> None:
    assert answer.kind_of_status(status) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Prefill transfer failed for request rank=0", "kv_transfer_failed"),
        ("KVTransferError(bootstrap_room=1)", "kv_transfer_failed"),
        ("Decode instance could be dead, remote mooncake session", "kv_transfer_failed"),
        ("EngineCore encountered an issue. See stack trace (above) for the root cause.", "engine_dead"),
        ("The request queue is full.", "overloaded"),
        ("something else", ""),
    ],
)
def test_a_server_s_own_words_name_the_kind(text: str, kind: str) -> None:
    assert complaints.kind_of_text(text) == kind


@pytest.mark.parametrize("status", [429, 503, 529])
def test_statuses_of_overload(status: int) -> None:
    assert answer.kind_of_status(status) == "overloaded"


def test_every_kind_the_client_can_give_is_in_the_table() -> None:
    given = {
        *errors.ERRNO_KINDS.values(),
        *(kind for _, kind in EXCEPTIONS),
        *(kind for kind, _ in complaints.ERROR_TEXTS),
    }
    given |= {answer.kind_of_status(status) for status in (302, 400, 429, 500)} | {"response_invalid", "cancelled"}
    assert given <= set(kinds.KINDS)
