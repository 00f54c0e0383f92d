# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How files are to be brought home, and what becomes of a transfer that fails: whether it is tried again, and when."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..node.errors import NodeError
from .errors import ArtifactError

FULL, SIZE, OFF = "full", "size", "off"
INTEGRITY = (FULL, SIZE, OFF)
COMPRESS = ("auto", "always", "never")
# Seconds before the first further try, how much longer each next pause is, and the longest. What a pause is of that is left
# to chance, so that many nodes behind one broken switch do not come back at one moment.
FIRST_PAUSE_S, GROWTH, LONGEST_PAUSE_S = 0.25, 4.0, 10.0
LEAST_SHARE = 0.5
DAMAGED, FAILED, SILENT, CUT = "artifact_corrupt", "transfer_failed", "ssh_timeout", "ssh_dropped"
# Another connection may cure these. The others stay as they are: a name that is unsafe, a key that is refused, a full disk.
AGAIN = frozenset({CUT, "ssh_refused", SILENT, "dns_failure", FAILED, DAMAGED})
# Noticing that a node is silent takes most of the time in which a run must have noticed it (see node/ssh.py).
SILENT_TRIES = 2
# What a transfer can fail with; OSError is what this machine refuses.
Failure = NodeError | ArtifactError | OSError


@dataclass(frozen=True)
class Policy:
    """How files are brought. retries: tries after the first; silence_s: how long a transfer may bring nothing.

    integrity: `full` (digests), `size`, or `off`. compress: `auto` (where it pays), `always` or `never`.
    """

    retries: int = 3
    silence_s: float = 300.0
    integrity: str = FULL
    compress: str = "auto"


@dataclass(frozen=True)
class Pace:
    """Ways to wait. chance: a number from 0 to 1."""

    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random


class Tries:
    """Counts how often a transfer has been tried again."""

    def __init__(self, policy: Policy, pace: Pace) -> None:
        self.again = 0
        self._policy, self._pace = policy, pace
        self._silences = 0

    def failed(self, exc: Failure) -> None:
        """Return when it is time for another try; raise what the transfer has failed with where there is none."""
        if isinstance(exc, OSError) or exc.kind not in AGAIN:
            raise exc
        self._silences += exc.kind == SILENT
        if self.again >= self._policy.retries or self._silences >= SILENT_TRIES:
            raise self._last(exc) from None
        self._pace.sleep(self.pause_s())
        self.again += 1

    def pause_s(self) -> float:
        """Return seconds before the next try."""
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * GROWTH**self.again)
        return longest * (LEAST_SHARE + (1 - LEAST_SHARE) * self._pace.chance())

    def _last(self, exc: NodeError | ArtifactError) -> NodeError | ArtifactError:
        """Return what is told of the last failure, with how often it was tried."""
        tries = "once" if not self.again else f"{self.again + 1} times"
        paths = exc.paths if isinstance(exc, ArtifactError) else ()
        if exc.kind == DAMAGED:
            return ArtifactError(DAMAGED, f"the files did not come home whole, tried {tries}: {exc}", paths)
        if exc.kind in (CUT, FAILED):
            return ArtifactError(FAILED, f"the transfer broke off, tried {tries}: {exc}", paths)
        return exc
