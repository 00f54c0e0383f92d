# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that an earlier transfer has put in place, proved again before they are taken for what the node has."""

from __future__ import annotations

from collections.abc import Container, Mapping
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

from . import hashes, paths, readback
from .errors import ArtifactError
from .frames import Entry, entry


def proved(folder: Path, files: Any, algorithms: Container[str]) -> tuple[str, dict[str, Entry]]:
    """Return the algorithm and path -> entry of the listed files that still have their digest; "" and {} for none.

    files: as `listed`, all of one algorithm. algorithms: those that may prove a transfer now.
    """
    found: dict[str, Entry] = {}
    used = ""
    for row in files if isinstance(files, list) else []:
        algorithm, one = _entry(row)
        if one and algorithm in algorithms and used in ("", algorithm) and _is_there(folder, one, algorithm):
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


def line(one: Entry, algorithm: str) -> str:
    """Return what `listed` returns as JSON in one line; of many files that takes a third of the time."""
    path, digest = encode_basestring(one.path), encode_basestring(f"{algorithm}:{one.digest}" if one.digest else "")
    times = f'"mtime": {one.mtime_ns / 1e9!r}, "mtime_ns": {one.mtime_ns}, "ctime_ns": {one.ctime_ns}'
    return f'{{"path": {path}, "size": {one.size}, "mode": {one.mode}, {times}, "digest": {digest}}}'


def _entry(row: Any) -> tuple[str, Entry | None]:
    """Return algorithm and entry of a listed file, None for what is none."""
    if not isinstance(row, Mapping):
        return "", None
    algorithm, _, digest = str(row.get("digest")).partition(":")
    try:
        one = entry([*(row.get(key) for key in ("path", "size", "mode", "mtime_ns", "ctime_ns")), digest])
    except ArtifactError:
        return "", None
    return algorithm, one if paths.is_safe(one.path) else None


def _is_there(folder: Path, one: Entry, algorithm: str) -> bool:
    """Return whether a file is there and has its digest."""
    seen = readback.read(str(folder / one.path), {algorithm: hashes.MOST_DIGITS})
    return seen.digests.get(algorithm) == one.digest
