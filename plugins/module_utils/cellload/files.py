# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The output files: requests.jsonl grows line by line, benchmark.json appears whole at the end."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

REQUESTS = "requests.jsonl"
BENCHMARK = "benchmark.json"
WINDOWS = "soak_windows.jsonl"


class RequestLog:
    """Append records to requests.jsonl, each readable at once; lines and digest say what was written."""

    def __init__(self, folder: Path) -> None:
        self._stream = (folder / REQUESTS).open("wb")
        self._digest = hashlib.sha256()
        self.lines = 0

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record as one line."""
        line = json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        self._stream.write(line)
        self._stream.flush()
        self._digest.update(line)
        self.lines += 1

    def facts(self) -> dict[str, Any]:
        """Return what a reader needs to prove that it has the whole file."""
        return {"name": REQUESTS, "lines": self.lines, "sha256": self._digest.hexdigest()}

    def __enter__(self) -> RequestLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        finally:
            self._stream.close()


def prepare(folder: Path) -> None:
    """Make the output folder, and remove a summary and windows that an earlier load left there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (BENCHMARK, WINDOWS):
        (folder / name).unlink(missing_ok=True)


def write_benchmark(folder: Path, value: Mapping[str, Any]) -> None:
    """Put benchmark.json in place in one step: temporary file, fsync, rename, fsync of the folder."""
    content = json.dumps(value, indent=2, allow_nan=False).encode() + b"\n"
    descriptor, temporary = tempfile.mkstemp(prefix=f".{BENCHMARK}.", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        os.replace(temporary, folder / BENCHMARK)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
