# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that an earlier transfer has put in place, proved again before they are taken for what the node has."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from ...module_utils.cellnode import digests
from .errors import ArtifactError
from .frames import Entry, entry
from .receiver import installed
from .staging import split

BLOCK_BYTES = 1 << 20


def proved(folder: Path, files: Any, algorithms: Container[str]) -> tuple[str, dict[str, Entry]]:
    """Return the algorithm and path -> entry of the listed files that still have their digest; "" and {} for none.

    files: as `listed`, all of one algorithm. algorithms: those that may prove a transfer now.
    """
    found: dict[str, Entry] = {}
    used = ""
    for row in files if isinstance(files, list) else []:
        algorithm, one = _entry(row)
        new = digests.factory(algorithm, installed) if algorithm in algorithms else None
        if one and new and used in ("", algorithm) and digest_of(folder / one.path, new) == one.digest:
            found[one.path], used = one, algorithm
    return used, found


def listed(one: Entry, algorithm: str) -> dict[str, Any]:
    """Return a file as a manifest lists it; digest: `<algorithm>:<hex>`, "" where none was made."""
    shown = {
        "path": one.path,
        "size": one.size,
        "mode": one.mode,
        "mtime": one.mtime_ns / 1e9,
        "mtime_ns": one.mtime_ns,
    }
    return {**shown, "ctime_ns": one.ctime_ns, "digest": f"{algorithm}:{one.digest}" if one.digest else ""}


def _entry(row: Any) -> tuple[str, Entry | None]:
    """Return algorithm and entry of a listed file, None for what is none."""
    if not isinstance(row, Mapping):
        return "", None
    algorithm, _, digest = str(row.get("digest")).partition(":")
    try:
        one = entry([*(row.get(key) for key in ("path", "size", "mode", "mtime_ns", "ctime_ns")), digest])
        split(one.path)
    except ArtifactError:
        return "", None
    return algorithm, one


def digest_of(path: Path, new: digests.Factory) -> str:
    """Return the digest of a regular file, "" for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    digest = new()
    try:
        while block := os.read(descriptor, BLOCK_BYTES):
            digest.update(block)
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    return str(digest.hexdigest())
