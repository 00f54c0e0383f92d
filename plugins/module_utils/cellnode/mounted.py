# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts below our folders, and their removal: what is mounted there must never be deleted with the folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from .command import run
from .mounts import Mount, current

UMOUNT_TIMEOUT_S = 10.0


def below(folder: Path, seen: Iterable[Mount]) -> list[Mount]:
    """Return the mounts at or below a folder, deepest first."""
    inside = str(folder).rstrip("/") + "/"
    found = [mount for mount in seen if mount.point == str(folder) or mount.point.startswith(inside)]
    return sorted(found, key=lambda mount: mount.point, reverse=True)


def unmount(folder: Path, environ: Mapping[str, str], *, lazy: bool = False) -> list[str]:
    """Unmount everything at or below a folder and return a complaint for each mount that stays.

    lazy: it is taken out of the tree at once, also while it is in use or its server does not answer.
    """
    argv = ["umount", *(["--lazy"] if lazy else [])]
    for mount in below(folder, current()):
        run([*argv, "--", mount.point], environ, UMOUNT_TIMEOUT_S)
    return [f"{mount.kind} is still mounted at {mount.point}" for mount in below(folder, current())]
