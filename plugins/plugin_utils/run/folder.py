# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the files of a run lie on the controller (design: results/<run_id>/<scenario>[/<case>][/attempt_N])."""

from __future__ import annotations

import os
import pwd
import re
import time
from dataclasses import dataclass
from pathlib import Path

RUN_ID = re.compile(r"\d{8}_\d{6}(_\d+)?")
LATEST = "latest"
# A file that keeps a run from being removed; it comes and goes after the end.
PIN = ".keep"
# Where a run that goes on is recorded, where that is not the file beside the runs: it may hold a password, and goes at the end.
DATABASE = Path(".board") / "database_url"


@dataclass(frozen=True)
class CaseRef:
    """One attempt of one case: what names it everywhere. case is "" for a scenario without a matrix."""

    scenario: str
    case: str
    attempt: int

    @property
    def title(self) -> str:
        """Return the name shown to people: scenario, case and, from the second on, the attempt."""
        parts = [
            self.scenario,
            *([self.case] if self.case else []),
            *([f"attempt {self.attempt}"] if self.attempt > 1 else []),
        ]
        return " / ".join(parts)

    def folder(self, run_dir: Path) -> Path:
        """Return the folder of this attempt below run_dir."""
        base = run_dir / self.scenario
        if self.case:
            base /= self.case
        return base / f"attempt_{self.attempt}" if self.attempt > 1 else base


def create_run(results_dir: Path, now: float, wanted: str = "") -> Path:
    """Make and return a new run folder named by local time, with a short suffix when that name is taken.

    wanted: an id decided by the caller; FileExistsError when it is taken, ValueError when it is no run id.
    """
    results_dir.mkdir(parents=True, exist_ok=True)
    if wanted:
        if not RUN_ID.fullmatch(wanted):
            raise ValueError(f"run id {wanted!r} is not of the form YYYYMMDD_HHMMSS or YYYYMMDD_HHMMSS_N")
        (results_dir / wanted).mkdir()
        return results_dir / wanted
    stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(now))
    for number in range(1, 1000):
        folder = results_dir / (stamp if number == 1 else f"{stamp}_{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"a thousand runs are named {stamp} already in {results_dir}")


def database_url(run_dir: Path) -> str:
    """Return where a run that goes on is recorded, "" for the file beside the runs."""
    try:
        return (run_dir / DATABASE).read_text()
    except FileNotFoundError:
        return ""


def owner_of(folder: Path) -> str:
    """Return to whom the folder, or the nearest one above it that exists, belongs, and who we are."""
    # os.path.exists, since a folder that we may not enter hides what is in it instead of raising
    nearest = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
    facts = nearest.stat()
    mode = f"mode {facts.st_mode & 0o7777:04o}"
    return f"; {nearest} belongs to {_user(facts.st_uid)}, {mode}; you are {_user(os.geteuid())}"


def _user(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def point_latest(results_dir: Path, run_id: str) -> None:
    """Let results/latest name run_id; a file or folder of that name which is not a link is left alone."""
    link = results_dir / LATEST
    if link.exists() and not link.is_symlink():
        return
    temporary = results_dir / f".{LATEST}.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(run_id)
    os.replace(temporary, link)
