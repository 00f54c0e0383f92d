# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Streams to a person that never stop a run: what is shown where nobody reads any more is dropped."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO


def lasting(stream: TextIO | None) -> Any:
    """Return a stream to write to in place of stream, which is None in a process that was started with it closed."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    return stream if isinstance(stream, Lasting) else Lasting(stream)


def unfailing(show: Callable[..., Any]) -> Callable[..., None]:
    """Return show without the errors of the operating system: what cannot be shown is dropped.

    ansible-runner keeps each shown line in a file of its own before it is shown; its disk may be full.
    """

    def shown(*args: Any, **kwargs: Any) -> None:
        with suppress(OSError):
            show(*args, **kwargs)

    return shown


class Lasting:
    """A stream that turns to nowhere at the first write that fails; in all else the stream it stands for.

    A pipe whose reader has gone, a terminal that was closed, a full disk: Ansible's thread that shows what steps say ends
    at such an error, and with it everything that waits for the thread.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._turn_away()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._turn_away()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _turn_away(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
