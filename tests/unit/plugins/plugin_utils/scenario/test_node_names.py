# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.node_names import (
    wrong_host,
    wrong_node_name,
    wrong_user,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("host", "part"),
    [
        pytest.param("-oProxyCommand=touch /tmp/x", "ssh would take it as an option", id="B59-option"),
        pytest.param("a b", "space or a control character", id="B59-space"),
        pytest.param("a\tb", "space or a control character", id="B59-tab"),
        pytest.param("fe80::1", "written in brackets, [fe80::1]", id="B59-ipv6-bare"),
        pytest.param("[fe80::1", "not a valid IPv6", id="B59-ipv6-open"),
        pytest.param("[1.2.3.4]", "not a valid IPv6", id="B59-ipv4-in-brackets"),
        pytest.param("n\u043ede1", "U+043E CYRILLIC SMALL LETTER O", id="B59-look-alike"),
        pytest.param("10.0.0.1:22", "key 'port'", id="B59-port-in-host"),
        pytest.param("10.0.0.300", "not a valid IPv4", id="B59-ipv4-range"),
        pytest.param("10.0.0", "not a valid IPv4", id="B59-ipv4-short"),
        pytest.param("user@host", "not a valid host name", id="B59-user"),
        pytest.param("a..b", "not a valid host name", id="B59-dots"),
        pytest.param("x" * 300, "not a valid host name", id="B59-long"),
        pytest.param("$(id)", "not a valid host name", id="B35-shell"),
        pytest.param("{{ x }}", "space", id="B34-template"),
    ],
)
def test_hosts_that_ssh_could_misread_are_refused(host: str, part: str) -> None:
    assert part in wrong_host(host)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "node-1", "node_1.lab.example", "[2001:db8::1]", "N1", "127.0.0.11", "1node"]
)
def test_plain_hosts_are_taken(host: str) -> None:
    assert wrong_host(host) == ""


@pytest.mark.parametrize("name", ["local", "auto", "ALL", "-x", "a b", "../x", "a..b", "", "x" * 64, "\u00e9"])
def test_B21_node_names_that_mean_something_else_are_refused(name: str) -> None:
    assert wrong_node_name(name)


@pytest.mark.parametrize("name", ["-l", "a b", "root;id", "", "x" * 33, "1a"])
def test_B59_user_names_that_ssh_could_misread_are_refused(name: str) -> None:
    assert wrong_user(name)


@given(text=st.text(max_size=30))
def test_no_host_that_is_taken_starts_with_a_dash_or_holds_a_space(text: str) -> None:
    if text and wrong_host(text) == "":
        assert text.isascii()
        assert not text.startswith("-")
        assert text.split() == [text]
