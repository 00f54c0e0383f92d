# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The beginning of a stream: what would come, before any content does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...module_utils.cellnode import frames
from ..node.client import Asked, NodeClient
from ..node.own_stream import hand_over
from .bring import OP
from .errors import ArtifactError, corrupt
from .frames import Reader, decoded, failure, whole
from .policy import Policy
from .transfer import Wanted, arguments, bytes_of, speeds

# The least that a stream can be limited to: its plan is all that is wanted of it.
LEAST_BYTES = 1


class Plan:
    """Takes a stream in as far as its plan. found: {files, bytes} that would come, None before it is here."""

    def __init__(self) -> None:
        self.found: dict[str, int] | None = None
        self.fault: ArtifactError | None = None
        self._reader = Reader(self._frame)

    def space(self) -> memoryview:
        """Return where the next bytes go."""
        return self._reader.space()

    def filled(self, count: int) -> bool:
        """Take bytes, and return whether the plan is here."""
        self._reader.filled(count)
        return self.found is not None

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take an event of the op `send`."""
        if self.found is None and not self.fault:
            try:
                hand_over(memoryview(bytes_of(event)), self)
            except ArtifactError as exc:
                self.fault = exc

    def _frame(self, kind: bytes, flags: int, payload: memoryview) -> None:
        if self.found is not None:
            return
        if kind == frames.ERROR:
            raise failure(payload)
        said = decoded(payload, dict) if kind == frames.PLAN else {}
        if not whole(said.get("files"), said.get("bytes")):
            raise corrupt("the stream does not begin with its plan")
        self.found = {"files": said["files"], "bytes": said["bytes"]}


def plan(client: NodeClient, wanted: Wanted, policy: Policy) -> dict[str, int]:
    """Return {files, bytes} that a transfer to an empty destination would bring; nothing is written here. Tried once."""
    seen = Plan()
    asked = arguments(wanted, policy, speeds(), at_most=LEAST_BYTES)
    if client.streamed is not None:
        client.stream(OP, asked, frames.MAGIC, seen, policy.silence_s)
    else:
        client.result(client.exchange([Asked(OP, asked, seen.hear, policy.silence_s)])[0])
    if seen.fault:
        raise seen.fault
    if seen.found is None:
        raise corrupt("the stream ended before its plan")
    return seen.found
