# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How often a lost connection is made again before the node counts as gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .errors import NodeError

# Seconds before each further try: a connection that merely broke is back at once, a restarted sshd a little later.
PAUSES_S = (0.0, 1.0, 2.0)
REACH_AGAIN = frozenset({"ssh_refused", "ssh_timeout", "ssh_dropped", "dns_failure"})
T = TypeVar("T")


@dataclass(frozen=True)
class Persistence:
    """Repeats work whose connection was lost; every call to a node may be repeated. reconnect: drops the old one."""

    node: str
    reconnect: Callable[[], None]
    sleep: Callable[[float], None]

    def __call__(self, work: Callable[[], T]) -> T:
        """Return what work returns; raise its last NodeError, which then names the node."""
        for pause in (*PAUSES_S, None):
            try:
                return work()
            except NodeError as exc:
                if pause is None or exc.kind not in REACH_AGAIN:
                    raise NodeError(exc.kind, f"node {self.node}: {exc}", exc.detail) from None
            self.sleep(pause)
            self.reconnect()
        raise AssertionError("the last try returns or raises")
