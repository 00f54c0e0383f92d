# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a call to a node raises."""

from __future__ import annotations

from typing import Any


class NodeError(Exception):
    """A call that the node answered with an error, or did not answer. kind: an error_kind of the taxonomy."""

    def __init__(self, kind: str, message: str, detail: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.detail = detail or {}

    def on(self, node: str) -> NodeError:
        """Return the same error with the node's name in its message."""
        named = str(self).startswith(f"node {node}: ")
        return self if named else NodeError(self.kind, f"node {node}: {self}", self.detail)
