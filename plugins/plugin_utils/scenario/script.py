# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the test script of a scenario can be started: a file of the scenario, executable, that names its program."""

from __future__ import annotations

import stat
from pathlib import Path

_MAGIC = (b"#!", b"\x7fELF")
_HEAD_BYTES = 256


def wrong_script(folder: Path, script: str) -> str:
    """Return why the script, a path relative to folder, cannot be started, or "" when it can."""
    path = folder / script
    try:
        real = path.resolve(strict=True)
        status = real.stat()
    except (OSError, RuntimeError) as exc:
        missing = isinstance(exc, FileNotFoundError)
        why = "is a link to a file that does not exist" if missing and path.is_symlink() else "does not exist"
        return why if missing else f"cannot be reached: {getattr(exc, 'strerror', None) or exc}"
    if not real.is_relative_to(folder.resolve()):
        return f"is a link that leads out of the scenario, to {real}"
    if not stat.S_ISREG(status.st_mode):
        return "is a directory" if stat.S_ISDIR(status.st_mode) else "is not a regular file"
    if not status.st_mode & 0o111:
        return f"is not executable (mode {stat.S_IMODE(status.st_mode):04o}); run: chmod +x {path}"
    return _wrong_head(real)


def _wrong_head(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as exc:
        return f"cannot be read: {exc.strerror}"
    if not head:
        return "is empty"
    if not head.startswith(_MAGIC):
        return "does not say how to run it; its first line must be such as #!/bin/bash"
    if head.startswith(b"#!") and b"\r" in head.split(b"\n", 1)[0]:
        return "has Windows line ends; its first line would look for a program whose name ends in a carriage return"
    return ""
