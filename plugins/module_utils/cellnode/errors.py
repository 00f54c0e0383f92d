# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error class of the node program; its kind is a name of the failure taxonomy."""

from __future__ import annotations

from typing import Any


class CellError(Exception):
    """A step that cannot be done. kind: error_kind of the taxonomy; detail: plain JSON values that help to decide."""

    def __init__(self, kind: str, message: str, **detail: Any) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.detail = detail

    def as_dict(self) -> dict[str, Any]:
        """Return the error as the JSON object of the answer line."""
        return {"kind": self.kind, "message": self.message, "detail": self.detail}
