# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SHA256SUMS: the digests of files as `sha256sum -c` of coreutils reads them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from ..run import atomic

NAME = "SHA256SUMS"
LINE = re.compile(rb"(?P<escaped>\\?)(?P<digest>[0-9a-f]{64}) [ *](?P<name>.+)", re.DOTALL)
# A name with one of these has them spelled out, and its line begins with a backslash.
SPELLED = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}
MEANT = {spelled[1:]: byte for byte, spelled in SPELLED.items()}


class SumsError(Exception):
    """A file that is no list of digests; the text says which line and why."""


def render(digests: Mapping[str, str]) -> bytes:
    """Return the list of path -> hex digest, sorted by the bytes of the paths."""
    return b"".join(_line(path, digests[path]) for path in sorted(digests, key=os.fsencode))


def _line(path: str, digest: str) -> bytes:
    name = os.fsencode(path)
    spelled = re.sub(rb"[\\\n\r]", lambda found: SPELLED[found.group()], name)
    return b"%s%s  %s\n" % (b"\\" if spelled != name else b"", digest.encode(), spelled)


def parse(content: bytes) -> dict[str, str]:
    """Return path -> hex digest; SumsError names the first line that is wrong, or that gives a path again."""
    found: dict[str, str] = {}
    if content and not content.endswith(b"\n"):
        raise SumsError(f"line {content.count(10) + 1} is cut short")
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        match = LINE.fullmatch(line)
        if not match:
            raise SumsError(f"line {number} is no digest with a name")
        path = os.fsdecode(_meant(match["name"], number) if match["escaped"] else match["name"])
        if path in found:
            raise SumsError(f"line {number} gives {path!r} once more")
        found[path] = match["digest"].decode()
    return found


def settle(folder: Path, name: str) -> None:
    """Add a file to the list of a folder that nobody writes any more; nothing is done for a folder that has none."""
    try:
        listed = parse((folder / NAME).read_bytes())
        content = (folder / name).read_bytes()
    except (FileNotFoundError, SumsError):
        return
    atomic.write_bytes(folder / NAME, render({**listed, name: hashlib.sha256(content).hexdigest()}))


def _meant(spelled: bytes, number: int) -> bytes:
    def one(found: re.Match[bytes]) -> bytes:
        if found.group(1) not in MEANT:
            raise SumsError(f"line {number} has a backslash that stands for nothing")
        return MEANT[found.group(1)]

    return re.sub(rb"\\(.?)", one, spelled, flags=re.DOTALL)
