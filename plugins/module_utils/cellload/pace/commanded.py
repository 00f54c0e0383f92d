# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A command that is run at the pace the server takes, and again while its own words say that it was refused."""

from __future__ import annotations

import math
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from . import hints
from .keep import Keep
from .rule import Pace
from .turn import NoTurnError, wait_for_turn

TEMPFAIL = 75  # sysexits.h: try again later
NOT_FOUND, NOT_RUNNABLE = 127, 126
TAIL_BYTES = 64 * 1024
COPY_BYTES = 1024 * 1024
# A status is believed beside a word that says it is one: 429 alone may be a count.
REFUSED = re.compile(
    r"""(?ix) \b(?:HTTP(?:/[\d.]+)?|status(?:[\s_]?code)?|code|error)["']?[\s:=]{1,3}["']?(?:429|503|529)\b
    | \b(?:429|503|529)\s+(?:client|server)\s+error | too[ ]many[ ]requests | service[ ](?:temporarily[ ])?unavailable
    | rate[ _-]?limit(?:ed\b|error|[ _](?:exceeded|reached)) | request[ ]queue[ ](?:is[ ])?full | overloaded_error
    """
)
WAIT = re.compile(r"""(?i)\b(retry-after(?:-ms)?)["']?\s*[:=]\s*["']?([^"'\r\n}]{1,40})""")


@dataclass(frozen=True)
class Ended:
    """How a command ended. status: as a shell has it; told: the end of its standard error."""

    status: int
    told: str

    def is_refusal(self, statuses: Sequence[int]) -> bool:
        """Tell whether it failed since a server was overloaded. statuses: exit statuses that mean it by themselves."""
        return self.status != 0 and (self.status in (TEMPFAIL, *statuses) or bool(REFUSED.search(self.told)))

    def asked_wait_s(self, wall: float) -> float | None:
        """Return for how many seconds the server asked to be left alone, where the command has printed that."""
        return hints.asked_wait_s({name.lower(): value for name, value in WAIT.findall(self.told)}, wall)


def at_its_turn(argv: Sequence[str], statuses: Sequence[int], keep: Keep, key: str, max_wait_s: float) -> int:
    """Run a command at its turn, again while it is refused and its budget lasts, and return its exit status.

    statuses: exit statuses that mean a refusal; max_wait_s: how long it waits for its first turn.
    """
    command = Command(argv)
    command.listen()
    attempts, until, status = 0, math.inf, 0
    wait: float | None = 0.0
    while wait is not None and not command.signal:
        time.sleep(wait)
        try:
            sent = wait_for_turn(keep, key, min(max_wait_s, until - time.monotonic()), attempts > 0)
        except NoTurnError:
            if not attempts:
                raise
            break
        ended, attempts = command.run(), attempts + 1
        with keep.pace(key) as pace:
            wait = note_end(pace, ended, ended.is_refusal(statuses), sent, attempts)
            until = min(until, time.monotonic() + pace.settings.max_wait_s)
        if wait is not None and time.monotonic() + wait > until:
            wait = None
        status = ended.status
    command.show()
    return status


def note_end(pace: Pace, ended: Ended, refused: bool, sent: float, attempts: int) -> float | None:
    """Note how a command ended and return how long it waits before it is run again; None when it is not."""
    if not refused:
        pace.taken(time.monotonic())
        return None
    pace.refused(time.monotonic(), random.random(), ended.asked_wait_s(time.time()), sent)
    if attempts >= pace.settings.max_attempts or not pace.may_retry():
        return None
    return pace.backoff_s(attempts, random.random())


class Command:
    """A command whose output is kept until it is known that it is not run again; it gets no standard input."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self._process: subprocess.Popen[bytes] | None = None
        self._output: list[IO[bytes]] = []
        self.signal = 0

    def run(self) -> Ended:
        """Run the command once and return how it ended."""
        self._drop()
        self._output = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115 - kept until the last run is known
        out, err = self._output
        try:
            self._process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        except OSError as exc:
            return Ended(NOT_FOUND if isinstance(exc, FileNotFoundError) else NOT_RUNNABLE, self._note(err, exc))
        code = self._process.wait()
        err.seek(max(0, err.seek(0, os.SEEK_END) - TAIL_BYTES))
        return Ended(code if code >= 0 else 128 - code, err.read().decode("utf-8", "replace"))

    def forward(self, number: int, _frame: Any) -> None:
        """Hand a signal on to the command, which is not run again then; end by it where none runs."""
        self.signal = number
        if self._process is None or self._process.poll() is not None:
            raise SystemExit(128 + number)
        self._process.send_signal(number)

    def listen(self) -> None:
        """Hand on the signals that are meant to end the command."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.forward)

    def show(self) -> None:
        """Write what the last run has written to where it belongs."""
        for stream, target in zip(self._output, (sys.stdout.buffer, sys.stderr.buffer)):
            stream.seek(0)
            while True:
                piece = stream.read(COPY_BYTES)
                if not piece:
                    break
                target.write(piece)
            target.flush()
        self._drop()

    def _note(self, err: IO[bytes], exc: OSError) -> str:
        text = f"{self._argv[0]}: {exc.strerror}\n"
        err.write(text.encode())
        return text

    def _drop(self) -> None:
        while self._output:
            self._output.pop().close()
