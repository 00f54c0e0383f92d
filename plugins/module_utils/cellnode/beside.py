# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that goes on in a thread while the caller does something else: digests, compression and disks let go of the GIL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any


class Beside:
    """One thread that does one piece of work at a time; it is started with the first."""

    def __init__(self) -> None:
        self._todo: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self._done: SimpleQueue[BaseException | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._busy = False

    def start(self, work: Callable[..., Any], *given: Any) -> None:
        """Begin work, once what was begun before is done."""
        self.wait()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        self._busy = True
        self._todo.put((work, given))

    def idle(self) -> bool:
        """Return whether nothing is at work now."""
        return not self._busy or not self._done.empty()

    def wait(self) -> None:
        """Return when the work is done; what it raised is raised here."""
        if self._busy:
            failed = self._done.get()
            self._busy = False
            if failed is not None:
                raise failed

    def end(self) -> None:
        """End the thread; what its last work raised is not told any more."""
        if self._thread is not None:
            self._todo.put(None)
            self._thread.join()
            self._thread, self._busy, self._done = None, False, SimpleQueue()

    def _run(self) -> None:
        while True:
            item = self._todo.get()
            if item is None:
                return
            try:
                item[0](*item[1])
            except BaseException as exc:
                self._done.put(exc)
            else:
                self._done.put(None)
            del item
