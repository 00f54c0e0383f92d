# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server's own words say of a failure."""

from __future__ import annotations

# Specific texts first: a server's own words tell more than its status (patterns 72, 76, 80 and 91 of the taxonomy).
ERROR_TEXTS = (
    ("kv_transfer_failed", ("kvtransfererror", "kv transfer", "prefill transfer failed", "decode transfer failed")),
    ("kv_transfer_failed", ("failed to send kv chunk", "decode instance could be dead")),
    ("engine_dead", ("enginedeaderror", "enginecore encountered an issue", "engine dead")),
    ("overloaded", ("request queue is full", "request queue full")),
)


def kind_of_text(text: str) -> str:
    """Return the kind that a server's own words name, or ""."""
    low = text.lower()
    return next((kind for kind, marks in ERROR_TEXTS if any(mark in low for mark in marks)), "")
