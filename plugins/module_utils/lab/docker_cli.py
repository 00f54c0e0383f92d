# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Docker command line, as far as a lab needs it: one call, its output, and its error as a sentence."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import LabError


class Docker:
    """Runs `docker` with a time limit; every failure is a LabError that carries the end of its error output."""

    def __init__(self, program: str = "docker", timeout_s: float = 120) -> None:
        """program: name or path of the command line; timeout_s: limit of one call."""
        self._program = program
        self._timeout_s = timeout_s

    def __call__(self, *arguments: str, stdin: Path | None = None) -> str:
        """Return what the call printed. stdin: a file to feed it."""
        status, out, err = self._run(arguments, stdin)
        if status != 0:
            raise LabError(f"docker {arguments[0]} ended with {status}: {_last_lines(err or out)}")
        return out

    def inspect(self, kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return what the engine knows of the named objects; those that are absent are left out."""
        if not names:
            return []
        status, out, err = self._run((kind, "inspect", *names), None)
        found: list[dict[str, Any]] = json.loads(out or "[]")
        if status != 0 and "no such" not in err.lower():
            raise LabError(f"docker {kind} inspect ended with {status}: {_last_lines(err)}")
        return found

    def _run(self, arguments: Sequence[str], stdin: Path | None) -> tuple[int, str, str]:
        command = [self._program, *arguments]
        try:
            with open(stdin or os.devnull, "rb") as feed:
                done = subprocess.run(command, stdin=feed, capture_output=True, timeout=self._timeout_s, check=False)
        except FileNotFoundError:
            raise LabError("the docker command is absent; run setup/docker") from None
        except subprocess.TimeoutExpired:
            raise LabError(f"docker {arguments[0]} did not end within {self._timeout_s:.0f} s") from None
        return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def _last_lines(text: str, count: int = 6) -> str:
    return " / ".join(text.strip().splitlines()[-count:])
