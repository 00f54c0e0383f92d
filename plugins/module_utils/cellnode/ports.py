# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens on this node: TCP ports with the process that holds them."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

LISTEN = "0A"
TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def parse_table(text: str) -> Iterator[tuple[str, int, str]]:
    """Yield (address, port, inode) of each listening socket of a `/proc/net/tcp` table."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == LISTEN:
            host, _, port = fields[1].partition(":")
            yield address(host), int(port, 16), fields[9]


def address(text: str) -> str:
    """Return a kernel address (hexadecimal words in host order) in its usual form."""
    words = [int(text[index : index + 8], 16) for index in range(0, len(text), 8)]
    raw = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, raw)


def holders() -> dict[str, int]:
    """Return socket inode -> process number for the processes that we may look into."""
    found: dict[str, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                for entry in os.scandir(f"/proc/{name}/fd"):
                    with suppress(OSError):
                        target = os.readlink(entry.path)
                        if target.startswith("socket:["):
                            found.setdefault(target[8:-1], int(name))
    return found


def program(pid: int) -> str:
    """Return a process's short name, or "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def listening() -> list[dict[str, Any]]:
    """Return {port, address, pid, program} of each listening TCP socket; pid is None where we may not look."""
    owners, found = holders(), set()
    for table in TABLES:
        if os.path.exists(table):
            for host, port, inode in parse_table(Path(table).read_text(encoding="ascii")):
                found.add((port, host, owners.get(inode, 0)))
    return [
        {"port": port, "address": host, "pid": pid or None, "program": program(pid)}
        for port, host, pid in sorted(found)
    ]
