# SPDX-License-Identifier: MIT
"""Base URLs and addresses that may be sent load (bad-inputs rows 60, 61, 63)."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.errors import LoadError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.target import (
    TargetError,
    check_address,
    parse,
)


@pytest.mark.parametrize(
    ("text", "url", "path"),
    [
        ("http://10.112.0.201:18008", "http://10.112.0.201:18008", "/v1/completions"),
        ("http://10.112.0.201:18008/", "http://10.112.0.201:18008", "/v1/completions"),
        ("http://h:8000/v1", "http://h:8000/v1", "/v1/completions"),
        ("http://h:8000/v1/", "http://h:8000/v1", "/v1/completions"),
        ("http://h/api", "http://h/api", "/api/v1/completions"),
        ("https://Node-1.lab:443", "https://node-1.lab", "/v1/completions"),
        ("http://[::1]:8000", "http://[::1]:8000", "/v1/completions"),
    ],
)
def test_base_url_is_understood(text: str, url: str, path: str) -> None:
    target = parse(text)
    assert (target.url, target.api_path("completions")) == (url, path)


def test_chat_has_its_own_path() -> None:
    assert parse("http://h").api_path("chat") == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("file:///etc/passwd", "scheme 'file'", id="60-file"),
        pytest.param("http://localhost:22", "port 22", id="60-ssh"),
        pytest.param("ftp://h", "scheme 'ftp'", id="60-ftp"),
        pytest.param("http://", "host ''", id="60-no-host"),
        pytest.param("http://h:0", "port 0", id="60-port-0"),
        pytest.param("http://h:70000", "not a URL", id="60-port-70000"),
        pytest.param("http://-oProxy", "host '-oproxy'", id="60-dash"),
        pytest.param("http://ex\u0430mple.org", "ASCII", id="60-look-alike"),
        pytest.param("http://h/a b", "space", id="60-space"),
        pytest.param("http://user:hush@h", "user name or password", id="61-credentials"),
        pytest.param("http://h/#x", "query or a fragment", id="61-fragment"),
        pytest.param("http://h/?a=b", "query or a fragment", id="61-query"),
        pytest.param("http://h\r\nX: y", "control character", id="61-crlf"),
    ],
)
def test_bad_base_url_is_refused_without_showing_secrets(text: str, message: str) -> None:
    with pytest.raises(TargetError, match=message) as caught:
        parse(text)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "trusted", "allowed", "passes"),
    [
        pytest.param("127.0.0.1", False, (), True, id="loopback"),
        pytest.param("10.1.2.3", False, (), True, id="private"),
        pytest.param("fd00::1", False, (), True, id="private-6"),
        pytest.param("::1", False, (), True, id="loopback-6"),
        pytest.param("169.254.169.254", True, ("name",), False, id="60-metadata"),
        pytest.param("::ffff:169.254.169.254", True, (), False, id="60-mapped-metadata"),
        pytest.param("fe80::1%eth0", True, (), False, id="link-local-6"),
        pytest.param("0.0.0.0", True, (), False, id="unspecified"),
        pytest.param("224.0.0.1", True, (), False, id="multicast"),
        pytest.param("8.8.8.8", False, (), False, id="63-public"),
        pytest.param("8.8.8.8", True, (), True, id="public-named-by-the-operator"),
        pytest.param("8.8.8.8", False, ("name",), True, id="public-in-allowed-hosts"),
    ],
)
def test_addresses_are_checked_after_the_look_up(
    address: str, trusted: bool, allowed: tuple[str, ...], passes: bool
) -> None:
    target = parse("http://name:8000", trusted)
    if passes:
        check_address(address, target, allowed)
        return
    with pytest.raises(LoadError, match="name is") as caught:
        check_address(address, target, allowed)
    assert caught.value.kind == "request_blocked"
