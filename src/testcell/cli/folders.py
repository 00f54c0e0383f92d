# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""The results folder before a run: whether it can be written to, and which run id is free."""

from __future__ import annotations

import os
import time
from pathlib import Path

from testcell.cli.errors import CliError
from testcell.exits import Exit


def writable(folder: Path) -> None:
    """Make a results folder; CliError names its owner when this user cannot write to it."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.folder import owner_of

    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return
        why = "cannot be written to"
    except FileExistsError:
        why = "is not a folder"
    except OSError as exc:
        why = f"cannot be made: {exc.strerror}"
    raise CliError(f"results folder {folder} {why}{owner_of(folder)}", hint="name another one with --results-dir DIR",
                   code=Exit.INFRASTRUCTURE)  # fmt: skip


def free_run_id(results_dir: Path, now: float) -> str:
    """Return the id for a run that begins now, with a suffix when the second is taken."""
    stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(now))
    taken = {entry.name for entry in results_dir.iterdir()}
    if stamp not in taken:
        return stamp
    return next(name for number in range(2, len(taken) + 3) if (name := f"{stamp}_{number}") not in taken)
