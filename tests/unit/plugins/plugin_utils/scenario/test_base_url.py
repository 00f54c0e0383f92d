# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.base_url import wrong_base_url
from hypothesis import given
from hypothesis import strategies as st

HOSTS = ["10.0.0.7", "node1.lab", "[2001:db8::7]"]
REFUSED = [
    pytest.param("file:///etc/passwd", "scheme 'file'", id="B60-file"),
    pytest.param("ftp://10.0.0.7/", "scheme 'ftp'", id="B60-ftp"),
    pytest.param("gopher://10.0.0.7:80/", "scheme 'gopher'", id="B60-gopher"),
    pytest.param("http://169.254.169.254/", "link-local, metadata", id="B60-metadata-address"),
    pytest.param("http://169.254.1.1/", "link-local, metadata", id="B60-link-local"),
    pytest.param("http://[fe80::1]/", "link-local, metadata", id="B60-link-local-6"),
    pytest.param("http://[::ffff:169.254.169.254]/", "link-local, metadata", id="B60-mapped"),
    pytest.param("http://metadata.google.internal/", "link-local, metadata", id="B60-metadata-name"),
    pytest.param("http://[fd00:ec2::254]/", "link-local, metadata", id="B60-metadata-6"),
    pytest.param("http://100.100.100.200/", "link-local, metadata", id="B60-metadata-other-cloud"),
    pytest.param("http://0.0.0.0:8000/", "unspecified", id="B60-unspecified"),
    pytest.param("http://224.0.0.1/", "multicast", id="B60-multicast"),
    pytest.param("http://2852039166/", "no valid host name", id="B60-decimal-address"),
    pytest.param("http://0xA9FEA9FE/", "no valid host name", id="B60-hexadecimal-address"),
    pytest.param("http://0251.0376.0251.0376/", "no valid host name", id="B60-octal-address"),
    pytest.param("http://169.254.43518/", "no valid host name", id="B60-short-address"),
    pytest.param("http://localhost:22", "port 22 of SSH", id="B60-ssh-port"),
    pytest.param("http://10.0.0.7:2375/", "port 2375 of the Docker engine", id="B60-docker-port"),
    pytest.param("http://10.0.0.7:0/", "port 0", id="B60-port-zero"),
    pytest.param("http://10.0.0.7:99999/", "is not a URL", id="B60-port-range"),
    pytest.param("http://10.0.0.7:x/", "is not a URL", id="B60-port-text"),
    pytest.param(
        "http://10.0.0.9:8000/", "allowed hosts: localhost, 10.0.0.7, 2001:db8::7, node1.lab", id="B60-other-host"
    ),
    pytest.param("http://example.com/", "allowed hosts", id="B60-other-name"),
    pytest.param("http:///v1", "is not a URL", id="no-host"),
    pytest.param("10.0.0.7:8000", "is not a URL", id="no-scheme"),
    pytest.param("", "is not a URL", id="empty"),
    pytest.param("http://-x/", "no valid host name", id="dash"),
    pytest.param("http://us\u0435r.lab/", "not ASCII, U+0435", id="B59-look-alike"),
    pytest.param("http://user:hunter2@10.0.0.7/", "has a user name or password", id="B61-credentials"),
    pytest.param("http://hunter2@10.0.0.7/", "has a user name or password", id="B61-user"),
    pytest.param("http://10.0.0.7/#x", "has a '#'", id="B61-fragment"),
    pytest.param("http://10.0.0.7#@169.254.169.254/", "has a user name or password", id="B61-fragment-trick"),
    pytest.param("http://10.0.0.7/\r\nX: y", "line end", id="B61-line-end"),
    pytest.param("http://10.0.0.7/ x", "space", id="B61-space"),
    pytest.param("http://10.0.0.7/?a=b", "has a '?'", id="B61-query"),
    pytest.param("http://10.0.0.7\\x/", "has a '\\\\'", id="B61-backslash"),
    pytest.param('http://10.0.0.7/"', "percent-encoded", id="B61-path"),
]


@pytest.mark.parametrize(("url", "part"), REFUSED)
def test_urls_that_lead_elsewhere_are_refused(url: str, part: str) -> None:
    assert part in wrong_base_url(url, HOSTS)


@pytest.mark.parametrize(
    "url", [param.values[0] for param in REFUSED if "credentials" in str(param.id) or "user" in str(param.id)]
)
def test_B61_credentials_are_never_shown(url: object) -> None:
    assert "hunter2" not in wrong_base_url(str(url), HOSTS)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.7:8000",
        "https://node1.lab/v1",
        "http://NODE1.LAB:80/",
        "http://[2001:DB8::7]:8000/",
        "http://localhost:8000",
        "http://127.0.0.1:1",
        "http://127.9.9.9:65535/a/b-c",
        "http://[::1]:8000",
    ],
)
def test_hosts_of_the_run_and_loopback_are_allowed(url: str) -> None:
    assert wrong_base_url(url, HOSTS) == ""


def test_without_a_list_any_host_but_metadata_is_allowed() -> None:
    assert wrong_base_url("http://example.com/") == ""
    assert wrong_base_url("http://169.254.169.254/") != ""


@given(text=st.text(max_size=40) | st.from_regex(r"https?://[\[\]:/@%.0-9a-fx#?]{0,20}", fullmatch=True))
def test_any_text_gets_an_answer(text: str) -> None:
    assert isinstance(wrong_base_url(text, HOSTS), str)
