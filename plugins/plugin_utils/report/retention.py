# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removing old runs: only folders that prove to be ours, never through a link, never across a mount."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..artifacts import archive
from ..run.folder import LATEST, RUN_ID, point_latest
from .results import RunRow, is_pinned, list_runs, names_itself, run_folders

DAY_S = 86_400.0
DOOMED = ".removing."


@dataclass(frozen=True)
class Policy:
    """Which runs may go: those older than days, all but the newest `keep`, or the oldest until max_bytes hold the rest.

    failed_days: runs that did not simply pass, flaky ones too, stay for this long instead.
    """

    days: float | None = None
    keep: int | None = None
    max_bytes: int | None = None
    failed_days: float | None = None

    def days_of(self, row: RunRow) -> float:
        """Return for how many days a run stays whatever else is said of it."""
        if self.failed_days is not None and row.verdict != "pass":
            return self.failed_days
        return 0.0 if self.days is None else self.days


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


def prune(
    results_dir: Path, policy: Policy, now: float, *, resumable: Callable[[Path], str], dry_run: bool = False
) -> Cleaned:
    """Remove the runs that may go by the policy and return what was done; `latest` stays right.

    A run that is live, resumable, pinned, or the latest is kept whatever its age; a folder named like a run that is not
    provably one of ours, or that holds a mount, is left alone and named. resumable: says of a run without a summary why
    it is to be kept, "" when it is not.
    """
    if not dry_run:
        _finish_interrupted(results_dir, now)
    refused = [
        (folder.name, "nothing in it names this run") for folder in run_folders(results_dir) if not names_itself(folder)
    ]
    rows = list_runs(results_dir, now)
    removed, kept, total = [], [], sum(row.bytes for row in rows)
    for row in rows:
        may_go = _may_go(row, rows, total, policy, now)
        problem = may_go and (_protected(results_dir, row, resumable) or _mounts(row.path))
        problem = problem or ("" if dry_run or not may_go else remove(results_dir, row.path))
        if problem:
            refused.append((row.run_id, problem))
        if problem or not may_go:
            kept.append(row)
        else:
            removed.append(row)
            total -= row.bytes
    if removed and not dry_run:
        _repoint(results_dir, kept)
    return Cleaned(tuple(removed), tuple(kept), tuple(refused), dry_run)


def _may_go(row: RunRow, rows: Sequence[RunRow], total: int, policy: Policy, now: float) -> bool:
    """Decide whether the policy lets a run go. total: the bytes of all runs that are left."""
    young = now - row.last_sign <= policy.days_of(row) * DAY_S
    newest = policy.keep is not None and row in rows[max(len(rows) - policy.keep, 0) :]
    small = policy.max_bytes is not None and total <= policy.max_bytes
    return not (young or newest or small)


def _protected(results_dir: Path, row: RunRow, resumable: Callable[[Path], str]) -> str:
    """Return why a run stays whatever its age, "" when nothing keeps it."""
    if row.pinned:
        return _pinned(row.path)
    if row.state == "running":
        return "it still writes"
    link = results_dir / LATEST
    if link.is_symlink() and os.readlink(link) == row.run_id:
        return "it is the latest"
    return resumable(row.path) if row.state == "unfinished" else ""


def why_kept(run_dir: Path) -> str:
    """Return why a run that somebody names to be removed is not, "" when nothing keeps it."""
    return _pinned(run_dir) if is_pinned(run_dir) else _mounts(run_dir)


def take_out(results_dir: Path, run_dir: Path, now: float) -> str:
    """Remove one run and return "", or why it could not be; `latest` stays right."""
    problem = remove(results_dir, run_dir)
    if not problem:
        _repoint(results_dir, list_runs(results_dir, now))
    return problem


def _pinned(run_dir: Path) -> str:
    return f"it is pinned; `testcell results unpin {run_dir.name}`"


def remove(results_dir: Path, run_dir: Path) -> str:
    """Remove a run's folder and return "", or why it could not be; it leaves the list of runs in one step first."""
    doomed = results_dir / f"{DOOMED}{run_dir.name}"
    try:
        os.rename(run_dir, doomed)
        shutil.rmtree(doomed)
    except OSError as exc:
        return f"cannot be removed: {exc.strerror or exc}: {exc.filename}"
    return ""


def _finish_interrupted(results_dir: Path, now: float) -> None:
    """Remove what an interrupted cleaning had renamed, and what is left of archives that were never finished or unpacked."""
    for path in results_dir.glob(f"{archive.STAGING}*") if results_dir.is_dir() else ():
        if path.is_dir() and not path.is_symlink() and now - path.stat().st_mtime > DAY_S:
            shutil.rmtree(path, ignore_errors=True)
    for path in results_dir.glob(f".*{archive.SUFFIX}.*") if results_dir.is_dir() else ():
        with suppress(FileNotFoundError):  # it has been finished now
            _drop_unfinished(path, now)
    for path in results_dir.glob(f"{DOOMED}*") if results_dir.is_dir() else ():
        if RUN_ID.fullmatch(path.name[len(DOOMED) :]) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def _drop_unfinished(path: Path, now: float) -> None:
    """Remove a file that was to become the archive of a run and has long not been written to."""
    facts, run_id = path.lstat(), path.name[1:].partition(archive.SUFFIX)[0]
    if RUN_ID.fullmatch(run_id) and stat.S_ISREG(facts.st_mode) and now - facts.st_mtime > DAY_S:
        path.unlink()


def _mounts(run_dir: Path) -> str:
    """Return a text when something is mounted below run_dir, else ""."""
    device = run_dir.lstat().st_dev
    for base, folders, _files in os.walk(run_dir, followlinks=False):
        for name in folders:
            path = os.path.join(base, name)
            if os.lstat(path).st_dev != device or os.path.ismount(path):
                return f"something is mounted at {path}"
    return ""


def _repoint(results_dir: Path, kept: Sequence[RunRow]) -> None:
    """Let `latest` name the newest run left when its own is gone; without any run the link goes."""
    link = results_dir / LATEST
    if not link.is_symlink() or link.exists():
        return
    if kept:
        point_latest(results_dir, kept[-1].run_id)
    else:
        link.unlink()
