# SPDX-License-Identifier: MIT
"""Listening ports and their holders, from the kernel's tables."""

from __future__ import annotations

import os
import socket

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import ports

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LISTENS = (
    "   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0\n"
)
TALKS = "   1: 0100007F:1F40 0100007F:C000 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 20 4 30 10 -1\n"


def test_only_listening_sockets_are_listed():
    assert list(ports.parse_table(HEAD + LISTENS + TALKS)) == [("127.0.0.1", 8000, "4242")]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("00000000", "0.0.0.0"),
        ("0B00007F", "127.0.0.11"),
        ("00000000000000000000000000000000", "::"),
        ("00000000000000000000000001000000", "::1"),
        ("0000000000000000FFFF00000100007F", "::ffff:127.0.0.1"),
    ],
)
def test_kernel_addresses_are_read(text, address):
    assert ports.address(text) == address


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_of_this_process_is_found_with_its_holder(family, host):
    with socket.socket(family) as server:
        try:
            server.bind((host, 0))
        except OSError as exc:
            pytest.skip(f"{host} cannot be used here: {exc}")
        server.listen()
        number = server.getsockname()[1]
        found = [entry for entry in ports.listening() if entry["port"] == number]
    assert [(entry["address"], entry["pid"]) for entry in found] == [(host, os.getpid())]
    assert found[0]["program"]


def test_a_program_that_is_gone_has_no_name():
    assert ports.program(2**22 + 1) == ""
