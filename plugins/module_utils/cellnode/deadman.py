# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead man's switch: work ends when nobody renews the lease it runs under."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .holders import Now
from .lease import DEFAULT_TTL_S, claim


class DeadMan:
    """Decides at each look whether the work must end. run, epoch: the lease that the work was started under.

    A lease that the run's next controller has taken on is no reason.
    """

    def __init__(self, root: Path, run: str, epoch: int, now: Callable[[], Now]) -> None:
        self._root, self._run, self._epoch, self._now = root, run, epoch, now
        self._ttl_s = DEFAULT_TTL_S
        self._lapsed_at: float | None = None

    def cause(self) -> str | None:
        """Return why the work must end: taken (another epoch owns the node), lease (over for longer than its ttl), None."""
        now = self._now()
        standing, ttl_s = claim(self._root, self._run, self._epoch, now, carried=True)
        self._ttl_s = ttl_s or self._ttl_s
        if standing != "lapsed":
            self._lapsed_at = None
            return "taken" if standing == "other" else None
        if self._lapsed_at is None:
            self._lapsed_at = now.boottime
        return "lease" if now.boottime - self._lapsed_at > self._ttl_s else None
