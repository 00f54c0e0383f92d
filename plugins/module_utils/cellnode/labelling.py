# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A docker command for a unit: what a script makes with it carries the run's label, so that cleaning finds it.

The engine does not tell who made a container, and one without a label may be anybody's.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from .beneath import FOLDER_FLAGS
from .durable import replace_bytes
from .objects import RUN

FOLDER, NAME = "bin", "docker"
# Options before the subcommand that take a value (docker CLI reference, "docker").
VALUED = ("--config", "--context", "-c", "--host", "-H", "--log-level", "-l", "--tlscacert", "--tlscert", "--tlskey")
MAKING = (
    ["run"],
    ["create"],
    ["container", "run"],
    ["container", "create"],
    ["network", "create"],
    ["volume", "create"],
)
PROGRAM = """#!{python} -ISE
import os, sys
words, at = sys.argv[1:], 0
while at < len(words) and words[at].startswith("-"):
    at += 2 if words[at] in {valued!r} else 1
for making in {making!r}:
    end = at + len(making)
    if words[at:end] == making:
        words[end:end] = ["--label", {label!r}]
        break
os.execv({real!r}, [{real!r}, *words])
"""


def put(folder_fd: int, folder: Path, run: str, path: str) -> str:
    """Return PATH for a unit: with a docker command of its own in front where path has one. folder: that of the unit."""
    real = shutil.which(NAME, path=path)
    if real is None:
        return path
    with suppress(FileExistsError):
        os.mkdir(FOLDER, 0o700, dir_fd=folder_fd)
    bin_fd = os.open(FOLDER, FOLDER_FLAGS, dir_fd=folder_fd)
    try:
        text = PROGRAM.format(python=sys.executable, valued=VALUED, making=MAKING, label=f"{RUN}={run}", real=real)
        replace_bytes(bin_fd, NAME, text.encode(), 0o700)
    finally:
        os.close(bin_fd)
    return f"{folder / FOLDER}:{path}"
