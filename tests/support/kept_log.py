# SPDX-License-Identifier: MIT
"""A log as the supervisor keeps it on a node, and its copy at home."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import logfile
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.log_copy import LogCopy


class KeptLog:
    """A log that answers what a copy asks for, as it is kept."""

    def __init__(self, folder: Path, cap: int) -> None:
        folder.mkdir()
        self.fd = os.open(folder, os.O_RDONLY)
        self.kept = logfile.CappedLog(self.fd, cap)
        self.ended = False

    def chunk(self, offset: int, max_bytes: int, sample: bool = False) -> logfile.Chunk:
        """Return what the node answers."""
        return logfile.read(self.fd, offset, max_bytes)

    def answer(self, copy: LogCopy) -> int:
        """Give a copy what it asks for, and return how many bytes that were."""
        chunk = self.chunk(**copy.wanted())
        copy.take(chunk.data, chunk.offset, chunk.total, self.ended)
        return len(chunk.data)

    def end(self) -> None:
        """Let the test end."""
        self.kept.seal()
        self.ended = True

    def copied(self, stream: bytes, step: int, copy: LogCopy) -> None:
        """Write a stream step by step, with an answer to the copy behind each, and all answers that it asks for at the end."""
        for at in range(0, len(stream), step):
            self.kept.write(stream[at : at + step])
            self.answer(copy)
        self.end()
        for _ in range(100):
            self.answer(copy)
            if copy.complete:
                break
        copy.close()
        assert copy.complete
