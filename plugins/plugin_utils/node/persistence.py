# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How often a lost connection is made again before the node counts as gone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .errors import NodeError

# Seconds before each further try: a connection that merely broke is back at once, a restarted sshd a little later.
PAUSES_S = (0.0, 1.0, 2.0)
# No try begins later than this after the first loss: one that meets silence is the last, and a node that is silent in the
# middle of a run (ssh.LIMITS) has failed the step within 15 s.
PATIENCE_S = 5.0
SILENT = "ssh_timeout"
REACH_AGAIN = frozenset({"ssh_refused", "ssh_timeout", "ssh_dropped", "dns_failure"})
T = TypeVar("T")


@dataclass(frozen=True)
class Persistence:
    """Repeats work whose connection was lost; every call to a node may be repeated. reconnect: drops the old one.

    clock: seconds, of any beginning.
    """

    node: str
    reconnect: Callable[[], None]
    sleep: Callable[[float], None]
    clock: Callable[[], float]

    def __call__(self, work: Callable[[], T]) -> T:
        """Return what work returns; raise its last NodeError, which then names the node.

        A silence tells more than what may follow it: a relay in between takes connections for a node that is gone.
        """
        give_up_at = math.inf
        silence: NodeError | None = None
        for pause in (*PAUSES_S, math.inf):
            try:
                return work()
            except NodeError as exc:
                now = self.clock()
                give_up_at = min(give_up_at, now + PATIENCE_S)
                silence = exc if exc.kind == SILENT else silence
                if exc.kind not in REACH_AGAIN:
                    raise exc.on(self.node) from None
                if now + pause > give_up_at:
                    raise (silence or exc).on(self.node) from None
            self.sleep(pause)
            self.reconnect()
        raise AssertionError("the last try returns or raises")
