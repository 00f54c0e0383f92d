# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error class of the node program, and the kinds of what the system refuses: names of the failure taxonomy."""

from __future__ import annotations

from typing import Any

OS_ERROR_KINDS = {28: "disk_full", 122: "disk_full", 30: "fs_readonly", 5: "io_error", 13: "privilege", 1: "privilege"}
OS_ERROR_KINDS.update({24: "resource_limit", 23: "resource_limit", 11: "resource_limit", 12: "node_oom"})

# How Python and the dynamic loader say that a limit of the process was reached.
LIMIT_SAID = (
    (RuntimeError, "can't start new thread"),
    (ImportError, "failed to map segment"),
    (ImportError, "cannot allocate memory"),
    # of the interpreter itself, where it has no memory even for a MemoryError
    (SystemError, "error return without exception set"),
)


def is_limit(exc: BaseException) -> bool:
    """Return whether an exception that is no error of the system says that a limit of this process was reached.

    The kernel refuses memory to a process that has a limit of its own.
    """
    said = any(isinstance(exc, kind) and words in str(exc).lower() for kind, words in LIMIT_SAID)
    return said or isinstance(exc, MemoryError)


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
