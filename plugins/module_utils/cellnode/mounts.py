# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted on this node: the kernel's mount table, read once a call."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TABLE = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One mount. point: where; kind: type of file system; source: of what; options: those of the file system itself."""

    point: str
    kind: str
    source: str
    options: tuple[str, ...]


def parse(text: str) -> tuple[Mount, ...]:
    """Return the mounts of a mountinfo table, in its order; lines of another form are left out."""
    return tuple(mount for mount in map(_mount, text.splitlines()) if mount is not None)


def _mount(line: str) -> Mount | None:
    left, separator, right = line.partition(" - ")
    fields, rest = left.split(" "), right.split(" ")
    if not separator or len(fields) < 6 or len(rest) < 3:
        return None
    return Mount(_plain(fields[4]), rest[0], _plain(rest[1]), tuple(rest[2].split(",")))


def _plain(text: str) -> str:
    """Return a path with its octal escapes resolved."""
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text)


def current() -> tuple[Mount, ...]:
    """Return the mounts that this process sees; none when the table cannot be read."""
    try:
        return parse(TABLE.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError:
        return ()
