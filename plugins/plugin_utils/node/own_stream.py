# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One command on a node whose bytes are taken as they come, over a connection of its own."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Protocol

PIPE_BYTES = 1 << 20
STDERR_KEPT = 4096
END_WITHIN_S = 5.0


class StreamEnd(Exception):
    """A stream that is over before what reads it has all. said: what came on standard error; code: the exit status.

    silent: it was broken off, since nothing came any more.
    """

    def __init__(self, message: str, said: str, code: int | None, *, silent: bool = False) -> None:
        super().__init__(message)
        self.said = said
        self.code = code
        self.silent = silent


class Sink(Protocol):
    """Takes a stream in, without a copy between."""

    def space(self) -> memoryview:
        """Return where the next bytes go, at least one."""

    def filled(self, count: int) -> bool:
        """Take count bytes that were put there, and return whether that was all."""


def read_stream(argv: Sequence[str], stdin: bytes, sink: Sink, silence_s: float) -> None:
    """Run argv and hand on what it writes until the sink has all; raise StreamEnd where it ends or is silent before.

    The command is gone afterwards, whatever came.
    """
    with tempfile.TemporaryFile() as request, tempfile.TemporaryFile() as errors:
        request.write(stdin)
        request.seek(0)
        child = subprocess.Popen(
            list(argv),
            stdin=request,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
            pipesize=PIPE_BYTES,
            start_new_session=True,
        )
        assert child.stdout
        patience_s = 0.0
        try:
            outcome = _pass_on(child.stdout, sink, silence_s)
            patience_s = 0.0 if outcome is _SILENT else END_WITHIN_S
        finally:
            child.stdout.close()
            _end(child, patience_s)
        if outcome is not _ALL:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - STDERR_KEPT))
            raise _too_early(errors.read().decode("utf-8", "replace").strip(), child.returncode, outcome, silence_s)


def hand_over(data: memoryview, sink: Sink) -> memoryview | None:
    """Hand data to the sink; return what is left of it when the sink has all, None while it wants more."""
    ended = False
    while data and not ended:
        room = sink.space()
        count = min(len(room), len(data))
        room[:count] = data[:count]
        ended, data = sink.filled(count), data[count:]
    return data if ended else None


_ALL, _ENDED, _SILENT = "all", "ended", "silent"


def _pass_on(stdout: IO[bytes], sink: Sink, silence_s: float) -> str:
    """Return how it ended: _ALL when the sink has all, else what the command did."""
    ready = select.poll()
    ready.register(stdout, select.POLLIN)
    while ready.poll(silence_s * 1000):
        count = os.readv(stdout.fileno(), [sink.space()])
        if not count:
            return _ENDED
        if sink.filled(count):
            return _ALL
    return _SILENT


def _end(child: subprocess.Popen[bytes], patience_s: float) -> None:
    """Wait for a command that has lost its reader; one that does not end is killed with all that it started."""
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        if number:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(END_WITHIN_S if number else patience_s)
            return


def _too_early(said: str, code: int, outcome: str, silence_s: float) -> StreamEnd:
    if outcome is _SILENT:
        return StreamEnd(f"nothing came from the node for {silence_s:g} s", said, code, silent=True)
    last = said.splitlines()[-1].strip() if said else f"the stream ended early (exit status {code})"
    return StreamEnd(last, said, code)
