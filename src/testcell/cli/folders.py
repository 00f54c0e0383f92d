# SPDX-License-Identifier: MIT


"""The results folder before a run: whether it can be written to, and which run id is free."""

from __future__ import annotations

import os
import pwd
import time
from pathlib import Path

from testcell.cli.errors import CliError
from testcell.exits import Exit


def writable(folder: Path) -> None:
    """Make a results folder; CliError names its owner when this user cannot write to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return
        why = "cannot be written to"
    except FileExistsError:
        why = "is not a folder"
    except OSError as exc:
        why = f"cannot be made: {exc.strerror}"
    raise CliError(f"results folder {folder} {why}{_owners(folder)}", hint="name another one with --results-dir DIR",
                   code=Exit.INFRASTRUCTURE)  # fmt: skip


def free_run_id(results_dir: Path, now: float) -> str:
    """Return the id for a run that begins now, with a suffix when the second is taken."""
    stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(now))
    taken = {entry.name for entry in results_dir.iterdir()}
    if stamp not in taken:
        return stamp
    return next(name for number in range(2, len(taken) + 3) if (name := f"{stamp}_{number}") not in taken)


def _owners(folder: Path) -> str:
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    facts = nearest.stat()
    return f"; {nearest} belongs to {_user(facts.st_uid)}, mode {facts.st_mode & 0o7777:04o}; you are {_user(os.geteuid())}"


def _user(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"
