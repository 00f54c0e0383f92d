# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove a folder of ours with everything in it: links are not followed, and mounts are taken off first."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import mounted
from .command import run
from .engine import Engine
from .errors import CellError

INSIDE = "/testcell"
WAIT_S = 300.0


@dataclass(frozen=True)
class Removal:
    """What was removed and what would not go."""

    files: int = 0
    errors: tuple[str, ...] = ()
    size: int = 0  # bytes


def tree(folder: Path, environ: Mapping[str, str]) -> Removal:
    """Remove a folder and count its files; nothing is deleted while something is mounted below it."""
    if not os.path.lexists(folder):
        return Removal()
    complaints = mounted.unmount(folder, environ)
    if complaints:
        return Removal(0, tuple(complaints))
    before, size = measure(folder)
    said = _rm(folder, environ)
    if said:  # its owner may have taken the right to write from a folder
        run(["chmod", "-R", "u+rwX", "--", str(folder)], environ, WAIT_S)
        said = _rm(folder, environ)
    left, size_left = measure(folder)
    return Removal(max(0, before - left), tuple(said[:20]), max(0, size - size_left))


def _rm(folder: Path, environ: Mapping[str, str]) -> list[str]:
    """Remove a folder by `rm`, which knows no limit of depth, and return its complaints."""
    done = run(["rm", "-rf", "--", str(folder)], environ, WAIT_S)
    if not os.path.lexists(folder):
        return []
    return done.err.strip().splitlines() or [f"rm ended with {done.code}, but {folder} is still there"]


def measure(folder: Path) -> tuple[int, int]:
    """Return how many entries that are no folders lie below a folder, and their bytes; what cannot be read is nothing."""
    total, size, todo = 0, 0, [str(folder)]
    while todo:
        with suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
                else:
                    total += 1
                    size += entry.stat(follow_symlinks=False).st_size
    return total, size


def by_engine(engine: Engine, image: str, folder: Path, labels: Mapping[str, str]) -> str:
    """Remove a folder as root inside a container of one of the case's images and return a complaint, or "".

    Containers write files of their own user into bound folders, which a node user without root may not delete.
    """
    body = {
        "Image": image,
        "Entrypoint": ["rm", "-rf", "--", f"{INSIDE}/{folder.name}"],
        "Cmd": [],
        "User": "0:0",
        "Labels": dict(labels),
        "HostConfig": {"Binds": [f"{folder.parent}:{INSIDE}"], "NetworkMode": "none"},
    }
    try:
        made = str(engine.call("POST", "/containers/create", body=body)["Id"])
        try:
            engine.start(made)
            code = engine.call("POST", f"/containers/{made}/wait", timeout=WAIT_S)["StatusCode"]
        finally:
            engine.remove("containers", made)
    except CellError as exc:
        return f"cannot remove {folder} by a container of {image}: {exc.message}"
    return "" if code == 0 else f"rm in a container of {image} ended with {code} for {folder}"
