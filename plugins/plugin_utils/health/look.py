# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A look at one node: one question to its program, which takes no lease and changes nothing there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..node.client import NodeClient
from ..node.errors import NodeError
from ..steps import needs
from . import document
from .document import Asking
from .standard import Standard

# An engine that hangs costs the node's program 5 s and a GPU driver 10 s; whatever hangs longer is shown as silence.
ANSWER_WITHIN_S = 20


class Looker:
    """Looks at one node again and again. is_dead: decides of a lease's owner whether its process is gone."""

    def __init__(
        self,
        client: NodeClient,
        node: str,
        standard: Standard,
        is_dead: Callable[[str], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._node = node
        self._standard = standard
        self._is_dead = is_dead
        self._clock = clock
        self._compose: list[dict[str, Any]] | None = None

    def look(self) -> dict[str, Any]:
        """Return what is told of the node now; one that does not answer is told of as well."""
        began = self._clock()
        try:
            facts = self._ask()
        except NodeError as exc:
            self._compose = None
            return document.of_silence(self._node, exc.kind, str(exc), self._since(began))
        asking = self._since(began)
        return document.of_answer(self._node, facts, asking, self._standard, self._is_dead)

    def _ask(self) -> dict[str, Any]:
        """Return the node's answer. Compose is looked for once and after a silence: its programs cost more than the rest."""
        known = self._compose
        facts = self._client.call("health", paths=[], deep=True, compose=known is None, **self._wanted())
        if known is None:
            self._compose = facts["compose"]
            return facts
        return {**facts, "compose": known}

    def _wanted(self) -> dict[str, list[str]]:
        """Return what the node is asked to look for: the paths and names that the cases take for granted there."""
        asked = [needs.wanted(case, self._node) for case in self._standard.cases]
        return {kind: sorted({name for one in asked for name in one[kind]}) for kind in needs.KINDS}

    def _since(self, began: float) -> Asking:
        return Asking(began, self._clock() - began)
