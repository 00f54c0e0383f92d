# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of this program in the node root, one a version: those that nobody uses any more are removed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from . import procs

UNUSED_S = 7 * 86400.0
# With the end that a copy has which was broken off.
NAME = re.compile(r"(?:cellnode|cellload)-[0-9a-f]{12}\.pyz(?:\.[a-z0-9_]{8})?\Z")


def tidy(root: Path, running: Path, now: float) -> None:
    """Mark the running program as used, and remove the others that were not used for a week. now: unix seconds.

    What cannot be marked or removed stays until next time: no run has to wait for it.
    """
    if running.parent != root or not NAME.match(running.name):
        return
    with suppress(OSError):
        os.utime(running, (now, now))
        old = {path for path in _versions(root) if path != running and now - path.lstat().st_mtime > UNUSED_S}
        for path in old - _in_use(old):
            path.unlink()


def _versions(root: Path) -> Iterator[Path]:
    with os.scandir(root) as entries:
        yield from (root / entry.name for entry in entries if NAME.match(entry.name) and _is_file(entry))


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)


def _in_use(paths: set[Path]) -> set[Path]:
    """Return the paths whose names living processes were started with: a supervisor may run for weeks."""
    if not paths:
        return set()
    words = {word for pid in procs.pids() for word in procs.arguments(pid)}
    names = {word.rpartition("/")[2] for word in words}
    return {path for path in paths if path.name in names}
