# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removing old runs: only folders that prove to be ours, never through a link, never across a mount."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..run.folder import LATEST, RUN_ID, point_latest
from .results import RunRow, list_runs, names_itself, run_folders

DAY_S = 86_400.0
DOOMED = ".removing."


@dataclass(frozen=True)
class Cleaned:
    """What a cleaning removed (or would remove), what it kept, and what it left alone with the reason."""

    removed: tuple[RunRow, ...]
    kept: tuple[RunRow, ...]
    refused: tuple[tuple[str, str], ...]
    dry_run: bool

    @property
    def bytes(self) -> int:
        """Return how many bytes the removed runs held."""
        return sum(row.bytes for row in self.removed)

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as plain JSON types."""
        return {
            "removed": [row.as_dict() for row in self.removed],
            "kept": [row.run_id for row in self.kept],
            "refused": [{"name": name, "reason": reason} for name, reason in self.refused],
            "bytes": self.bytes,
            "dry_run": self.dry_run,
        }


def cleanup(results_dir: Path, days: float, now: float, dry_run: bool = False) -> Cleaned:
    """Remove runs whose last sign of life is older than days and return what was done; `latest` stays right.

    A run that still writes is kept whatever its age; a folder named like a run that is not provably one of ours,
    or that holds a mount, is left alone and named.
    """
    if not dry_run:
        _finish_interrupted(results_dir)
    refused = [
        (folder.name, "nothing in it names this run") for folder in run_folders(results_dir) if not names_itself(folder)
    ]
    removed, kept = [], []
    for row in list_runs(results_dir, now):
        if row.state == "running" or now - row.last_sign <= days * DAY_S:
            kept.append(row)
            continue
        problem = _mounts(row.path) or ("" if dry_run else _remove(results_dir, row.path))
        if problem:
            refused.append((row.run_id, problem))
            kept.append(row)
        else:
            removed.append(row)
    if removed and not dry_run:
        _repoint(results_dir, kept)
    return Cleaned(tuple(removed), tuple(kept), tuple(refused), dry_run)


def _remove(results_dir: Path, run_dir: Path) -> str:
    """Remove a run folder and return "", or why it could not be; it leaves the list of runs in one step first."""
    doomed = results_dir / f"{DOOMED}{run_dir.name}"
    try:
        os.rename(run_dir, doomed)
        shutil.rmtree(doomed)
    except OSError as exc:
        return f"cannot be removed: {exc.strerror or exc}: {exc.filename}"
    return ""


def _finish_interrupted(results_dir: Path) -> None:
    """Remove what an interrupted cleaning had already renamed."""
    for path in results_dir.glob(f"{DOOMED}*") if results_dir.is_dir() else ():
        if RUN_ID.fullmatch(path.name[len(DOOMED) :]) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def _mounts(run_dir: Path) -> str:
    """Return a text when something is mounted below run_dir, else ""."""
    device = run_dir.lstat().st_dev
    for base, folders, _files in os.walk(run_dir, followlinks=False):
        for name in folders:
            path = os.path.join(base, name)
            if os.lstat(path).st_dev != device or os.path.ismount(path):
                return f"something is mounted at {path}"
    return ""


def _repoint(results_dir: Path, kept: list[RunRow]) -> None:
    """Let `latest` name the newest run left when its own is gone; without any run the link goes."""
    link = results_dir / LATEST
    if not link.is_symlink() or link.exists():
        return
    if kept:
        point_latest(results_dir, kept[-1].run_id)
    else:
        link.unlink()
