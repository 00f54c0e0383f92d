# SPDX-License-Identifier: MIT

"""The process put in order before anything else runs: streams, encoding, current folder."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path


def prepare(fallback: Path) -> list[str]:
    """Make the process safe to work in and return what a person should know about it.

    Closed standard streams become /dev/null, text that the terminal cannot show is written as escapes, and a
    current folder that was deleted is replaced by fallback.
    """
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return _leave_deleted_folder(fallback)


def silence(stream: io.TextIOBase) -> None:
    """Point a stream whose reader has gone at /dev/null, so that later writes and the flush at exit do not fail."""
    target = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(target, stream.fileno())
    finally:
        os.close(target)


def _open_standard_streams() -> None:
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - a standard stream lives as long as the process
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def _leave_deleted_folder(fallback: Path) -> list[str]:
    try:
        os.getcwd()
    except FileNotFoundError:
        os.chdir(fallback)
        return [f"the current folder does not exist any more; relative paths are taken from {fallback}"]
    return []
