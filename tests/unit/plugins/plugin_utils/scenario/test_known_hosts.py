# SPDX-License-Identifier: MIT
from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.known_hosts import (
    lookup_name,
    names,
    wrong_known_hosts,
)
from hypothesis import given
from hypothesis import strategies as st


def hashed(name: str) -> str:
    """Return the hashed form in which ssh stores a host name."""
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("line", "name", "known"),
    [
        ("10.0.0.1 ssh-ed25519 AAAA", "10.0.0.1", True),
        ("10.0.0.1,node1 ssh-ed25519 AAAA c", "node1", True),
        ("*.lab ssh-ed25519 AAAA", "n1.lab", True),
        ("*.lab,!bad.lab ssh-ed25519 AAAA", "bad.lab", False),
        ("[10.0.0.1]:2222 ssh-ed25519 AAAA", "[10.0.0.1]:2222", True),
        ("10.0.0.1 ssh-ed25519 AAAA", "[10.0.0.1]:2222", False),
        (hashed("node1") + " ssh-ed25519 AAAA", "node1", True),
        (hashed("node1") + " ssh-ed25519 AAAA", "node2", False),
        ("|1|notbase64|x ssh-ed25519 AAAA", "node1", False),
        ("@cert-authority *.lab ssh-ed25519 AAAA", "n1.lab", True),
        ("@revoked node1 ssh-ed25519 AAAA", "node1", False),
        ("# node1 ssh-ed25519 AAAA", "node1", False),
        ("node1", "node1", False),
        ("", "node1", False),
    ],
)
def test_lines_are_read_as_ssh_reads_them(line: str, name: str, known: bool) -> None:
    assert names(line, name) is known


def test_the_name_looked_up_holds_the_port_unless_it_is_22() -> None:
    assert lookup_name("Node1", 22) == "node1"
    assert lookup_name("node1", 2222) == "[node1]:2222"


def test_B65_a_missing_file_says_how_to_add_the_key_and_never_to_stop_checking(tmp_path: Path) -> None:
    wrong = wrong_known_hosts(tmp_path / "known_hosts", "10.0.0.1", 2222)
    assert "does not exist" in wrong
    assert "ssh-keyscan -p 2222 -t ed25519 10.0.0.1 >>" in wrong
    assert "fingerprint" in wrong
    assert "StrictHostKeyChecking" not in wrong


def test_B65_an_unknown_host_is_named_and_a_known_one_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("other ssh-ed25519 AAAA\n")
    assert "has no key of node1" in wrong_known_hosts(path, "node1", 22)
    path.write_text("node1 ssh-ed25519 AAAA\n")
    assert wrong_known_hosts(path, "node1", 22) == ""


@given(line=st.text(max_size=60))
def test_any_line_gets_an_answer(line: str) -> None:
    assert names(line, "node1") in (True, False)
