# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a transfer that failed has proved: kept in `<destination>.partial`, listed in a file beside it, proved again when used."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Container
from pathlib import Path
from typing import Any

from ..run import atomic
from . import here
from .frames import Entry
from .staging import Staging

SUFFIX, LIST_SUFFIX = ".partial", ".partial.json"
SCHEMA = 1


def folder_of(destination: Path) -> Path:
    """Return where what is proved waits for the rest."""
    return destination.with_name(destination.name + SUFFIX)


def list_of(destination: Path) -> Path:
    """Return the file that says what is there."""
    return destination.with_name(destination.name + LIST_SUFFIX)


def keep(destination: Path, staging: Staging, algorithm: str) -> None:
    """Put what is proved beside the destination, under its paths on the node, and list it there."""
    files = [here.listed(one, algorithm) for one in staging.proved.values()]
    remove(destination)
    staging.publish(folder_of(destination))
    content = {"schema_version": SCHEMA, "partial": True, "files": files}
    atomic.write_bytes(list_of(destination), json.dumps(content).encode("ascii"))


def remove(destination: Path) -> None:
    """Remove what was kept: it is in place now."""
    list_of(destination).unlink(missing_ok=True)
    shutil.rmtree(folder_of(destination), ignore_errors=True)


def take_up(destination: Path, staging: Path, algorithms: Container[str]) -> tuple[str, dict[str, Entry]]:
    """Return algorithm and path -> entry of what was kept and still has its digest, now in the staging folder; "" and {} for none.

    algorithms: those that may prove a transfer now; without any that fits, what was kept stays as it is.
    """
    folder = folder_of(destination)
    shutil.rmtree(staging, ignore_errors=True)
    if folder.is_symlink():
        return "", {}
    algorithm, found = here.proved(folder, read(list_of(destination)).get("files"), algorithms)
    if found:
        os.rename(folder, staging)
        remove(destination)
    return algorithm, found


def read(path: Path) -> dict[str, Any]:
    """Return a list of files that was written beside a destination, {} where there is none that can be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.get("schema_version") == SCHEMA else {}
