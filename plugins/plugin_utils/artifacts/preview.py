# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a stream would bring, with next to none of its contents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...module_utils.cellnode import frames
from ..node.client import Asked, NodeClient
from ..node.own_stream import hand_over
from .bring import OP
from .errors import ArtifactError, corrupt
from .frames import Entry, Reader, decoded, failure, patterns, refusals, whole
from .policy import Policy
from .transfer import Wanted, arguments, bytes_of, speeds

# The least that a stream can be limited to: what stands around its contents is all that is wanted of it.
LEAST_BYTES = 1


class Plan:
    """Takes a stream in as far as it says what there is. found: {files, bytes, same}, None before that is here; see `plan`.

    refused: {path, kind, why} each, as far as names and modes tell it; missing: patterns without a match.
    """

    def __init__(self) -> None:
        self.found: dict[str, int] | None = None
        self.refused: list[dict[str, str]] = []
        self.missing: list[str] = []
        self.ended = False
        self.fault: ArtifactError | None = None
        self._reader = Reader(self._frame)

    def space(self) -> memoryview:
        """Return where the next bytes go."""
        return self._reader.space()

    def filled(self, count: int) -> bool:
        """Take bytes, and return whether the stream has ended."""
        self._reader.filled(count)
        return self.ended

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take an event of the op `send`."""
        if not self.fault:
            try:
                hand_over(memoryview(bytes_of(event)), self)
            except ArtifactError as exc:
                self.fault = exc

    def _frame(self, kind: bytes, flags: int, payload: memoryview) -> None:
        if kind == frames.ERROR:
            raise failure(payload)
        if self.found is None:
            self._take_plan(decoded(payload, dict) if kind == frames.PLAN else {})
        self.refused += refusals(payload) if kind == frames.REFUSED else []
        self.missing += patterns(payload) if kind == frames.MISSING else []
        self.ended = kind == frames.END

    def _take_plan(self, said: Mapping[str, Any]) -> None:
        if not whole(said.get("files"), said.get("bytes"), said.get("same")):
            raise corrupt("the stream does not begin with its plan")
        self.found = {key: said[key] for key in ("files", "bytes", "same")}


def plan(client: NodeClient, wanted: Wanted, policy: Policy, have: Iterable[Entry] = ()) -> dict[str, Any]:
    """Return {files, bytes, same, refused, missing}; nothing is written here. Tried once.

    files: how many there are; bytes: what would be sent of them; same: how many of have, entries of what is here, are so on the
    node; refused, missing: see Plan.
    """
    seen = Plan()
    asked = arguments(wanted, policy, speeds(), have, at_most=LEAST_BYTES)
    if client.streamed is not None:
        client.stream(OP, asked, frames.MAGIC, seen, policy.silence_s)
    else:
        client.result(client.exchange([Asked(OP, asked, seen.hear, policy.silence_s)])[0])
    if seen.fault:
        raise seen.fault
    if seen.found is None or not seen.ended:
        raise corrupt("the stream ended before it had said what there is")
    return {**seen.found, "refused": seen.refused, "missing": seen.missing}
