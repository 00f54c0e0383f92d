# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease of an operation that works for long: proved before each order, renewed while its caller is heard of."""

from __future__ import annotations

from . import lease
from .context import Context

RENEW_S = 5.0


class Fence:
    """Proves that the node is still this run's. The request itself has just been proved when the fence is made."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._renewed = ctx.clock.monotonic()

    def prove(self) -> None:
        """Raise lock_held when somebody else has the node; renew the lease when that was RENEW_S ago.

        Renewing writes to the disk, which an order should not have to wait for.
        """
        if self._due() or not self._ours():
            self._renew()

    def prove_answer(self) -> None:
        """Raise lock_held when somebody else has the node: what was seen there may be their work.

        An answer needs no longer lease, and the disk of the node may be full.
        """
        if not self._ours():
            self._renew()

    def _renew(self) -> None:
        lease.check_fence(self._ctx)
        self._renewed = self._ctx.clock.monotonic()

    def _due(self) -> bool:
        return self._ctx.clock.monotonic() - self._renewed >= RENEW_S

    def _ours(self) -> bool:
        run = self._ctx.run
        if run is None or run.epoch is None:
            return True
        standing, _ttl_s = lease.claim(self._ctx.root, run.id, run.epoch, lease.present(self._ctx))
        return standing == "ours"
