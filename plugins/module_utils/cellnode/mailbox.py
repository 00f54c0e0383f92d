# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages for an operation while it works: orders that come later than its request."""

from __future__ import annotations

import threading
from typing import Any


class Mailbox:
    """Messages in the order in which they came. It is closed when nobody is there any more who could send one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: list[dict[str, Any]] = []
        self._closed = False
        self._wake = threading.Event()

    @property
    def closed(self) -> bool:
        """Return whether the caller is gone."""
        return self._closed

    def put(self, message: dict[str, Any]) -> None:
        """Lay in a message."""
        with self._lock:
            self._messages.append(message)
            self._wake.set()

    def close(self) -> None:
        """Say that the caller is gone."""
        with self._lock:
            self._closed = True
            self._wake.set()

    def take(self) -> list[dict[str, Any]]:
        """Return the messages that came since the last call, without waiting."""
        with self._lock:
            messages, self._messages = self._messages, []
        return messages

    def listen(self, event: threading.Event) -> None:
        """Set event at each message and at the closing; at once when there is something already."""
        with self._lock:
            self._wake = event
            if self._messages or self._closed:
                event.set()


def closed() -> Mailbox:
    """Return the mailbox of a lone request, to which nobody can write."""
    mailbox = Mailbox()
    mailbox.close()
    return mailbox
