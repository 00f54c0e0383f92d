# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a configuration file may be believed: readable, not writable by everybody, not owned by a stranger."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..problems import Problem


def distrust(path: Path, *, user: int) -> list[Problem]:
    """Return why the file at path is not used, with its mode and owner. user: the effective user id.

    Trusted owners are the user, root, and whoever owns the folder as well: a checkout that belongs to another user as
    a whole (a mounted volume, `sudo`) is a choice of the person who started us; one odd file in it is not.
    A missing file is no problem here.
    """
    try:
        status = path.stat()
        folder_owner = path.parent.stat().st_uid
    except FileNotFoundError:
        return []
    except OSError as exc:
        return [Problem(str(path), message=f"cannot be read: {exc.strerror}")]
    facts = f"mode {stat.S_IMODE(status.st_mode):04o}, owner uid {status.st_uid}"
    problems = []
    if status.st_mode & stat.S_IWOTH and stat.S_ISREG(status.st_mode):
        problems.append(Problem(str(path), message=f"everybody may write this file ({facts}); run: chmod o-w {path}"))
    if status.st_uid not in (user, 0, folder_owner):
        hint = f"run: chown {user} {path}"
        problems.append(Problem(str(path), message=f"belongs to another user than you (uid {user}; {facts}); {hint}"))
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        who = "u" if status.st_uid == user else "a"
        problems.append(
            Problem(str(path), message=f"cannot be read by uid {user} ({facts}); run: chmod {who}+r {path}")
        )
    return problems
