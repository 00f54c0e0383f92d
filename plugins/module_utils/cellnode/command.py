# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program of the node with a time limit that ends its whole process group."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOT_FOUND = 127


@dataclass(frozen=True)
class Done:
    """How a program ended. code: exit status, negative for a signal; timed_out: it was killed at its time limit."""

    code: int
    out: str
    err: str
    seconds: float
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        """Return whether it ended with 0 in time."""
        return self.code == 0 and not self.timed_out


def search_path(environ: Mapping[str, str]) -> str:
    """Return PATH with the usual folders appended: a login by SSH without a shell profile often lacks some."""
    own = [folder for folder in environ.get("PATH", "").split(":") if folder]
    return ":".join(dict.fromkeys([*own, *DEFAULT_PATH.split(":")]))


def which(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the full path of a program, or None."""
    return shutil.which(name, path=search_path(environ))


def run(argv: Sequence[str], env: Mapping[str, str], timeout_s: float, cwd: Path | None = None) -> Done:
    """Run argv (no shell) and return how it ended; a program that does not exist ends with 127."""
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**env, "PATH": search_path(env)},
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError) as exc:
        return Done(NOT_FOUND, "", str(exc), 0.0)
    timed_out = False
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        timed_out = True
        out, err = _end(process)
    return Done(process.returncode or 0, _text(out), _text(err), time.monotonic() - began, timed_out)


def _end(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Kill the process group and return what it had written; a child that kept the pipe is not waited for."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        return process.communicate(timeout=2)
    except subprocess.TimeoutExpired as exc:
        return exc.stdout or b"", exc.stderr or b""


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")
