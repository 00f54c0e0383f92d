# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of a run: one JSON object a line, appended in one write and synced, never rewritten."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAME = "journal.jsonl"


def append(run_dir: Path, entry: dict[str, Any]) -> None:
    """Add entry to the journal of run_dir, whole or not at all; several processes may append at the same time."""
    line = json.dumps(entry, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
    data = line.encode("utf-8", "backslashreplace")
    descriptor = os.open(run_dir / NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        before = os.fstat(descriptor).st_size
        if os.write(descriptor, data) < len(data):
            os.ftruncate(descriptor, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(run_dir / NAME))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(run_dir: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of a journal in order; a last line cut short by a crash is left out."""
    path = run_dir / NAME
    if not path.exists():
        return
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if not line.endswith("\n"):
                return
            yield json.loads(line)
