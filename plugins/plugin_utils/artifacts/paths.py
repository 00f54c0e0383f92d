# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which paths are taken from a node, a manifest or an archive: none of them leaves the folder that it starts at."""

from __future__ import annotations

NAME_BYTES, PATH_BYTES = 255, 4095
# Parts of a path that is not plain: "" is what an absolute one, an empty one, and one with // or / at its end have.
UNPLAIN = frozenset(("", ".", ".."))


def is_plain(path: str) -> bool:
    """Return whether a path can be one, is relative, has one spelling only, and cannot leave the folder that it starts at."""
    return "\0" not in path and UNPLAIN.isdisjoint(path.split("/")) and _encoded(path) is not None


def is_safe(path: str) -> bool:
    """Return whether a file may be made at a path: it is plain, has no backslash, and a file system can hold it."""
    return "\\" not in path and is_plain(path) and _is_short(path)


def _is_short(path: str) -> bool:
    if path.isascii() and len(path) <= NAME_BYTES:
        return True
    raw = _encoded(path) or b""
    return len(raw) <= PATH_BYTES and all(len(name) <= NAME_BYTES for name in raw.split(b"/"))


def _encoded(path: str) -> bytes | None:
    """Return the bytes of a path, which are text or not; None where it holds halves of letters."""
    try:
        return path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
